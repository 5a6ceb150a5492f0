"""Copy schemas whole, in one transaction of the copy's own login.

The source gives its name to the copy for as long as the copy is made, inside a transaction
that nobody else sees: so the definition is replayed as it was read, and PostgreSQL, not a text
replacement, decides what each name means.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from core.catalog.reader import numbered
from core.clone.data import CopiedTable, Swapped, row_statements, sequence_statements
from core.clone.dump import Definition, Login, dump_definition
from core.clone.errors import CannotBeCloned, CloneFailed, SourceChanged, TooLargeToClone
from core.clone.extras import cast_statements, default_privilege_statements
from core.clone.script import (
    Renaming,
    adapted,
    attached_apart,
    keys_apart,
    renamed_function,
    split_before_tables,
)
from core.errors import AppError
from core.postgres.errors import translate
from core.postgres.identifiers import RoleName, SchemaName, literal

Connection = asyncpg.Connection

TRIES = 5
_FROM_THE_SERVER = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# A role, a schema, a table or a login that is no more.
_GONE = ("42704", "3F000", "42P01", "28000", "28P01")
_REFUSED = ("42501", "0A000", "42809", "42601")

_SETTINGS = (
    "SET LOCAL search_path = ''",
    "SET LOCAL check_function_bodies = off",
    "SET LOCAL row_security = off",
    "SET LOCAL client_min_messages = warning",
    "SET LOCAL jit = off",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL maintenance_work_mem = '512MB'",
    "SET LOCAL xmloption = content",
)


@dataclass(frozen=True, slots=True)
class SchemaCopy:
    """One schema to copy.

    Attributes:
        source, copy: their names; the copy exists and is empty.
        reader: a login that may become the owner of the source's objects.
        owner: the owner of the copy's objects.
        key: what the server-side functions call this pair.
    """

    key: str
    source: SchemaName
    copy: SchemaName
    reader: Login
    owner: RoleName


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """What to copy, and with which right.

    Attributes:
        ticket: lets this login, once, swap the names and become a member of the source's owners.
        writer_url: the login that may become each copy's owner.
        roles: the source's roles to the copy's.
        programs: the folder of pg_dump and pg_restore for a server's major version.
        with_data: False copies the definition alone.
    """

    ticket: str = field(repr=False)
    writer_url: str = field(repr=False)
    schemas: Sequence[SchemaCopy]
    roles: Mapping[str, str]
    programs: Callable[[int], Path]
    with_data: bool = True
    lock_timeout: float = 60.0


async def copy_schemas(order: CopyOrder) -> None:
    """Copy all schemas of the order as one set, as of one moment.

    The ticket is used up in the same transaction, so it tells whether the copy is there.

    Raises:
        CloneFailed: nothing was copied.
        AppError: the server went away or had no room; nothing was copied.
    """
    try:
        async with _session(order, order.writer_url) as connection:
            # Before the transaction, whose view of the source would else be older than the lock.
            await connection.execute(f"SELECT pgtwin_rt.lock_source({literal(order.ticket)})")
            for left in range(TRIES, 0, -1):
                try:
                    return await _copy(connection, order)
                except SourceChanged:
                    if left == 1:
                        raise
    except _FROM_THE_SERVER as error:
        raise _explained(error) from error


@asynccontextmanager
async def _session(order: CopyOrder, url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(
        url,
        timeout=30,
        statement_cache_size=0,
        server_settings={
            "application_name": "pgtwin clone",
            "lock_timeout": str(round(order.lock_timeout * 1000)),
            "timezone": "UTC",
            "search_path": "",
        },
    )
    try:
        yield connection
    finally:
        connection.terminate()


async def _copy(connection: Connection, order: CopyOrder) -> None:
    ticket = literal(order.ticket)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(f"SELECT pgtwin_rt.begin_copy({ticket})")
        await connection.execute(";".join(_SETTINGS))
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        oids = {each.key: await _oid(connection, each.source) for each in order.schemas}
        await _refuse_too_large(connection, order)
        for schema in order.schemas:
            await _lock_tables(connection, schema.owner, oids[schema.key])
            await _refuse_lost_orders(connection, oids[schema.key])
        await _copy_all(connection, order, oids, snapshot)
        await connection.execute(f"SELECT pgtwin_rt.end_copy({ticket})")


async def _copy_all(
    connection: Connection, order: CopyOrder, oids: Mapping[str, int], snapshot: str
) -> None:
    filled = [s for s in order.schemas if await _has_members(connection, oids[s.key])]
    programs = order.programs(connection.get_server_version().major)
    tasks = [
        asyncio.create_task(dump_definition(programs, s.reader, s.source, snapshot)) for s in filled
    ]
    try:
        definitions = await asyncio.gather(*tasks)
    finally:
        # Where one failed, the other must not go on by itself.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for schema, definition in zip(filled, definitions, strict=True):
        await _copy_one(connection, order, schema, oids[schema.key], definition)
    for schema in order.schemas:
        await _copy_role_defaults(connection, order, schema)


async def _copy_one(
    connection: Connection,
    order: CopyOrder,
    schema: SchemaCopy,
    oid: int,
    definition: Definition,
) -> None:
    renaming = Renaming((schema.source.name, schema.copy.name), order.roles)
    names = Swapped(schema.source, SchemaName(f"pgtwin_copied_{secrets.token_hex(8)}"), order.roles)
    tables = await _tables(connection, oid)
    sequences = [row["sequence_name"] for row in await _read(connection, "sequences", oid)]
    casts = await _read(connection, "casts", oid)
    attached = [row["table_name"] for row in await _read(connection, "inherited_orders", oid)]
    swap = f"SELECT pgtwin_rt.swap({literal(order.ticket)}, {literal(schema.key)}"
    copy_oid = await _oid(connection, schema.copy)
    await connection.execute(f"SET LOCAL ROLE {schema.owner}")
    await connection.execute(f"{swap}, {literal(names.source.name)}, true)")
    before_data = attached_apart(definition.before_data, attached)
    types, relations = split_before_tables(before_data)
    await _replay(connection, adapted(types, renaming))
    # Tables and views may need the casts, and a cast's function may need a table.
    waiting = [cast for cast in cast_statements(casts) if not await _made(connection, cast)]
    await _replay(connection, adapted(relations, renaming))
    await _replay(connection, ";\n".join(waiting))
    keys, after_data = "", definition.after_data
    if await _names_objects(connection, oid):
        keys, after_data = keys_apart(after_data)
    await _replay(connection, adapted(keys, renaming))
    if order.with_data:
        # Constraints may call functions that name their tables without the schema.
        await connection.execute(f"SET LOCAL search_path = {names.copy}, pgtwin_ext")
        for statement in row_statements(tables, names):
            await connection.execute(statement)
        await connection.execute("SET LOCAL search_path = ''")
        await _replay(connection, ";\n".join(sequence_statements(sequences, names)))
    await _replay(connection, adapted(after_data, renaming))
    await _replay(connection, adapted(definition.privileges, renaming))
    await connection.execute(f"{swap}, {literal(names.source.name)}, false)")
    await _rename_in_functions(connection, copy_oid, renaming)
    await connection.execute("RESET ROLE")
    await _compare(connection, oid, copy_oid)


async def _rename_in_functions(connection: Connection, oid: int, renaming: Renaming) -> None:
    """Let the texts of the copy's functions name the copy, now that it has its name."""
    query, _ = numbered("functions_naming")
    # Their quoted forms contain them, but for quotes in the name itself, doubled in a text.
    names = [renaming.schema[0], *renaming.roles]
    names += [names[0].replace("'", "''"), names[0].replace('"', '""')]
    for row in await connection.fetch(query, oid, names):
        await connection.execute(renamed_function(row["definition"], renaming))


async def _made(connection: Connection, statement: str) -> bool:
    """Whether the statement succeeds now; what it needs may not be there yet."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except (asyncpg.UndefinedFunctionError, asyncpg.UndefinedObjectError):
        return False
    return True


async def _replay(connection: Connection, script: str) -> None:
    if script.strip():
        await connection.execute(script)


async def _copy_role_defaults(connection: Connection, order: CopyOrder, schema: SchemaCopy) -> None:
    query, names = numbered("role_default_privileges")
    grants = await connection.fetch(query, *({"role": schema.reader.role.name}[n] for n in names))
    statements = default_privilege_statements(
        [dict(grant) for grant in grants], schema.owner, order.roles
    )
    if statements:
        await connection.execute(f"SET LOCAL ROLE {schema.owner}")
        await connection.execute(";".join(statements))
        await connection.execute("RESET ROLE")


async def _tables(connection: Connection, oid: int) -> list[CopiedTable]:
    return [
        CopiedTable(
            r["table_name"], r["columns"], r["ways"], r["types"], r["forced"], r["into_table"]
        )
        for r in await _read(connection, "copied_tables", oid)
    ]


async def _lock_tables(connection: Connection, owner: RoleName, oid: int) -> None:
    """Keep a schema's tables from being altered until the transaction ends.

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
    await connection.execute(f"SET LOCAL ROLE {owner}")
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


async def _compare(connection: Connection, source: int, copy: int) -> None:
    """Refuse a copy that lacks anything of its source."""
    wanted = {(row["kind"], row["name"]) for row in await _read(connection, "inventory", source)}
    found = {(row["kind"], row["name"]) for row in await _read(connection, "inventory", copy)}
    if wanted != found:
        kind, name = min(wanted ^ found)
        raise SourceChanged(f"The copy differs from its source in the {kind} {name}")


async def _refuse_too_large(connection: Connection, order: CopyOrder) -> None:
    query, _ = numbered("lock_need")
    need = await connection.fetchrow(query, [schema.source.name for schema in order.schemas])
    if need is not None and need["needed"] > need["room"] * 3 // 4:
        raise TooLargeToClone(
            f"The source needs about {need['needed']} of the server's {need['room']} locks; "
            "raise max_locks_per_transaction on the server"
        )


async def _refuse_lost_orders(connection: Connection, oid: int) -> None:
    for row in await _read(connection, "inherited_orders", oid):
        if not row["attachable"]:
            raise CannotBeCloned(
                f"The columns of the table {row['table_name']} lie in an order that can't be made "
                "again: its parents got columns or constraints after it had its own"
            )


async def _has_members(connection: Connection, oid: int) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_depend"
            " WHERE refclassid = 'pg_namespace'::regclass AND refobjid = $1)",
            oid,
        )
    )


async def _names_objects(connection: Connection, oid: int) -> bool:
    return bool((await _read(connection, "names_objects", oid))[0]["found"])


async def _read(connection: Connection, name: str, oid: int) -> list[Any]:
    query, names = numbered(name)
    return list(await connection.fetch(query, *(oid for _ in names)))


async def _oid(connection: Connection, schema: SchemaName) -> int:
    oid = await connection.fetchval("SELECT oid FROM pg_namespace WHERE nspname = $1", schema.name)
    if oid is None:
        raise SourceChanged(f"The schema {schema.name} is gone")
    return int(oid)


def _explained(error: Exception) -> AppError:
    """What the server said, for the one who asked for the copy and owns the source."""
    known = translate(error)
    if known is not None and (known.retryable or known.code != 25010):
        return known
    state = getattr(error, "sqlstate", None)
    text = str(error).splitlines()[0]
    if state in _GONE:
        return SourceChanged(f"The source was dropped or altered meanwhile: {text}", sqlstate=state)
    if state in _REFUSED:
        return CannotBeCloned(f"PostgreSQL refuses to make the copy: {text}", sqlstate=state)
    return CloneFailed(f"PostgreSQL refuses to make the copy: {text}", sqlstate=state)
