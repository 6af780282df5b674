"""The files of the web page, as the API serves them."""

import re

import pytest
from fastapi.testclient import TestClient

from app.web.routes import FILES, MEDIA_TYPES, STATIC
from tests.app.problems import problem

# Where nothing is asked for: the name of a vocabulary, and what a field shows while it is empty.
NO_ADDRESSES = ("http://www.w3.org/2000/svg", "https://example.org/hooks/fundusmith", "https://…")
REFERENCE = re.compile(r"""(?:href|src)="(/web/[^"#]+)|from "(\.[^"]+)"|import\("(\.[^"]+)"\)""")

pytestmark = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


def test_the_page_may_load_and_call_the_service_alone(api: TestClient) -> None:
    response = api.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Fundusmith</title>" in response.text
    policy = response.headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert not any("unsafe" in rule or "http" in rule for rule in policy)
    for name, path in FILES.items():
        text = path.read_text(encoding="utf-8")
        for harmless in NO_ADDRESSES:
            text = text.replace(harmless, "")
        assert not re.search(r"https?://\w|\son\w+=|\sstyle=|innerHTML", text), name


def test_every_file_that_is_named_is_there(api: TestClient) -> None:
    named = set()
    for name, path in FILES.items():
        for found in REFERENCE.finditer(path.read_text(encoding="utf-8")):
            absolute, *relative = found.groups()
            beside = (
                next((STATIC / name).parent / one for one in relative if one)
                if any(relative)
                else None
            )
            named.add(beside.resolve() if beside else STATIC / absolute.removeprefix("/web/"))
    assert named == set(FILES.values()) - {STATIC / "index.html"}


def test_files_are_sent_once(api: TestClient) -> None:
    for name, path in FILES.items():
        response = api.get(f"/web/{name}")
        assert response.content == path.read_bytes()
        assert response.headers["content-type"].startswith(MEDIA_TYPES[path.suffix].split(";")[0])
        assert response.headers["cache-control"] == "no-cache"
        again = api.get(f"/web/{name}", headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert api.head("/").headers["content-length"] == str(len(api.get("/").content))


@pytest.mark.parametrize(
    "name", ["none.js", "../routes.py", "%2e%2e/routes.py", "js", "", "js/../../routes.py"]
)
def test_nothing_else_is_sent(api: TestClient, name: str) -> None:
    problem(api.get(f"/web/{name}"), 404)
