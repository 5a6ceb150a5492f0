"""What a clone reads of its source, and how it keeps the source from changing meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from core.catalog.reader import LockNeed, numbered
from core.clone.data import CopiedTable
from core.clone.dump import Definition, dump_definition
from core.clone.errors import CannotBeCloned, SourceChanged
from core.clone.order import CopyOrder, SchemaCopy
from core.clone.session import Connection
from core.postgres.identifiers import RoleName, SchemaName

TRIES = 5
T = TypeVar("T")


async def tried_again(work: Callable[[], Awaitable[T]]) -> T:
    """What the work gives, begun anew a few times where the source is altered meanwhile."""
    for _ in range(TRIES - 1):
        try:
            return await work()
        except SourceChanged:
            continue
    return await work()


async def definitions(
    order: CopyOrder, schemas: Sequence[SchemaCopy], major: int, snapshot: str
) -> list[Definition]:
    """The schemas' definitions as of a snapshot.

    Args:
        major: the server's major version.
    """
    programs = order.programs(major)
    tasks = [
        asyncio.create_task(dump_definition(programs, s.reader, s.source, snapshot))
        for s in schemas
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        # Where one failed, the other must not go on by itself.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def lock_tables(connection: Connection, role: RoleName, oid: int) -> None:
    """Keep a schema's tables from being altered until the transaction ends.

    Args:
        role: one that may read them.

    Raises:
        SourceChanged: one was rewritten after the transaction's snapshot was taken, which so
            sees none of its rows.
    """
    rows = await connection.fetch(
        "SELECT c.oid, c.oid::regclass::text AS name, c.relfilenode"
        " FROM pg_depend d JOIN pg_class c ON c.oid = d.objid"
        " WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = $1"
        " AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p') ORDER BY c.oid",
        oid,
    )
    if not rows:
        return
    tables = ", ".join(f"ONLY {row['name']}" for row in rows)
    await connection.execute(f"SET LOCAL ROLE {role}")
    await connection.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
    await connection.execute("RESET ROLE")
    # The query above sees the snapshot's files, this function those of the moment.
    rewritten = await connection.fetchval(
        "SELECT min(oid::regclass::text) FROM unnest($1::oid[], $2::oid[]) AS seen (oid, file)"
        " WHERE file <> 0 AND pg_relation_filenode(oid) IS DISTINCT FROM file",
        [row["oid"] for row in rows],
        [row["relfilenode"] for row in rows],
    )
    if rewritten is not None:
        raise SourceChanged(f"The table {rewritten} was rewritten meanwhile")


async def refuse_lost_orders(connection: Connection, oid: int) -> None:
    for row in await read(connection, "inherited_orders", oid):
        if not row["attachable"]:
            raise CannotBeCloned(
                f"The columns of the table {row['table_name']} lie in an order that can't be made "
                "again: its parents got columns or constraints after it had its own"
            )


async def tables_of(connection: Connection, oid: int) -> list[CopiedTable]:
    return [
        CopiedTable(
            r["table_name"], r["columns"], r["ways"], r["types"], r["forced"], r["into_table"]
        )
        for r in await read(connection, "copied_tables", oid)
    ]


async def names_in(connection: Connection, query: str, oid: int) -> list[str]:
    """The first column of a query of the catalog."""
    return [str(row[0]) for row in await read(connection, query, oid)]


async def inventory(connection: Connection, oid: int) -> set[tuple[str, str]]:
    return {(row["kind"], row["name"]) for row in await read(connection, "inventory", oid)}


def refuse_difference(wanted: set[tuple[str, str]], found: set[tuple[str, str]]) -> None:
    """Refuse a copy that lacks anything of its source."""
    if wanted != found:
        kind, name = min(wanted ^ found)
        raise SourceChanged(f"The copy differs from its source in the {kind} {name}")


async def need_of_locks(connection: Connection, order: CopyOrder) -> LockNeed:
    query, _ = numbered("lock_need")
    [row] = await connection.fetch(query, [schema.source.name for schema in order.schemas])
    return LockNeed(**row)


async def has_members(connection: Connection, oid: int) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_depend"
            " WHERE refclassid = 'pg_namespace'::regclass AND refobjid = $1)",
            oid,
        )
    )


async def names_objects(connection: Connection, oid: int) -> bool:
    return bool((await read(connection, "names_objects", oid))[0]["found"])


async def read(connection: Connection, name: str, oid: int) -> list[Any]:
    query, names = numbered(name)
    return list(await connection.fetch(query, *(oid for _ in names)))


async def oid_of(connection: Connection, schema: SchemaName) -> int:
    oid = await connection.fetchval("SELECT oid FROM pg_namespace WHERE nspname = $1", schema.name)
    if oid is None:
        raise SourceChanged(f"The schema {schema.name} is gone")
    return int(oid)
