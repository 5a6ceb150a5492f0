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


@dataclass(frozen=True, slots=True)
class SchemaSize:
    """How much is in a schema: its tables, and bytes with indexes and TOAST."""

    tables: int = 0
    size_bytes: int = 0


async def schema_sizes(connection: AsyncConnection, names: Sequence[str]) -> dict[str, SchemaSize]:
    """The sizes of those of the schemas that exist."""
    rows = await connection.execute(text(QUERIES["schema_sizes"]), {"schema_names": list(names)})
    return {row.schema_name: SchemaSize(row.tables, row.size_bytes) for row in rows}
