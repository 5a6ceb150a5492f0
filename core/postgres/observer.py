"""Watches the service's statements: slow ones are logged, and spans made where traces are on."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from core.postgres.errors import sqlstate
from core.postgres.statements import fingerprint, normalised
from core.telemetry import logger

if TYPE_CHECKING:
    from core.tracing import Tracing

T = TypeVar("T")
log = logger("pgtwin.statements")


class StatementObserver:
    """Around every statement that is sent.

    Args:
        slow_ms: milliseconds from which a statement is logged; 0: none is.
        tracing: None makes no spans.
    """

    def __init__(self, slow_ms: float, tracing: "Tracing | None") -> None:
        self._slow_seconds = slow_ms / 1000
        self._tracing = tracing

    async def observe(self, statement: str, send: Callable[..., Awaitable[T]], *given: Any) -> T:
        span = self._tracing.statement(statement) if self._tracing else None
        started, failed = time.perf_counter(), ""
        try:
            return await send(statement, *given)
        except BaseException as error:
            # A message has values.
            failed = sqlstate(error) or type(error).__name__
            raise
        finally:
            seconds = time.perf_counter() - started
            if span is not None:
                span.end(failed)
            if self._slow_seconds and seconds >= self._slow_seconds:
                _log_slow(statement, seconds, failed)


class ObservedConnection(asyncpg.Connection):
    """The driver's connection; what its methods send is observed."""

    observer = StatementObserver(0, None)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        return await self.observer.observe(query, partial(super().execute, **options), *args)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.observer.observe(query, partial(super().fetch, **options), *args)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.observer.observe(query, partial(super().fetchrow, **options), *args)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.observer.observe(query, partial(super().fetchval, **options), *args)


def _log_slow(statement: str, seconds: float, failed: str) -> None:
    text = normalised(statement)
    log.warning(
        "slow statement",
        statement=text,
        fingerprint=fingerprint(text),
        duration_ms=round(seconds * 1000, 2),
        **({"error": failed} if failed else {}),
    )
