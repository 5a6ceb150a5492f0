"""Read what a schema holds from the catalog, as the service; no tenant's code runs for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from core.postgres.engine import Session

QUERIES: dict[str, str] = {
    name: query.strip()
    for file in ("queries.sql", "inspection.sql")
    for name, query in re.findall(
        r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)",
        files("core.catalog").joinpath(file).read_text(),
        re.MULTILINE | re.DOTALL,
    )
}


@cache
def numbered(name: str) -> tuple[str, list[str]]:
    """A query for the bare driver, and the names of its parameters in their order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return re.sub(r"(?<!:):([a-z_]+)", number, QUERIES[name]), names


@dataclass(frozen=True, slots=True)
class LockNeed:
    """Locks that a transaction over some schemas takes, about, and that the server has.

    Attributes:
        tables: how many there are, partitions and partitioned tables among them.
    """

    needed: int
    room: int
    objects: int
    tables: int


async def droppable(session: Session, names: Sequence[str], limit: int) -> list[str]:
    """Statements that drop up to so many objects, none of which takes many others along.

    Children go before the tables that they are part of, one by one.
    """
    query, _ = numbered("droppable")
    rows = await session.fetch(query, list(names), limit)
    return [f"DROP {row['kind']} IF EXISTS {row['name']} CASCADE" for row in rows]
