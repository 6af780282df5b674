"""Traces, where FUNDUSMITH_OTLP_ENDPOINT says to whom they go; otherwise each function here does nothing.

A request is a span (FastAPI makes it), and each item of the job that it places another one within:
the job's row keeps the traceparent until then.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from app.settings import Settings

Note = Callable[[Mapping[str, Any]], None]

PROBES = ("/healthz", "/readyz", "/metrics")  # they would be most of all spans

_spans: Any = None  # of this process, an app.observability.spans.Spans


def start_tracing(settings: Settings, service: str) -> None:
    """Begin to send the spans of this process, as those of ``service``. To be called behind a fork.

    Raises:
        ImportError: OpenTelemetry's SDK is not installed.
    """
    global _spans
    if settings.otlp_endpoint is None:
        return
    try:
        module = import_module("app.observability.spans")  # loads the SDK
    except ImportError as error:
        raise ImportError(
            "FUNDUSMITH_OTLP_ENDPOINT is set, but what sends traces is not installed: install "
            f"fundusmith[tracing], or leave the setting out ({error})"
        ) from error
    _spans = module.Spans(settings.otlp_endpoint, service)


def stop_tracing() -> None:
    """Send what has not been sent yet; nothing afterwards."""
    global _spans
    if _spans is not None:
        _spans.stop()
        _spans = None


def telemetry() -> Any:
    """FastAPI's configuration: what it is to make of requests."""
    if _spans is None:
        return None
    return {
        "tracer_provider": _spans.provider,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "exclude": lambda scope: scope["path"] in PROBES,
    }


def current_traceparent() -> str | None:
    """The span of the request that is being answered; None where nothing is traced."""
    return None if _spans is None else _spans.current_traceparent()


@contextmanager
def item_span(name: str, traceparent: str | None, **attributes: str | int) -> Iterator[Note]:
    """A span for the block, within the one of the request; gives what adds attributes to it."""
    if _spans is None:
        yield lambda attributes: None
        return
    with _spans.item(name, traceparent, attributes) as span:
        yield span.set_attributes
