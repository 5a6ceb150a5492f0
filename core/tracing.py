"""Traces over OTLP. Imported only where they are on, for the SDK is an extra and not small."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.postgres.statements import normalised
from core.telemetry import current_sid

FLUSH_SECONDS = 5.0
_PROPAGATOR = TraceContextTextMapPropagator()


class _SidAsTrace(RandomIdGenerator):
    """A trace that begins here has the request's sid as its id."""

    def generate_trace_id(self) -> int:
        return int(current_sid(), 16)


class RequestSpan:
    """The server's span of a request; current until its end."""

    def __init__(self, span: Span, context: Context) -> None:
        self._span = span
        self._token = attach(context)
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, context)
        self.traceparent = carrier.get("traceparent", "")

    def end(self, method: str, route: str, status: int | None, code: int, error: str) -> None:
        """End it.

        Args:
            route: the route's template.
            status: of HTTP; None: nothing was answered.
            code: the envelope's.
            error: the name of an error that is the service's fault, "" for none.
        """
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status or 0)
        self._span.set_attribute("pgtwin.code", code)
        if error:
            _fail(self._span, error)
        self._span.end()
        detach(self._token)


class StatementSpan:
    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, error: str) -> None:
        """End it; `error` is a SQLSTATE or an exception's name, "" for none."""
        if error:
            _fail(self._span, error)
        self._span.end()


class Tracing:
    """One a process, with a thread that sends; what it can't send is lost, and nothing else.

    The SDK's own variables hold for it: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER,
    OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME and the rest.

    Args:
        endpoint: the collector's base URL; spans go to its `/v1/traces`.
    """

    def __init__(self, endpoint: str) -> None:
        about = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "pgtwin"),
            "service.version": version("pgtwin-server"),
        }
        self._provider = TracerProvider(
            resource=Resource.create(about), id_generator=_SidAsTrace(), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("pgtwin")

    def request(self, traceparent: str, tracestate: str, method: str) -> RequestSpan:
        """Begin a request's span under the caller's, where it sent one."""
        carrier = {"traceparent": traceparent, "tracestate": tracestate}
        parent = _PROPAGATOR.extract(carrier, Context())
        span = self._tracer.start_span(
            method, parent, SpanKind.SERVER, {"http.request.method": method}
        )
        return RequestSpan(span, set_span_in_context(span, parent))

    def statement(self, statement: str) -> StatementSpan | None:
        """Begin a statement's span, inside a request's or an operation's only."""
        if not get_current_span().is_recording():
            return None
        text = normalised(statement)
        attributes = {"db.system.name": "postgresql", "db.query.text": text}
        name = text.partition(" ")[0].upper()
        return StatementSpan(
            self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        )

    @contextmanager
    def operation(self, kind: str, operation_id: int) -> Iterator[None]:
        """An operation's span: a child of the request that started it, if one did."""
        attributes = {"pgtwin.operation.kind": kind, "pgtwin.operation.id": str(operation_id)}
        with self._tracer.start_as_current_span(
            f"operation {kind}",
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                _fail(span, type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is left; a collector that does not answer is not waited for longer."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR))
