"""Around every request: its id, its log line, its size, and whatever nobody caught."""

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import BodyTooLarge, Unexpected
from core.telemetry import (
    RequestContext,
    enter_request,
    leave_request,
    logger,
    new_sid,
)
from memory.api.errors import as_app_error, error_response
from memory.api.mounts import Mount, enter

log = logger("pgtwin.request")


class RequestMiddleware:
    """The outermost of ours, so that an answer to any exception has the request's context.

    Args:
        body_limit: largest request body, in bytes.
    """

    def __init__(self, app: ASGIApp, body_limit: int) -> None:
        self._app = app
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext(sid=new_sid(headers.get("traceparent", "")))
        token = enter_request(context)
        enter(Mount.of(scope["path"]))
        answer = _Answer(send, context.sid)
        started = time.perf_counter()
        try:
            await self._app(scope, _limited(receive, headers, self._body_limit), answer)
        except Exception as error:  # noqa: BLE001  the one place where all of them end
            await self._answer_error(error, scope, receive, answer)
        finally:
            _log_request(scope, context, answer, time.perf_counter() - started)
            leave_request(token)

    async def _answer_error(
        self, error: Exception, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        shown = as_app_error(error)
        answer.code = shown.code
        if isinstance(shown, Unexpected):
            log.error("unexpected error", exc_info=error)
        elif shown.status >= 500:
            log.warning(shown.message, error=shown.kind(), cause=repr(error.__cause__ or error))
        if answer.status is not None:
            # Part of the answer has left; the connection must end with it, visibly broken.
            raise error
        await error_response(shown, cause=error)(scope, receive, answer)


class _Answer:
    """Passes an answer on, gives it the sid, and remembers its status.

    Attributes:
        code: the envelope's code, 0 unless an error was answered.
    """

    def __init__(self, send: Send, sid: str) -> None:
        self._send = send
        self._sid = sid
        self.status: int | None = None
        self.code = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self._sid
        await self._send(message)


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
    log.info(
        "request",
        method=scope["method"],
        route=context.route or "-",
        status=answer.status,
        code=answer.code,
        duration_ms=round(seconds * 1000, 2),
    )
