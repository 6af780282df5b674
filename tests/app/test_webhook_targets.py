"""Which addresses webhooks may go to."""

from ipaddress import ip_address

import pytest

from app.webhooks.targets import ForbiddenTarget, check_url, is_public


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "203.0.114.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert check_url(f"https://{host}/x", private_targets=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",  # where clouds tell machines their credentials
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ForbiddenTarget, match="not a public address"):
        check_url(f"https://{host}/x", private_targets=False)
    assert check_url(f"http://{host}/x", private_targets=True)


@pytest.mark.parametrize(
    "host", ["example.org", "bücher.example", "xn--", "a..b", "a_b.example", f"{'a' * 70}.org"]
)
def test_names_are_judged_when_they_are_looked_up(host: str) -> None:
    assert check_url(f"https://{host}/é?x=y", private_targets=False)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org", "https"),
        ("ftp://example.org", "https"),
        ("//example.org", "https"),
        ("example.org", "https"),
        ("", "https"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://user:word@example.org", "user name"),
        ("https://example.org\\@127.0.0.1", "user name"),
        ("https://example.org:0", "port"),
        ("https://example.org:65536", "port"),
        ("https://example.org/\0", "no URL"),
        ("https://[::1", "no URL"),
        ("https://example.org:port", "no URL"),
    ],
)
def test_what_can_be_no_target(url: str, why: str) -> None:
    with pytest.raises(ForbiddenTarget, match=why):
        check_url(url, private_targets=False)
