"""One attempt of one delivery: a signed request as Standard Webhooks describes it."""

import asyncio
import json
import socket
from contextlib import suppress

import httpx
from standardwebhooks import Webhook

from app import __version__
from app.clock import Clock, utc_now
from app.jobs.tables import LONGEST_ERROR
from app.webhooks.deliveries import Attempt, Outcome
from app.webhooks.targets import ForbiddenTarget, check_url, resolve

TIMEOUT_SECONDS = 15.0
CONNECT_SECONDS = 5.0  # for each address of the host


def open_client() -> httpx.AsyncClient:
    """The client for :func:`send`.

    Certificates are checked against certifi's list, or that of SSL_CERT_FILE. Connections are used
    once: they are made to addresses, and two hosts can have the same one.
    """
    return httpx.AsyncClient(
        verify=httpx.create_ssl_context(),
        trust_env=False,
        timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_keepalive_connections=0),
    )


async def send(
    client: httpx.AsyncClient,
    attempt: Attempt,
    secret: str,
    private_targets: bool = False,
    clock: Clock = utc_now,
) -> Outcome:
    """Send the event to its receiver. Whatever goes wrong there is in the outcome."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):  # however slowly the receiver speaks
            return await _send(client, attempt, secret, private_targets, clock)
    except TimeoutError:
        return Outcome(f"There was no answer within {TIMEOUT_SECONDS:g} s.")
    except ForbiddenTarget as error:
        return Outcome(_printable(str(error)), permanent=True)
    except socket.gaierror as error:
        return Outcome(
            f"The host was not found: {error.strerror}", error.errno == socket.EAI_NONAME
        )
    except httpx.HTTPError as error:
        return Outcome(_printable(f"{type(error).__name__}: {error}"))


def payload(attempt: Attempt) -> str:
    """The body, JSON: what happened, and where to see more; the same in every attempt."""
    home = f"/datasets/{attempt.job_id}"
    status = attempt.event.partition(".")[2]
    links = {"self": home, "download": f"{home}/download" if status == "succeeded" else None}
    return json.dumps(
        {
            "type": attempt.event,
            "timestamp": attempt.created_at.isoformat(),
            "data": {"id": attempt.job_id, "status": status, "links": links},
        }
    )


async def _send(
    client: httpx.AsyncClient, attempt: Attempt, secret: str, private_targets: bool, clock: Clock
) -> Outcome:
    url = check_url(attempt.url, private_targets)
    now, body = clock(), payload(attempt)
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": f"Fundusmith/{__version__}",
        "webhook-id": attempt.delivery_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(attempt.delivery_id, now, body),
    }
    name = url.raw_host.decode("ascii")  # which a certificate must hold for, and no address

    async def post_to(address: str) -> Outcome:
        async with client.stream(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": name},
        ) as response:
            return await _judge(response)

    *others, last = await resolve(url, private_targets)
    for address in others:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await post_to(address)
    return await post_to(last)


async def _judge(response: httpx.Response) -> Outcome:
    if response.is_success:
        return Outcome()
    said = f"The receiver answered {response.status_code} {response.reason_phrase}"
    if response.status_code == httpx.codes.GONE:
        return Outcome(_printable(said), permanent=True)
    start = b""
    async for chunk in response.aiter_raw():
        start += chunk
        if len(start) >= LONGEST_ERROR:
            break
    return Outcome(_printable(f"{said}: {start[:LONGEST_ERROR].decode(errors='replace')}"))


def _printable(text: str) -> str:
    """What of the text can be stored and shown: no control characters, not too much."""
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_ERROR]
