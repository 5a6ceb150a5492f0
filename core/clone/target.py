"""What is done to a copy, by a session of its own login, besides its rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from core.catalog.reader import numbered
from core.clone.extras import default_privilege_statements
from core.clone.order import CopyOrder, SchemaCopy
from core.clone.script import Renaming, adapted, renamed_function, titled
from core.clone.session import Connection
from core.postgres.identifiers import SchemaName, literal


async def swap(
    connection: Connection, order: CopyOrder, schema: SchemaCopy, passing: SchemaName, inward: bool
) -> None:
    """Give the copy its source's name, or both their own again."""
    await connection.execute(
        f"SELECT pgtwin_rt.swap({literal(order.ticket)}, {literal(schema.key)},"
        f" {literal(passing.name)}, {inward})"
    )


@contextmanager
def about(what: str) -> Iterator[None]:
    """Let an error of PostgreSQL, which may name nothing, say what was being made."""
    try:
        yield
    except asyncpg.PostgresError as error:
        error.add_note(what)
        raise


async def replay(connection: Connection, script: str, renaming: Renaming) -> None:
    """Run entries of a dump in one message; when that fails, find the one that does."""
    try:
        async with connection.transaction():
            await _send(connection, adapted(script, renaming))
    except asyncpg.PostgresError:
        for title, text in titled(script):
            with about(title):
                await _send(connection, adapted(text, renaming))


async def _send(connection: Connection, script: str) -> None:
    if script.strip():
        await connection.execute(script)


async def made(connection: Connection, statement: str) -> bool:
    """Whether the statement succeeds now; what it needs may not be there yet."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except (asyncpg.UndefinedFunctionError, asyncpg.UndefinedObjectError):
        return False
    return True


async def functions_naming(connection: Connection, oid: int, renaming: Renaming) -> list[Any]:
    """Functions of a schema whose texts name what is to be renamed."""
    query, _ = numbered("functions_naming")
    # Their quoted forms contain them, but for quotes in the name itself, doubled in a text.
    names = [renaming.schema[0], *renaming.roles]
    names += [names[0].replace("'", "''"), names[0].replace('"', '""')]
    return list(await connection.fetch(query, oid, names))


async def rename_in_functions(connection: Connection, oid: int, renaming: Renaming) -> None:
    """Let the texts of the copy's functions name the copy, now that it has its name."""
    for row in await functions_naming(connection, oid, renaming):
        with about(row["name"]):
            await connection.execute(renamed_function(row["definition"], renaming))


async def copy_role_defaults(connection: Connection, order: CopyOrder, schema: SchemaCopy) -> None:
    query, names = numbered("role_default_privileges")
    grants = await connection.fetch(query, *({"role": schema.reader.role.name}[n] for n in names))
    statements = default_privilege_statements(
        [dict(grant) for grant in grants], schema.owner, order.roles
    )
    if statements:
        await connection.execute(f"SET LOCAL ROLE {schema.owner}")
        await connection.execute(";".join(statements))
        await connection.execute("RESET ROLE")
