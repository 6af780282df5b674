"""Spans of OpenTelemetry, sent by OTLP over HTTP. Needs the extra ``tracing``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__

EXPORT_SECONDS = 5  # after which a batch that nobody takes is given up

_PROPAGATOR = TraceContextTextMapPropagator()


class Spans:
    """Those of one process. Its thread does not survive a fork: to be made behind it."""

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create({"service.name": service, "service.version": __version__})
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("fundusmith", __version__)

    def current_traceparent(self) -> str | None:
        """The current span as a W3C traceparent."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    @contextmanager
    def item(
        self, name: str, traceparent: str | None, attributes: Mapping[str, str | int]
    ) -> Iterator[Span]:
        """A span for the block, within the one that ``traceparent`` names."""
        context = _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {})
        with self._tracer.start_as_current_span(
            name, context, SpanKind.CONSUMER, dict(attributes)
        ) as span:
            yield span

    def stop(self) -> None:
        """Send what is left."""
        self.provider.shutdown()
