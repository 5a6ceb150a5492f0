"""Copy schemas whole, in one transaction of the copy's own login.

The source gives its name to the copy for as long as the copy is made, inside a transaction
that nobody else sees: so the definition is replayed as it was read, and PostgreSQL, not a text
replacement, decides what each name means.
"""

import secrets
from collections.abc import Mapping

import asyncpg

from core.clone.data import Swapped, row_statements, sequence_statements
from core.clone.dump import Definition
from core.clone.errors import CannotBeCloned, CloneFailed, SourceChanged
from core.clone.extras import cast_statements
from core.clone.order import CopyOrder, SchemaCopy
from core.clone.script import Renaming, attached_apart, keys_apart, split_before_tables
from core.clone.session import SETTINGS, Connection, session
from core.clone.source import (
    definitions,
    has_members,
    inventory,
    lock_tables,
    names_in,
    names_objects,
    need_of_locks,
    oid_of,
    read,
    refuse_difference,
    refuse_lost_orders,
    tables_of,
    tried_again,
)
from core.clone.staged import copy_staged
from core.clone.target import about, copy_role_defaults, made, rename_in_functions, replay, swap
from core.errors import AppError
from core.postgres.errors import translate
from core.postgres.identifiers import SchemaName, literal

# One transaction takes at most this part of the server's locks.
SHARE_OF_LOCKS = 2
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


async def copy_schemas(order: CopyOrder) -> None:
    """Copy all schemas of the order as one set, as of one moment.

    The ticket is used up in the last transaction, or the only one, so it tells whether the copy
    is whole.

    Raises:
        CloneFailed: the copy is not whole; of a staged one, something may be there.
        AppError: so too, for the server went away or had no room, or for what `report` raised.
    """
    try:
        async with session(order.writer_url, order.lock_timeout) as connection:
            # Before the transaction, whose view of the source would else be older than the lock.
            await connection.execute(f"SELECT pgtwin_rt.lock_source({literal(order.ticket)})")
            need = await need_of_locks(connection, order)
            if need.needed > need.room // SHARE_OF_LOCKS:
                await copy_staged(connection, order, need)
            else:
                await tried_again(lambda: _copy(connection, order))
    except _FROM_THE_SERVER as error:
        raise _explained(error) from error


async def _copy(connection: Connection, order: CopyOrder) -> None:
    ticket = literal(order.ticket)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(f"SELECT pgtwin_rt.begin_copy({ticket})")
        await connection.execute(SETTINGS)
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        oids = {each.key: await oid_of(connection, each.source) for each in order.schemas}
        for schema in order.schemas:
            await lock_tables(connection, schema.owner, oids[schema.key])
            await refuse_lost_orders(connection, oids[schema.key])
        await _copy_all(connection, order, oids, snapshot)
        await connection.execute(f"SELECT pgtwin_rt.end_copy({ticket})")


async def _copy_all(
    connection: Connection, order: CopyOrder, oids: Mapping[str, int], snapshot: str
) -> None:
    filled = [s for s in order.schemas if await has_members(connection, oids[s.key])]
    major = connection.get_server_version().major
    found = await definitions(order, filled, major, snapshot)
    for schema, definition in zip(filled, found, strict=True):
        await _copy_one(connection, order, schema, oids[schema.key], definition)
    for schema in order.schemas:
        await copy_role_defaults(connection, order, schema)


async def _copy_one(
    connection: Connection,
    order: CopyOrder,
    schema: SchemaCopy,
    oid: int,
    definition: Definition,
) -> None:
    renaming = Renaming((schema.source.name, schema.copy.name), order.roles)
    names = Swapped(schema.source, SchemaName(f"pgtwin_copied_{secrets.token_hex(8)}"), order.roles)
    tables = await tables_of(connection, oid)
    sequences = await names_in(connection, "sequences", oid)
    casts = await read(connection, "casts", oid)
    attached = await names_in(connection, "inherited_orders", oid)
    copy_oid = await oid_of(connection, schema.copy)
    await connection.execute(f"SET LOCAL ROLE {schema.owner}")
    await swap(connection, order, schema, names.source, True)
    before_data = attached_apart(definition.before_data, attached)
    types, relations = split_before_tables(before_data)
    await replay(connection, types, renaming)
    # Tables and views may need the casts, and a cast's function may need a table.
    waiting = [cast for cast in cast_statements(casts) if not await made(connection, cast)]
    await replay(connection, relations, renaming)
    for cast in waiting:
        await connection.execute(cast)
    keys, after_data = "", definition.after_data
    if await names_objects(connection, oid):
        keys, after_data = keys_apart(after_data)
    await replay(connection, keys, renaming)
    if order.with_data:
        # Constraints may call functions that name their tables without the schema.
        await connection.execute(f"SET LOCAL search_path = {names.copy}, pgtwin_ext")
        for table in tables:
            with about(f"rows of {table.name}"):
                for statement in row_statements([table], names):
                    await connection.execute(statement)
        await connection.execute("SET LOCAL search_path = ''")
        if sequences:
            await connection.execute(";\n".join(sequence_statements(sequences, names)))
    await replay(connection, after_data, renaming)
    await replay(connection, definition.privileges, renaming)
    await swap(connection, order, schema, names.source, False)
    await rename_in_functions(connection, copy_oid, renaming)
    await connection.execute("RESET ROLE")
    refuse_difference(await inventory(connection, oid), await inventory(connection, copy_oid))


def _explained(error: Exception) -> AppError:
    """What the server said, for the one who asked for the copy and owns the source."""
    known = translate(error)
    if known is not None and (known.retryable or known.code != 25010):
        return known
    state = getattr(error, "sqlstate", None)
    text = str(error).splitlines()[0]
    made = getattr(error, "__notes__", [])
    if made:
        return CannotBeCloned(f"The {made[0]} can't be made again: {text}", sqlstate=state)
    if state in _GONE:
        return SourceChanged(f"The source was dropped or altered meanwhile: {text}", sqlstate=state)
    if state in _REFUSED:
        return CannotBeCloned(f"PostgreSQL refuses to make the copy: {text}", sqlstate=state)
    return CloneFailed(f"PostgreSQL refuses to make the copy: {text}", sqlstate=state)
