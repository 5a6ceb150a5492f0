"""Read what a schema holds from the catalog, as the service; no tenant's code runs for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

QUERIES: dict[str, str] = {
    name: query.strip()
    for name, query in re.findall(
        r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)",
        files("core.catalog").joinpath("queries.sql").read_text(),
        re.MULTILINE | re.DOTALL,
    )
}


def numbered(name: str) -> tuple[str, list[str]]:
    """A query for the bare driver, and the names of its parameters in their order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return re.sub(r"(?<!:):([a-z_]+)", number, QUERIES[name]), names


@dataclass(frozen=True, slots=True)
class SchemaSize:
    """How much is in a schema: its tables, and bytes with indexes and TOAST."""

    tables: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LockNeed:
    """Locks that a transaction over some schemas takes, about, and that the server has."""

    needed: int
    room: int
    objects: int


async def lock_need(connection: AsyncConnection, names: Sequence[str]) -> LockNeed:
    """What making or dropping all that is in the schemas takes of the server's lock table."""
    rows = await connection.execute(text(QUERIES["lock_need"]), {"schema_names": list(names)})
    row = rows.one()
    return LockNeed(row.needed, row.room, row.objects)


async def droppable(connection: AsyncConnection, names: Sequence[str], limit: int) -> list[str]:
    """Statements that drop up to so many objects, none of which takes many others along.

    Children go before the tables that they are part of, one by one.
    """
    rows = await connection.execute(
        text(QUERIES["droppable"]), {"schema_names": list(names), "limit": limit}
    )
    return [f"DROP {row.kind} IF EXISTS {row.name} CASCADE" for row in rows]


async def schema_sizes(connection: AsyncConnection, names: Sequence[str]) -> dict[str, SchemaSize]:
    """The sizes of those of the schemas that exist."""
    rows = await connection.execute(text(QUERIES["schema_sizes"]), {"schema_names": list(names)})
    return {row.schema_name: SchemaSize(row.tables, row.size_bytes) for row in rows}
