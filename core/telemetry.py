"""Logs, set up once; what a request is known by, wherever it is logged."""

import logging
import os
import random
import re
import sys
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog

from core.settings import Settings

# Nothing hangs on nobody guessing a sid; the system's own source costs a call of it for each.
_sids = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_sids.seed)
# W3C Trace Context, section 3.2: version, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(slots=True)
class RequestContext:
    """What is known of the request at hand; filled in on the request's way.

    Attributes:
        sid: the request's id, in its answer and in every log line.
        route: the route's template, not the path with its ids.
        uid: for whom the caller acts.
        traceparent: what a call that the request causes elsewhere sends; "" without traces.
    """

    sid: str
    route: str = ""
    uid: str = ""
    traceparent: str = ""


_request: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def enter_request(context: RequestContext) -> Token[RequestContext | None]:
    return _request.set(context)


def leave_request(token: Token[RequestContext | None]) -> None:
    _request.reset(token)


def current_request() -> RequestContext | None:
    return _request.get()


def current_sid() -> str:
    """The request's sid; a new one outside of any request."""
    context = _request.get()
    return context.sid if context else new_sid()


def new_sid(traceparent: str = "") -> str:
    """The trace id of a W3C `traceparent` header, or 32 random hexadecimal digits."""
    found = _TRACEPARENT.match(traceparent)
    if found and set(found[1]) != {"0"}:
        return found[1]
    return f"{_sids.getrandbits(128):032x}"


def configure_logs(settings: Settings) -> None:
    """Send every log line, the web server's and the libraries' too, to standard error."""
    human = settings.log_format == "human" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    shared: list[Any] = [
        _add_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        # The default formatter shows local variables, and with them secrets.
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if human
        else structlog.processors.JSONRenderer(serializer=_to_json)
    )
    trace = [] if human else [structlog.processors.format_exc_info]
    handler = _Lines(sys.stderr, is_json=not human)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *trace,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # Alembic tells each step at info; the service says itself what it migrated.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Nor does every step of the web server's start and end need a line.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # SQLAlchemy logs a pool's end under our class's module.
    logging.getLogger("core.postgres.engine").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Lines(logging.StreamHandler[TextIO]):
    """Where all log lines go."""

    def __init__(self, stream: TextIO, *, is_json: bool) -> None:
        super().__init__(stream)
        self.is_json = is_json

    def write(self, fields: dict[str, Any]) -> None:
        line = f"{_to_json(fields)}\n"
        # As any handler, it has nowhere to say that its stream is gone.
        self.acquire()
        try:
            with suppress(OSError, ValueError):
                self.stream.write(line)
                self.flush()
        finally:
            self.release()


def log_often(name: str, event: str, fields: dict[str, Any]) -> None:
    """A line at info that comes with every request; `logger` would take four times as long.

    Where lines are for people, or somebody else listens to them, it goes the usual way.
    """
    if not logging.getLogger(name).isEnabledFor(logging.INFO):
        return
    handlers = logging.getLogger().handlers
    handler = handlers[0] if len(handlers) == 1 else None
    if not isinstance(handler, _Lines) or not handler.is_json:
        logger(name).info(event, **fields)
        return
    line = _add_request(None, "info", fields | {"event": event})
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    handler.write(line | {"level": "info", "logger": name, "timestamp": now})


def logger(name: str) -> structlog.stdlib.BoundLogger:
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def _add_request(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    context = _request.get()
    if context is not None:
        event.setdefault("sid", context.sid)
        if context.uid:
            event.setdefault("uid", context.uid)
    return event


def _to_json(value: Any, **_options: Any) -> str:
    return orjson.dumps(value, default=str).decode()
