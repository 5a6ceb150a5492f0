"""Copy schemas whole, in transactions of bounded size, where one would need too many locks.

One session, of the source's own login, keeps the source's tables from being altered and reads
all that is copied, at one snapshot. Another, of the copy's, writes: in each of its transactions
the source gives its name to the copy and has it back before the end, so nobody else sees that.
It may read nothing of the source, and each transaction sees what the ones before have made.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from core.catalog.reader import LockNeed
from core.clone.data import CopiedTable
from core.clone.dump import Definition
from core.clone.errors import TooLargeToClone
from core.clone.extras import cast_statements
from core.clone.order import CopyOrder, SchemaCopy
from core.clone.script import (
    Renaming,
    attached_apart,
    entries,
    keys_apart,
    renamed_function,
    split_before_tables,
)
from core.clone.session import SETTINGS, Connection, session
from core.clone.source import (
    definitions,
    has_members,
    inventory,
    lock_tables,
    names_in,
    names_objects,
    oid_of,
    read,
    refuse_difference,
    refuse_lost_orders,
    tables_of,
    tried_again,
)
from core.clone.stream import move_sequences, stream_rows
from core.clone.target import copy_role_defaults, functions_naming, made, replay, swap
from core.postgres.identifiers import SchemaName, literal

T = TypeVar("T")
Work = Callable[[], Awaitable[None]]

TABLES_AT_ONCE = 100
# The parts of the server's locks that all the source's tables may take, one each, for as long
# as they are read; and that one transaction may.
SHARE_OF_TABLES, SHARE_OF_STAGE = 2, 8
# Locks that an entry of a dump takes, about: of a table, with its types, TOAST and what follows.
_LOCKS_OF_RELATION, _LOCKS_OF_OTHERS = 12, 6
_RELATIONS = ("TABLE", "MATERIALIZED VIEW", "FOREIGN TABLE")


@dataclass(frozen=True, slots=True)
class _Part:
    """One schema of the source, as of the snapshot.

    Attributes:
        reader: a session that keeps it as it is.
    """

    schema: SchemaCopy
    reader: Connection
    definition: Definition
    tables: Sequence[CopiedTable]
    sequences: Sequence[str]
    casts: Sequence[Any]
    attached: Sequence[str]
    keys_first: bool
    functions: int
    inventory: set[tuple[str, str]]
    renaming: Renaming


async def copy_staged(writer: Connection, order: CopyOrder, need: LockNeed) -> None:
    """Copy all schemas of the order as one set, as of one moment, in many transactions.

    Raises:
        TooLargeToClone: even one lock for each table is too much for the server.
        AppError: what `order.report` raised.
    """
    if need.tables > need.room // SHARE_OF_TABLES:
        raise TooLargeToClone(
            f"The source has {need.tables} tables, and the server locks for {need.room}; "
            "raise max_locks_per_transaction on the server"
        )
    budget = min(need.room // SHARE_OF_STAGE, TABLES_AT_ONCE * _LOCKS_OF_RELATION)
    staging = _Staging(writer, order, budget)
    async with AsyncExitStack() as stack:
        parts = await tried_again(lambda: _source(stack, order))
        reading = [stage for part in parts for stage in staging.until_rows(part)]
        following = [stage for part in parts for stage in staging.after_rows(part)]
        staging.total = len(reading) + len(following) + 1
        for stage in reading:
            await staging.run(stage)
    # The source may be altered from here on.
    for stage in following:
        await staging.run(stage)
    await staging.run(partial(staging.end, parts))


async def _source(stack: AsyncExitStack, order: CopyOrder) -> list[_Part]:
    """What is read of the source, and sessions that keep it as it is until the stack is left."""
    async with AsyncExitStack() as tried:
        readers: dict[str, Connection] = {}
        snapshot = ""
        for url in dict.fromkeys(schema.reader.url for schema in order.schemas):
            reader = await tried.enter_async_context(session(url, order.lock_timeout))
            # Never committed: it ends with its session.
            await reader.transaction(isolation="repeatable_read").start()
            if snapshot:
                await reader.execute(f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
            await reader.execute(SETTINGS)
            snapshot = snapshot or await reader.fetchval("SELECT pg_export_snapshot()")
            readers[url] = reader
        filled, oids = [], {}
        for schema in order.schemas:
            reader = readers[schema.reader.url]
            oids[schema.key] = oid = await oid_of(reader, schema.source)
            await lock_tables(reader, schema.reader.role, oid)
            await refuse_lost_orders(reader, oid)
            if await has_members(reader, oid):
                filled.append(schema)
        found = await definitions(order, filled, reader.get_server_version().major, snapshot)
        parts = [
            await _part(readers[schema.reader.url], order, schema, oids[schema.key], definition)
            for schema, definition in zip(filled, found, strict=True)
        ]
        await stack.enter_async_context(tried.pop_all())
        return parts


async def _part(
    reader: Connection, order: CopyOrder, schema: SchemaCopy, oid: int, definition: Definition
) -> _Part:
    renaming = Renaming((schema.source.name, schema.copy.name), order.roles)
    return _Part(
        schema=schema,
        reader=reader,
        definition=definition,
        tables=await tables_of(reader, oid) if order.with_data else (),
        sequences=await names_in(reader, "sequences", oid) if order.with_data else (),
        casts=await read(reader, "casts", oid),
        attached=await names_in(reader, "inherited_orders", oid),
        keys_first=await names_objects(reader, oid),
        functions=len(await functions_naming(reader, oid, renaming)),
        inventory=await inventory(reader, oid),
        renaming=renaming,
    )


class _Staging:
    """The transactions of a copy, each of them a stage.

    Args:
        budget: locks that one may take, about.
    """

    def __init__(self, writer: Connection, order: CopyOrder, budget: int) -> None:
        self._writer = writer
        self._order = order
        self._budget = budget
        self._done = 0
        self.total = 0

    async def run(self, stage: Work) -> None:
        # What the checks of foreign keys, indexes and views are to see was committed before.
        async with self._writer.transaction(isolation="read_committed"):
            await self._writer.execute(SETTINGS)
            await stage()
        self._done += 1
        await self._order.report(self._done, self.total)

    def until_rows(self, part: _Part) -> list[Work]:
        """What is made while the source is held."""
        before_data = attached_apart(part.definition.before_data, part.attached)
        types, relations = split_before_tables(before_data)
        casts = cast_statements(part.casts)
        waiting: list[str] = []
        stages = self._replays(part, types)
        if casts:
            stages.append(partial(self._make_casts, part, casts, waiting))
        stages += self._replays(part, relations)
        if casts:
            stages.append(partial(self._make_waiting_casts, part, waiting))
        if part.keys_first:
            stages += self._replays(part, keys_apart(part.definition.after_data)[0])
        stages += [
            partial(self._copy_rows, part, tables)
            for tables in self._batches((_LOCKS_OF_RELATION, table) for table in part.tables)
        ]
        stages += [
            partial(self._move_sequences, part, names)
            for names in self._batches((_LOCKS_OF_OTHERS, name) for name in part.sequences)
        ]
        return stages

    def after_rows(self, part: _Part) -> list[Work]:
        """What needs nothing more of the source."""
        after_data = part.definition.after_data
        if part.keys_first:
            after_data = keys_apart(after_data)[1]
        stages = self._replays(part, after_data)
        stages += self._replays(part, part.definition.privileges)
        after: list[int] = [0]
        for _ in range(0, part.functions, TABLES_AT_ONCE):
            stages.append(partial(self._rename_in_functions, part, after))
        return stages

    async def end(self, parts: Sequence[_Part]) -> None:
        """Compare the whole copy with the source, and use the ticket up."""
        for part in parts:
            oid = await oid_of(self._writer, part.schema.copy)
            refuse_difference(part.inventory, await inventory(self._writer, oid))
        for schema in self._order.schemas:
            await copy_role_defaults(self._writer, self._order, schema)
        await self._writer.execute(f"SELECT pgtwin_rt.end_copy({literal(self._order.ticket)})")

    def _replays(self, part: _Part, script: str) -> list[Work]:
        weighed = (
            (_LOCKS_OF_RELATION if kind in _RELATIONS else _LOCKS_OF_OTHERS, text)
            for kind, text in entries(script)
            if text.strip()
        )
        return [partial(self._replay, part, "".join(texts)) for texts in self._batches(weighed)]

    async def _replay(self, part: _Part, script: str) -> None:
        async with self._swapped(part):
            await replay(self._writer, script, part.renaming)

    async def _make_casts(self, part: _Part, casts: Sequence[str], waiting: list[str]) -> None:
        async with self._swapped(part):
            # Tables and views may need the casts, and a cast's function may need a table.
            waiting += [cast for cast in casts if not await made(self._writer, cast)]

    async def _make_waiting_casts(self, part: _Part, waiting: Sequence[str]) -> None:
        async with self._swapped(part):
            for cast in waiting:
                await self._writer.execute(cast)

    async def _copy_rows(self, part: _Part, tables: Sequence[CopiedTable]) -> None:
        source = part.schema.source
        await part.reader.execute(f"SET LOCAL ROLE {part.schema.reader.role}")
        async with self._swapped(part):
            # Constraints may call functions that name their tables without the schema.
            await self._writer.execute(f"SET LOCAL search_path = {source}, pgtwin_ext")
            for table in tables:
                await stream_rows(part.reader, self._writer, table, source, self._order.roles)

    async def _move_sequences(self, part: _Part, names: Sequence[str]) -> None:
        await part.reader.execute(f"SET LOCAL ROLE {part.schema.reader.role}")
        async with self._swapped(part):
            await move_sequences(part.reader, self._writer, names, part.schema.source)

    async def _rename_in_functions(self, part: _Part, after: list[int]) -> None:
        """Let the texts of some more functions name the copy, which has its own name."""
        oid = await oid_of(self._writer, part.schema.copy)
        found = await functions_naming(self._writer, oid, part.renaming)
        left = [row for row in found if row["oid"] > after[0]][:TABLES_AT_ONCE]
        await self._writer.execute(f"SET LOCAL ROLE {part.schema.owner}")
        for row in left:
            await self._writer.execute(renamed_function(row["definition"], part.renaming))
            after[0] = row["oid"]

    @asynccontextmanager
    async def _swapped(self, part: _Part) -> AsyncIterator[None]:
        """Inside a transaction: the copy bears its source's name, and the session is its owner."""
        passing = SchemaName(f"pgtwin_copied_{secrets.token_hex(8)}")
        await self._writer.execute(f"SET LOCAL ROLE {part.schema.owner}")
        await swap(self._writer, self._order, part.schema, passing, True)
        yield
        await swap(self._writer, self._order, part.schema, passing, False)

    def _batches(self, weighed: Iterable[tuple[int, T]]) -> list[list[T]]:
        """What is weighed by its locks, in its order, in batches that keep to the budget."""
        batches: list[list[T]] = []
        room = 0
        for locks, each in weighed:
            if locks > room:
                batches.append([])
                room = self._budget
            batches[-1].append(each)
            room -= locks
        return batches
