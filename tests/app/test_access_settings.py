"""FUNDUSMITH_ACCESS: what follows from the address, and what is refused."""

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from app.command import main
from app.settings import Access, Settings, get_settings


@pytest.mark.parametrize(
    ("host", "access"),
    [
        ("127.0.0.1", Access.OFF),
        ("127.8.8.8", Access.OFF),
        ("::1", Access.OFF),
        ("localhost", Access.OFF),
        ("0.0.0.0", Access.REQUIRED),
        ("::", Access.REQUIRED),
        ("192.0.2.7", Access.REQUIRED),
        ("fundusmith.example.org", Access.REQUIRED),
        ("localhost.example.org", Access.REQUIRED),
    ],
)
def test_keys_are_asked_for_where_others_reach_the_service(host: str, access: Access) -> None:
    assert Settings(host=host).resolved_access is access


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("access", [Access.REQUIRED, Access.OPEN_TO_ANYONE])
def test_what_is_said_in_so_many_words_holds(host: str, access: Access) -> None:
    assert Settings(host=host, access=access).resolved_access is access


def test_off_is_for_loopback_alone() -> None:
    assert Settings(host="127.0.0.1", access=Access.OFF).resolved_access is Access.OFF
    with pytest.raises(ValidationError) as caught:
        Settings(host="0.0.0.0", access=Access.OFF)
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("access",)
    for word in ("FUNDUSMITH_HOST", "0.0.0.0", "open-to-anyone"):
        assert word in fault["msg"]


@pytest.mark.parametrize("value", ["on", "open", "none", "OFF"])
def test_other_words_are_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(access=value)  # type: ignore[arg-type]


def test_the_service_does_not_start_open_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDUSMITH_HOST", "0.0.0.0")
    monkeypatch.setenv("FUNDUSMITH_ACCESS", "off")
    get_settings.cache_clear()
    result = CliRunner().invoke(main, ["up"])
    get_settings.cache_clear()
    assert result.exit_code == 1
    assert result.output.startswith("Error: FUNDUSMITH_ACCESS: ")
    assert "open-to-anyone" in result.output
