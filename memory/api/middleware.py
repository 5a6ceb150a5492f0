"""Around every request: its id, its log line, its size, and whatever nobody caught."""

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import AppError, BodyTooLarge, Unexpected
from core.metrics import Metrics
from core.settings import Settings
from core.telemetry import (
    RequestContext,
    enter_request,
    leave_request,
    log_often,
    logger,
    new_sid,
)
from memory.api.errors import as_app_error, error_response
from memory.api.mounts import Mount, enter

if TYPE_CHECKING:
    from core.tracing import RequestSpan, Tracing

NAME = "pgtwin.request"
log = logger(NAME)
# Asked every few seconds; a line for each would bury the rest.
PROBES = frozenset({"/metrics", "/healthz", "/readyz"})
# Whatever else has no template is one route, whoever tries how many paths.
NAMED = PROBES | {"/", "/docs", "/openapi.json"}
OTHER = "other"
UPLOADS = frozenset(f"{mount}/upload_data" for mount in Mount)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest bodies of requests and of uploads, in bytes."""

    body: int
    upload: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(settings.body_limit, settings.upload_limit)

    def at(self, path: str) -> int:
        return self.upload if path in UPLOADS else self.body


class RequestMiddleware:
    """The outermost of ours, so that an answer to any exception has the request's context.

    Args:
        limits: of request bodies.
        tracing: makes a span of each request; None: no spans.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: Metrics, tracing: "Tracing | None" = None
    ) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext(sid=new_sid(headers.get("traceparent", "")))
        token = enter_request(context)
        enter(Mount.of(scope["path"]))
        span = self._span(scope, headers, context)
        answer = _Answer(send, context)
        started = time.perf_counter()
        try:
            await self._app(
                scope, _limited(receive, headers, self._limits.at(scope["path"])), answer
            )
        except Exception as error:  # noqa: BLE001  the one place where all of them end
            await self._answer_error(error, scope, receive, answer)
        finally:
            self._count(scope, context, answer, time.perf_counter() - started, span)
            leave_request(token)

    def _span(
        self, scope: Scope, headers: Headers, context: RequestContext
    ) -> "RequestSpan | None":
        if self._tracing is None:
            return None
        span = self._tracing.request(
            headers.get("traceparent", ""), headers.get("tracestate", ""), _method(scope)
        )
        context.traceparent = span.traceparent
        return span

    def _count(
        self,
        scope: Scope,
        context: RequestContext,
        answer: "_Answer",
        seconds: float,
        span: "RequestSpan | None",
    ) -> None:
        """The one place where a request's numbers are taken."""
        method, route = _method(scope), context.route
        if not route:
            route = scope["path"] if scope["path"] in NAMED else OTHER
        self._metrics.request(route, method, answer.code, seconds)
        if span is not None:
            span.end(method, route, answer.status, answer.code, answer.fault)
        _log_request(scope, context, answer, seconds)

    async def _answer_error(
        self, error: Exception, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        shown = as_app_error(error)
        answer.failed(shown)
        if isinstance(shown, Unexpected):
            log.error("unexpected error", exc_info=error)
        elif shown.status >= 500:
            log.warning(shown.message, error=shown.kind(), cause=repr(error.__cause__ or error))
        if answer.status is not None:
            # Part of the answer has left; the connection must end with it, visibly broken.
            raise error
        await error_response(shown, cause=error)(scope, receive, answer)


# Clients look whether it is theirs.
VERSION = version("pgtwin-server")


class _Answer:
    """Passes an answer on, gives it the sid, and remembers its status.

    Attributes:
        code: the envelope's code, 0 unless an error was answered.
        fault: the error's name where the fault is the service's, "" otherwise.
    """

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self.status: int | None = None
        self.code = 0
        self.fault = ""

    def failed(self, error: AppError) -> None:
        self.code = error.code
        self.fault = error.kind() if error.status >= 500 else ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._context.sid
            headers["Pgtwin-Version"] = VERSION
            if self._context.traceparent:
                headers["traceparent"] = self._context.traceparent
        await self._send(message)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def _limited(receive: Receive, headers: Headers, limit: int) -> Receive:
    """Receive no more of a body than the limit."""
    declared = headers.get("content-length", "")
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes")
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes")
        return message

    return receive_limited


def _log_request(scope: Scope, context: RequestContext, answer: _Answer, seconds: float) -> None:
    fields = {
        "method": scope["method"],
        "route": context.route or "-",
        "status": answer.status,
        "code": answer.code,
        "duration_ms": round(seconds * 1000, 2),
    }
    if scope["path"] in PROBES:
        log.debug("request", **fields)
    else:
        log_often(NAME, "request", fields)
