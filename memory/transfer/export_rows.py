"""A SELECT's rows by COPY, in a session of the caller's, as they are wanted."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from core.errors import AppError, SessionsExhausted, StatementTimeout
from core.postgres.errors import is_rerunnable, sqlstate
from core.postgres.identifiers import Identifier
from core.postgres.tenant_connection import TenantConnection
from core.settings import Settings
from core.sqlguard import Statement
from core.transfer.writers import CsvForm, CsvWriter, Source, Writer
from core.transfer.writers_json import JsonWriter
from memory.statements.answers import keys
from memory.statements.executor import FAILURES, GRACE, RERUNS, Executor
from memory.statements.failures import NOT_PERMITTED, UNDEFINED_TABLE, explained, located
from memory.statements.place import Place
from memory.statements.run import Mode, Run
from memory.transfer.export_schemas import ExportData, Format
from memory.transfer.turns import Turns

# One row may have as many times the limit of a whole answer.
TIMES = 8
NOT_LOCKABLE = "42809"
MODE = Mode(read_only=True, snapshot=True)
# Precision and scale, which may be negative since 15.
_DIGITS = """
SELECT attname,
       (atttypmod OPERATOR(pg_catalog.-) 4) OPERATOR(pg_catalog.>>) 16,
       (atttypmod OPERATOR(pg_catalog.-) 4) OPERATOR(pg_catalog.&) 2047
FROM pg_catalog.pg_attribute
WHERE attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)
AND atttypid OPERATOR(pg_catalog.=) 1700::pg_catalog.oid
AND atttypmod OPERATOR(pg_catalog.>=) 4
"""


@dataclass(frozen=True, slots=True)
class Export:
    place: Place
    statement: Statement
    body: ExportData


class ExportedRows:
    def __init__(self, executor: Executor, settings: Settings) -> None:
        self._executor = executor
        self._settings = settings
        self.seconds = settings.sql_stream_timeout
        # A file leaves as slowly as its reader takes it: half of a login's sessions, and of all,
        # are left to calls that are short.
        self._turns = Turns[str](
            SessionsExhausted,
            at_once=max(1, settings.sql_sessions // 2),
            each=max(1, settings.sql_sessions_per_login // 2),
        )
        self._patience = settings.sql_timeout + GRACE

    async def portions(self, export: Export) -> AsyncGenerator[bytes, None]:
        """The file, as of one moment.

        Raises:
            AppError: what failed; before the first portion it was tried again where it may help.
        """
        reruns, is_admitted, locks = 0, export.place.end_user is None, True
        while True:
            run, has_begun = Run(export.place, MODE), False
            try:
                async with (
                    self._turns.turn(export.place.login.name, self._settings.pool_timeout),
                    self._executor.begun(export.place, MODE) as session,
                    aclosing(self._file(session, run, export, locks=locks)) as portions,
                ):
                    async for portion in portions:
                        has_begun = True
                        yield portion
                return
            except AppError as error:
                raise located(error, run) from error.__cause__
            except FAILURES as error:
                state = sqlstate(error)
                if has_begun:
                    raise explained(error, run) from error
                if is_rerunnable(error) and reruns < RERUNS:
                    reruns += 1
                elif locks and state in (NOT_LOCKABLE, UNDEFINED_TABLE):
                    # A materialised view, a sequence; or the statement itself says where.
                    locks = False
                elif state == NOT_PERMITTED and not is_admitted:
                    await self._executor.admit(export.place)
                    is_admitted = True
                else:
                    raise explained(error, run) from error

    async def _file(
        self, session: TenantConnection, run: Run, export: Export, *, locks: bool
    ) -> AsyncGenerator[bytes, None]:
        ends = monotonic() + self.seconds
        own = (None, export.place.schema.name)
        relations = [each for each in export.statement.relations if each.schema in own]
        named = [Identifier(each.name) for each in relations]
        await self._executor.freeze(session, export.place, named if locks else (), self.seconds)
        if export.body.sql is not None:
            run.statement = export.statement
        columns = await session.describe(export.statement.sql, timeout=self._patience)
        source = Source(export.statement.sql, columns, keys(columns), session.types)
        writer = await self._writer(session, source, export.body)
        # What PostgreSQL says from here on is of a text that is not the caller's.
        run.statement = None
        limit, session.byte_limit = session.byte_limit, self._settings.sql_byte_limit * TIMES
        try:
            async with aclosing(self._copied(session, writer, ends)) as portions:
                async for rows in portions:
                    made = (
                        await asyncio.to_thread(writer.portion, rows)
                        if writer.is_heavy
                        else writer.portion(rows)
                    )
                    if made:
                        yield made
        finally:
            session.byte_limit = limit
        yield await asyncio.to_thread(writer.end)

    async def _copied(
        self, session: TenantConnection, writer: Writer, ends: float
    ) -> AsyncGenerator[bytes, None]:
        """Whole rows, some of them at a time; reading stops while they are not taken away."""
        ready: asyncio.Queue[bytes] = asyncio.Queue(1)
        kept: list[bytes] = []
        size = 0

        async def take(data: bytes) -> None:
            nonlocal size
            kept.append(data)
            size += len(data)
            if size >= writer.portion_bytes:
                rows, size = b"".join(kept), 0
                kept.clear()
                await ready.put(rows)

        async def read() -> None:
            try:
                await session.copy_out(writer.copy, take, timeout=max(0.001, ends - monotonic()))
                if kept:
                    await ready.put(b"".join(kept))
            finally:
                # Whoever waits sees that it has ended; whoever does not will look.
                with suppress(asyncio.QueueFull):
                    ready.put_nowait(b"")

        reading = asyncio.create_task(read())
        try:
            while not (reading.done() and ready.empty()):
                async with asyncio.timeout(self._patience):
                    rows = await ready.get()
                if rows:
                    yield rows
            await reading
        except TimeoutError:
            raise StatementTimeout from None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _writer(self, session: TenantConnection, source: Source, body: ExportData) -> Writer:
        match body.format:
            case Format.CSV:
                form = CsvForm(body.delimiter, body.null, body.header, body.escape_formulas)
                return CsvWriter(source, form)
            case Format.PARQUET:
                return await self._parquet(session, source, body)
            case _:
                return JsonWriter(source, is_array=body.format is Format.JSON)

    async def _parquet(self, session: TenantConnection, source: Source, body: ExportData) -> Writer:
        # Arrow takes memory, so it comes with the first file that needs it.
        parquet = await asyncio.to_thread(_parquet_module)
        digits = {} if body.sql is not None else await self._digits(session, source, body)
        query, asked = parquet.unfit_query(source, digits)
        texts: frozenset[int] = frozenset()
        if asked:
            outcome = await session.run(query, timeout=self._patience)
            found = zip(asked, outcome.rows[0], strict=True)
            texts = frozenset(place for place, is_unfit in found if is_unfit == "t")
        made: Writer = parquet.ParquetWriter(source, digits, texts)
        return made

    async def _digits(
        self, session: TenantConnection, source: Source, body: ExportData
    ) -> Mapping[int, tuple[int, int]]:
        """By the place of a column: what a table declares of its numbers."""
        table = str(Identifier(body.table_name or ""))
        outcome = await session.run(_DIGITS, (table,), timeout=self._patience)
        declared = {
            name: (int(digits or 0), int(scale or 0)) for name, digits, scale in outcome.rows
        }
        return {
            place: declared[column.name]
            for place, column in enumerate(source.columns)
            if column.name in declared
        }


def _parquet_module() -> Any:
    from core.transfer import writers_parquet

    return writers_parquet
