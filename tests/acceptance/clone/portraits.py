"""All that a copy must share with its source, as texts under titles."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import asyncpg

from tests.acceptance.clone.dumps import dump, entries
from tests.acceptance.clone.twins import Connection, Half

Portrait = dict[str, str]

_LONGEST = 300
_QUERIES = {
    part.partition("\n")[0].strip(): part.partition("\n")[2]
    for part in files(__package__).joinpath("queries.sql").read_text().split("-- name: ")[1:]
}


def query(name: str) -> str:
    return _QUERIES[name]


async def portrait(half: Half, *, quoting: Half | None = None) -> Portrait:
    """Definition, rows, sequences, views' answers and materialized views of one environment.

    Args:
        quoting: the source, which a copy's comments may still name.
    """
    # The rows first: pg_dump and what it takes to read every row would wait for each other.
    async with half.as_owner() as connection:
        found = await _definition(connection, half, quoting) | await _contents(connection, half)
    return found | entries(await dump(half), half, quoting)


async def _definition(connection: Connection, half: Half, quoting: Half | None) -> Portrait:
    """What pg_dump leaves out of a single schema's dump."""
    found: Portrait = {}
    for title in ("objects", "casts", "default privileges"):
        rows = [row["found"] for row in await connection.fetch(query(title), half.schema.name)]
        text = half.hide_names("\n".join(sorted(rows)))
        found[title] = quoting.hide_names(text) if quoting and title == "casts" else text
    return found


async def _contents(connection: Connection, half: Half) -> Portrait:
    """Read as the owner, who first gives himself back the rights that he took from himself."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for row in await connection.fetch(query("obstacles"), half.schema.name):
            await connection.execute(row["remedy"])
        found: Portrait = {}
        for row in await connection.fetch(query("relations"), half.schema.name):
            title = f"{row['kind']} {half.hide_names(row['name'])}"
            if row["kind"] == "sequence":
                found[title] = str(tuple(await connection.fetchrow(row["statement"])))
            elif row["kind"] == "view":
                found[title] = await outcome(connection, half, row["statement"])
            elif row["populated"]:
                names = row["named_columns"]
                found[title] = _rows(await connection.fetch(row["statement"]), half, names)
            else:
                found[title] = "not populated"
        return found
    finally:
        await transaction.rollback()


def _rows(rows: Sequence[Any], half: Half, named_columns: Sequence[int]) -> str:
    """One line a row, in an order of their own; long values as their digests.

    Args:
        named_columns: those whose values print or repeat names that are not data.
    """
    lines = []
    for row in rows:
        values = [
            half.hide_names(value) if position in named_columns else value
            for position, value in enumerate(row["row"], 1)
        ]
        lines.append(", ".join(map(_shortened, values)))
    return "\n".join([f"{len(lines)} rows", *sorted(lines)])


def _shortened(value: str) -> str:
    if len(value) <= _LONGEST:
        return value
    digest = hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
    return f"{value[:60]}... {len(value)} characters, {digest}"


async def outcome(connection: Connection, half: Half, statement: str) -> str:
    """What a statement answers, or the error that it meets, with the half's names hidden."""
    try:
        if connection.is_in_transaction():
            async with connection.transaction():
                rows = await connection.fetch(statement)
        else:
            rows = await connection.fetch(statement)
    except asyncpg.PostgresError as error:
        constraint = getattr(error, "constraint_name", None) or ""
        # Details show rows, whose times and random values differ.
        return half.hide_names(f"{error.sqlstate} {constraint}: {str(error).splitlines()[0]}")
    return half.hide_names("\n".join(["done", *map(str, map(tuple, rows))]))


async def behaviour(half: Half, statements: Sequence[str]) -> Portrait:
    """What the statements answer one after the other, and an INSERT of defaults in every table."""
    found: Portrait = {}
    async with half.as_owner() as connection:
        for number, statement in enumerate(statements, 1):
            title = f"then {number}: {half.hide_names(statement)}"
            found[title] = await outcome(connection, half, statement)
        for row in await connection.fetch(query("insert defaults"), half.schema.name):
            title = f"insert into {half.hide_names(row['name'])}"
            found[title] = await outcome(connection, half, row["statement"])
    return found
