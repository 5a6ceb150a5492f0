"""The rows of one SELECT as NDJSON, as many as there are, a portion in memory at a time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import orjson

from core.errors import AppError, StatementTimeout
from core.postgres.outcomes import Outcome
from core.postgres.tenant_connection import TenantConnection
from core.postgres.values import JsonValue, row_converter
from core.settings import Settings
from core.sqlguard import Statement
from memory.statements.executor import FAILURES, GRACE, Executor
from memory.statements.failures import explained, located
from memory.statements.place import Place
from memory.statements.run import Mode, Run

# A portion grows and shrinks towards this many bytes; one may have as many times the limit of a
# whole answer, for how long the next rows are is not known before.
PORTION_BYTES, TIMES = 262_144, 8
FIRST_ROWS, MOST_ROWS = 100, 5_000
CURSOR = "pgtwin_stream"
Encode = Callable[[Outcome], bytes]


class Streams:
    def __init__(self, executor: Executor, settings: Settings) -> None:
        self._executor = executor
        self._settings = settings

    async def lines(
        self,
        place: Place,
        statement: Statement,
        parameters: Sequence[JsonValue],
        mode: Mode,
        shape: Callable[[Outcome], Callable[[list[Any]], Any]],
        head: Callable[[Outcome], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        """Portions of lines: what `head` says of the columns, the rows, and how it ended.

        Args:
            shape: gives what makes a line's value of a row's values.

        Raises:
            AppError: before the first portion; later ones are told in the last line.
        """
        run, has_begun = Run(place, mode), False
        try:
            async with self._executor.begun(place, mode) as session:
                session.byte_limit = self._settings.sql_byte_limit * TIMES
                try:
                    run.statement = statement
                    async for portion in self._portions(session, run, parameters, shape, head):
                        yield portion
                        has_begun = True
                finally:
                    session.byte_limit = self._settings.sql_byte_limit
        except (AppError, *FAILURES) as error:
            shown = located(error, run) if isinstance(error, AppError) else explained(error, run)
            if not has_begun:
                raise shown from error
            yield _line({"error": _told(shown)})

    async def _portions(
        self,
        session: TenantConnection,
        run: Run,
        parameters: Sequence[JsonValue],
        shape: Callable[[Outcome], Callable[[list[Any]], Any]],
        head: Callable[[Outcome], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        statement = run.statement
        if statement is None:
            return
        declare = f"DECLARE {CURSOR} NO SCROLL CURSOR FOR "
        run.added = len(declare)
        patience = self._settings.sql_timeout + GRACE
        await session.run(declare + statement.sql, parameters, timeout=patience)
        run.added, wanted, rows = 0, FIRST_ROWS, 0
        ends = time.monotonic() + self._settings.sql_stream_timeout
        while True:
            if time.monotonic() > ends:
                raise StatementTimeout(
                    f"The stream took more than {self._settings.sql_stream_timeout:g} s"
                )
            outcome = await session.run(f"FETCH {wanted} FROM {CURSOR}", timeout=patience)
            made = await asyncio.to_thread(_encoded, session, outcome, run.mode, shape)
            rows += len(outcome.rows)
            opening = _line(head(outcome)) if rows == len(outcome.rows) else b""
            if len(outcome.rows) < wanted:
                yield opening + made + _line({"rows": rows, "complete": True})
                return
            yield opening + made
            fitting = wanted * PORTION_BYTES // max(1, len(made))
            wanted = max(1, min(fitting, wanted * 2, MOST_ROWS))


def _encoded(
    session: TenantConnection,
    outcome: Outcome,
    mode: Mode,
    shape: Callable[[Outcome], Callable[[list[Any]], Any]],
) -> bytes:
    convert = row_converter(outcome.columns, session.types, whole_seconds=mode.whole_seconds)
    make = shape(outcome)
    return b"".join([_line(make(convert(row))) for row in outcome.rows])


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _told(error: AppError) -> dict[str, Any]:
    return {
        "code": error.code,
        "type": error.kind(),
        "message": error.message,
        "retryable": error.retryable,
        "hint": error.hint,
        "sqlstate": error.sqlstate,
        "position": error.position,
    }
