"""The archive, single pictures and the contact sheet over HTTP."""

import hashlib
import io
import urllib.request
import zipfile
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.archive.layout import REQUIRED_ROLES
from app.datasets import pictures
from app.datasets.preview import contact_sheet
from app.deps import Services
from app.jobs.leases import claim_next, complete
from app.jobs.orders import request_cancel
from tests.app.making import make, make_items, picture
from tests.app.problems import parameters, problem

Order = Callable[..., str]

# Where storage has a server of its own, the API sends the asker there.
sent_by_the_api = pytest.mark.parametrize("parts", ["embedded"], indirect=True)
linked = pytest.mark.parametrize("parts", ["production"], indirect=True)


@pytest.fixture
def archive(api: TestClient, services: Services, order: Order) -> str:
    """The path of a finished data set's archive."""
    job_id = order(6, resolution=64)
    make_items(services)
    return f"/datasets/{job_id}/download"


@sent_by_the_api
def test_the_archive_is_that_of_the_job(api: TestClient, archive: str) -> None:
    response = api.get(archive)
    job = api.get(archive.removesuffix("/download")).json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    assert int(response.headers["content-length"]) == job["archive"]["bytes"]
    assert len(response.content) == job["archive"]["bytes"]
    assert response.headers["content-disposition"] == f'attachment; filename="{job["id"]}.zip"'
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == f'"{job["archive"]["manifest_sha256"]}"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as file:
        assert file.testzip() is None
        manifest = file.read("manifest.json")
        assert hashlib.sha256(manifest).hexdigest() == job["archive"]["manifest_sha256"]
        assert file.read("train/images/000003.png") == picture(3, "image")


@linked
def test_the_archive_is_linked_to(api: TestClient, archive: str) -> None:
    response = api.get(archive, follow_redirects=False)
    job = api.get(archive.removesuffix("/download")).json()
    assert response.status_code == 307
    assert response.headers["cache-control"] == "no-store"
    request = urllib.request.Request(response.headers["location"], headers={"Range": "bytes=5-"})
    with urllib.request.urlopen(request) as answer:
        assert len(answer.read()) == job["archive"]["bytes"] - 5
        assert f'filename="{job["id"]}.zip"' in answer.headers["content-disposition"]


@linked
def test_the_link_itself_can_be_had(api: TestClient, archive: str) -> None:
    response = api.get(archive, headers={"Accept": "text/uri-list, application/zip"})
    assert response.headers["content-type"].startswith("text/uri-list")
    assert response.headers["cache-control"] == "no-store"
    with urllib.request.urlopen(response.text.strip()) as answer:
        assert zipfile.is_zipfile(io.BytesIO(answer.read()))


@linked
def test_head_is_answered_without_the_link(api: TestClient, archive: str) -> None:
    job = api.get(archive.removesuffix("/download")).json()
    head = api.head(archive, follow_redirects=False)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(job["archive"]["bytes"])


@sent_by_the_api
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999", 0, None),
        ("bytes=5-99999999", 5, None),
    ],
)
def test_a_range(api: TestClient, archive: str, asked: str, start: int, stop: int | None) -> None:
    whole = api.get(archive).content
    response = api.get(archive, headers={"range": asked})
    part = whole[start:stop]
    first = start % len(whole)
    assert response.status_code == 206
    assert response.content == part
    assert response.headers["content-length"] == str(len(part))
    place = f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
    assert response.headers["content-range"] == place


@sent_by_the_api
@pytest.mark.parametrize(
    "asked",
    [
        "bytes=9-3",
        "bytes=-",
        "bytes=a-b",
        "lines=1-2",
        "bytes=0-1,5-6",
        f"bytes=0-{'9' * 5000}",
        "",
    ],
)
def test_what_is_no_single_range_gets_everything(api: TestClient, archive: str, asked: str) -> None:
    response = api.get(archive, headers={"range": asked})
    assert response.status_code == 200
    assert response.content == api.get(archive).content


@sent_by_the_api
@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_outside_is_refused(api: TestClient, archive: str, asked: str) -> None:
    size = len(api.get(archive).content)
    response = api.get(archive, headers={"range": asked})
    problem(response, 416)
    assert response.headers["content-range"] == f"bytes */{size}"


@sent_by_the_api
def test_a_download_can_be_resumed_only_if_it_is_the_same(api: TestClient, archive: str) -> None:
    etag = api.get(archive).headers["etag"]
    for named, status in ((etag, 206), ('"another"', 200)):
        headers = {"range": "bytes=5-", "if-range": named}
        assert api.get(archive, headers=headers).status_code == status


@sent_by_the_api
def test_what_the_asker_has_is_not_sent_again(api: TestClient, archive: str) -> None:
    etag = api.get(archive).headers["etag"]
    for named in (etag, f'"other", W/{etag}', "*"):
        response = api.get(archive, headers={"if-none-match": named})
        assert (response.status_code, response.content) == (304, b"")


@sent_by_the_api
def test_head_sends_the_headers_alone(api: TestClient, archive: str) -> None:
    named = {"x-request-id": "one-for-both"}
    whole, head = api.get(archive, headers=named), api.head(archive, headers=named)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers


def test_there_is_no_archive_before_the_end(
    api: TestClient, services: Services, order: Order
) -> None:
    job_id = order(8)
    path = f"/datasets/{job_id}/download"
    for status in ("queued", "running", "packaging"):
        assert problem(api.get(path), 409)["job_status"] == status
        make_items(services, most=1)
    assert api.head(path).status_code == 200


def test_a_cancelled_job_has_what_was_finished(
    api: TestClient, services: Services, order: Order
) -> None:
    home = f"/datasets/{order(12, resolution=64)}"
    make_items(services, most=2)
    api.post(f"{home}/cancel")
    problem(api.get(f"{home}/download"), 409)
    make_items(services)
    job = api.get(home).json()
    assert (job["status"], job["links"]["download"]) == ("cancelled", f"{home}/download")
    head = api.head(f"{home}/download")
    assert int(head.headers["content-length"]) == job["archive"]["bytes"]
    assert api.get(f"{home}/pairs/7/image").content == picture(7, "image")
    assert problem(api.get(f"{home}/pairs/8/image"), 409)["job_status"] == "cancelled"


def test_a_job_cancelled_at_once_has_no_archive(
    api: TestClient, services: Services, order: Order
) -> None:
    job_id = order(8)
    request_cancel(services.db, job_id)
    assert problem(api.get(f"/datasets/{job_id}/download"), 409)["job_status"] == "cancelled"


def test_pictures_before_and_after_packing(
    api: TestClient, services: Services, order: Order
) -> None:
    home = f"/datasets/{order(8, resolution=64)}/pairs"
    assert problem(api.get(f"{home}/0/image"), 409)["job_status"] == "queued"
    make_items(services, most=1)
    assert problem(api.get(f"{home}/4/image"), 409)["job_status"] == "running"
    for index in (0, 3):
        for kind in REQUIRED_ROLES:
            assert api.get(f"{home}/{index}/{kind}").content == picture(index, kind)
    make_items(services)
    for index in (0, 3, 4, 7):
        for kind in REQUIRED_ROLES:
            response = api.get(f"{home}/{index}/{kind}")
            assert response.content == picture(index, kind)
            assert response.headers["content-type"] == "image/png"
            assert "immutable" in response.headers["cache-control"]


def test_the_pairs_that_are_finished(api: TestClient, services: Services, order: Order) -> None:
    limits = {"minimum_quality": {"contrast": 1}}
    splits = {"train": 0.5, "val": 0.5, "test": 0.0}
    home = f"/datasets/{order(10, resolution=64, splits=splits, **limits)}/pairs"
    make_items(services, most=1)
    page = api.get(home, params={"first": 2, "limit": 5}).json()
    assert [pair["index"] for pair in page["data"]] == [2, 3]  # a shard has 4 pairs
    assert page["has_more"]
    make_items(services)  # packs too
    page = api.get(home, params={"first": 3, "limit": 100}).json()
    assert [pair["index"] for pair in page["data"]] == list(range(3, 10))
    assert not page["has_more"]
    pair = page["data"][0]
    assert (pair["seed"], pair["vessel_share"], pair["map"]) == ("3", 0.5, None)
    assert (pair["quality"], pair["rejected"]) == ({"contrast": 0.5}, {"contrast": 2})
    assert {pair["split"] for pair in page["data"]} == {"train", "val"}
    for kind in REQUIRED_ROLES:
        assert api.get(pair["links"][kind]).content == picture(3, kind)


def test_a_picture_that_moves_into_the_archive_meanwhile_is_found(
    api: TestClient, services: Services, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = order(4, resolution=64)
    make_items(services, most=1)
    read_pair, calls = pictures.read_pair, []

    def read_late(*place: object) -> bytes:
        if not calls:
            calls.append(place)
            make_items(services)  # packs, and removes the segments
        return read_pair(*place)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "read_pair", read_late)
    assert api.get(f"/datasets/{job_id}/pairs/2/image").content == picture(2, "image")
    assert calls


def test_pictures_that_cannot_be(api: TestClient, order: Order) -> None:
    home = f"/datasets/{order(8)}/pairs"
    assert "0 to 7" in problem(api.get(f"{home}/8/image"), 404)["detail"]
    assert parameters(api.get(f"{home}/-1/image")) == ["index"]
    assert parameters(api.get(f"{home}/one/image")) == ["index"]
    assert parameters(api.get(f"{home}/1/nose")) == ["picture"]


def open_png(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["PNG"])


def test_a_preview_while_the_job_runs(api: TestClient, services: Services, order: Order) -> None:
    path = f"/datasets/{order(40, resolution=64)}/preview"
    assert problem(api.get(path), 409)["job_status"] == "queued"
    make_items(services, most=1)
    response = api.get(path)
    assert response.headers["content-type"] == "image/png"
    assert open_png(response.content).size == (4 * 132 - 4, 64)
    make_items(services)
    sheet = open_png(api.get(path).content)
    assert sheet.size == (4 * 132 - 4, 4 * 68 - 4)
    for index in range(16):
        left, top = 132 * (index % 4), 68 * (index // 4)
        assert sheet.getpixel((left + 32, top + 32)) == (index, 0, 0)
        assert sheet.getpixel((left + 96, top + 32)) == (255 * (index % 2),) * 3


def test_a_preview_shows_the_pairs_that_there_are(
    api: TestClient, services: Services, order: Order
) -> None:
    path = f"/datasets/{order(12, resolution=64)}/preview"
    claim_next(services.db, "slow")  # holds the first shard
    second = claim_next(services.db, "fast")
    assert second is not None
    complete(services.db, second, make(services, second))
    sheet = open_png(api.get(path).content)
    assert [sheet.getpixel((132 * n + 32, 32)) for n in range(4)] == [
        (index, 0, 0) for index in range(4, 8)
    ]


@pytest.mark.parametrize(
    ("image_format", "media_type"), [("jpeg", "image/jpeg"), ("tiff", "image/tiff")]
)
def test_photographs_of_other_formats(
    api: TestClient, services: Services, order: Order, image_format: str, media_type: str
) -> None:
    home = f"/datasets/{order(2, resolution=64, image_format=image_format)}"
    make_items(services)
    image = api.get(f"{home}/pairs/1/image")
    assert image.content == picture(1, "image", image_format=image_format)
    assert image.headers["content-type"] == media_type
    label = api.get(f"{home}/pairs/1/label")
    assert (label.content, label.headers["content-type"]) == (picture(1, "label"), "image/png")
    assert open_png(api.get(f"{home}/preview").content).getpixel((132 + 32, 32))[0] in (0, 1, 2)


def test_large_pictures_are_made_smaller() -> None:
    sheet = open_png(contact_sheet([(picture(1, "image", 1024), picture(1, "label", 1024))]))
    assert sheet.size == (512, 256)
