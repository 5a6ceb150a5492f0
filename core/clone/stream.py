"""Rows and sequences' positions, read by one session and written by another.

The reading one keeps the tables locked, so it never waits for a lock that somebody who wants to
alter them waits for; the writing one sees what earlier transactions of the copy have written.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg

from core.clone.data import CopiedTable, named_rows
from core.clone.session import Connection
from core.postgres.identifiers import Identifier, SchemaName, literal

# Of up to half a megabyte each, as the driver has them.
_CHUNKS = 4
_POSITIONS = "SELECT {name}, last_value, is_called FROM {sequence}"


async def stream_rows(
    reader: Connection,
    writer: Connection,
    table: CopiedTable,
    schema: SchemaName,
    roles: Mapping[str, str],
) -> None:
    """Copy a table's rows.

    Args:
        schema: the source's name, which the copy bears in the writer's transaction.
        roles: the source's roles to the copy's.
    """
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS)

    async def read() -> None:
        try:
            await _read(reader, table, schema, roles, chunks)
        except Exception:
            await chunks.put(None)
            raise
        await chunks.put(None)

    reading = asyncio.create_task(read())
    try:
        first = await chunks.get()
        if first is not None:
            await writer.copy_to_table(
                table.into,
                schema_name=schema.name,
                columns=table.columns or None,
                source=_following(first, chunks),
            )
        # What was written of a table that could not be read whole is rolled back.
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _following(first: bytes, chunks: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    chunk: bytes | None = first
    while chunk is not None:
        yield chunk
        chunk = await chunks.get()


async def _read(
    reader: Connection,
    table: CopiedTable,
    schema: SchemaName,
    roles: Mapping[str, str],
    chunks: asyncio.Queue[bytes | None],
) -> None:
    if not table.forced and "named" not in table.ways:
        # Without a plan, and so without locks on the indexes.
        await reader.copy_from_table(
            table.name,
            schema_name=schema.name,
            columns=table.columns or None,
            output=chunks.put,
        )
        return
    passing = reader.transaction()
    await passing.start()
    if table.forced:
        # Row security that binds even the owner would hide rows.
        name = f"{schema}.{Identifier(table.name)}"
        await reader.execute(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY")
    await reader.copy_from_query(named_rows(table, schema, roles), output=chunks.put)
    # With it go the locks that were taken since.
    await passing.rollback()


async def move_sequences(
    reader: Connection, writer: Connection, names: Sequence[str], schema: SchemaName
) -> None:
    """Bring the copy's sequences to where the source's are."""
    passing = reader.transaction()
    await passing.start()
    rows: list[asyncpg.Record] = await reader.fetch(
        " UNION ALL ".join(
            _POSITIONS.format(name=literal(name), sequence=f"{schema}.{Identifier(name)}")
            for name in names
        )
    )
    await passing.rollback()
    await writer.execute(
        ";".join(
            f"SELECT pg_catalog.setval({literal(f'{schema}.{Identifier(row[0])}')}::regclass,"
            f" {row[1]}, {row[2]})"
            for row in rows
        )
    )
