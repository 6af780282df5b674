"""Where webhooks may go: to public addresses over HTTPS, and not into the service's own network."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

PORTS = {"http": 80, "https": 443}
LARGEST_PORT = 65_535
GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is assigned to machines in public
NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 addresses, for networks that have none


class ForbiddenTarget(Exception):
    """A webhook must not be sent there; the message says why."""


def check_url(url: str, private_targets: bool) -> httpx.URL:
    """The address, if it is one that can be meant; its host's name is not looked up.

    Raises:
        ForbiddenTarget: it is not.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ForbiddenTarget(f"This is no URL: {error}") from None
    if parsed.scheme != "https" and not (private_targets and parsed.scheme == "http"):
        raise ForbiddenTarget("The URL must start with https://")
    host = parsed.raw_host.decode("ascii")
    if not host:
        raise ForbiddenTarget("The URL names no host.")
    if parsed.userinfo:
        raise ForbiddenTarget("The URL must not carry a user name or password.")
    if parsed.port is not None and not 1 <= parsed.port <= LARGEST_PORT:
        raise ForbiddenTarget("The URL names no port that there is.")
    try:
        address = ip_address(host)
    except ValueError:
        return parsed  # a name
    if not private_targets and not is_public(address):
        raise ForbiddenTarget(f"{address} is not a public address.")
    return parsed


async def resolve(url: httpx.URL, private_targets: bool) -> list[str]:
    """The addresses of the URL's host, at least one, looked up once.

    Whoever connects to them, and not to the name, reaches what has been checked.

    Raises:
        ForbiddenTarget: one of them is not public.
        socket.gaierror: there are none, or that could not be found out.
    """
    host, port = url.raw_host, url.port or PORTS[url.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for address in addresses:
        if not private_targets and not is_public(ip_address(address)):
            raise ForbiddenTarget(
                f"{host.decode()} has the address {address}, which is not public."
            )
    return addresses


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is one of the public Internet, and of one machine.

    An IPv6 address that stands for an IPv4 one counts as that one.
    """
    if isinstance(address, IPv6Address):
        within = IPv4Address(address.packed[-4:]) if address in NAT64 else address.ipv4_mapped
        if within is not None:
            return is_public(within)
        if address not in GLOBAL_UNICAST or address.sixtofour is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
