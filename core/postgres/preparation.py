"""Prepare a PostgreSQL once, as an administrator, so that the service needs no such right."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from core.postgres.errors import one_line
from core.postgres.identifiers import Identifier, literal
from core.postgres.passwords import context_key, derive, scram_verifier
from core.postgres.startup import StartupError, check_server, ensure_database

OWNER, CONTROL = Identifier("pgtwin_owner"), Identifier("pgtwin_control")
# Owns the role functions where nobody is superuser.
ROLES = Identifier("pgtwin_roles")
PREPARATION_VERSION = 6
_NOT_OURS = ("", "postgres", "template0", "template1")
_OWN_SCHEMAS = ("pgtwin", "pgtwin_admin", "pgtwin_ext", "pgtwin_rt")
# Roles are shared by all databases of a server, so two preparations can meet in them.
_COLLISIONS = (
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
    asyncpg.InternalServerError,
    asyncpg.DeadlockDetectedError,
)

_TRIES = 50

Connection = asyncpg.Connection


@dataclass(frozen=True, slots=True)
class Prepared:
    """The URLs of the service's two logins."""

    control_url: str
    owner_url: str


async def prepare(
    admin_url: str,
    master_secret: str,
    *,
    sole_user: bool = False,
    new_secret: bool = False,
    harden: bool = True,
    log: Callable[[str], None] = print,
) -> Prepared:
    """Make the database where missing, the service's roles, schemas and role functions in it.

    Everything but CREATE DATABASE is one transaction, and running it again changes nothing.

    Args:
        admin_url: a superuser, or a login with CREATEROLE that owns or may create the database.
        master_secret: what the two logins' passwords are derived from.
        sole_user: the whole server is pgtwin's (as the embedded one is): other databases are
            closed to PUBLIC.
        new_secret: replace the passwords of a server that was prepared with another secret;
            services that still use that one can't log in any more.
        harden: as a superuser, take from PUBLIC what databases could disturb each other with.

    Raises:
        StartupError: the server or the database can't be used; the message says why.
    """
    database = unquote(urlsplit(admin_url).path.lstrip("/"))
    if database in _NOT_OURS:
        raise StartupError(
            f"{database} is the server's own database: name another in the URL, such as "
            "/pgtwin; it is created where missing"
        )
    await ensure_database(admin_url, log=log)
    connection: Connection = await asyncpg.connect(admin_url, timeout=30)
    try:
        await check_server(connection)
        await _refuse_foreign_objects(connection)
        if not new_secret:
            await _refuse_another_secret(connection, admin_url, master_secret)
        for left in range(_TRIES, -1, -1):
            try:
                async with connection.transaction():
                    await _prepare(connection, master_secret, sole_user=sole_user)
                    if harden:
                        await _harden(connection)
                break
            except _COLLISIONS:
                if not left:
                    raise
                await asyncio.sleep(secrets.randbelow(100) / 1000)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"this login may not prepare the database: {one_line(error)}; "
            "use a superuser, or a login with CREATEROLE that owns the database"
        ) from error
    finally:
        await connection.close()
    return Prepared(
        control_url=login_url(admin_url, CONTROL.name, derive(master_secret, CONTROL.name)),
        owner_url=login_url(admin_url, OWNER.name, derive(master_secret, OWNER.name)),
    )


async def _refuse_another_secret(
    connection: Connection, admin_url: str, master_secret: str
) -> None:
    """Another secret would lock out the services, and the databases' logins, of the first."""
    prepared = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolcanlogin)", CONTROL.name
    )
    if not prepared:
        return
    url = login_url(admin_url, CONTROL.name, derive(master_secret, CONTROL.name))
    try:
        await (await asyncpg.connect(url, timeout=30)).close()
    except asyncpg.InvalidPasswordError as error:
        raise StartupError(
            "this server was prepared with another PGTWIN_MASTER_SECRET: set it to that one, "
            "or run `pgtwind init --new-secret` to replace it for all services of the server"
        ) from error


def login_url(url: str, user: str, password: str) -> str:
    """The same server and database under another login."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


async def _refuse_foreign_objects(connection: Connection) -> None:
    found = await foreign_objects(connection)
    if found:
        raise StartupError(
            "the database holds objects that are not pgtwin's "
            f"({', '.join(found)}): give pgtwin a database of its own"
        )


async def foreign_objects(connection: Connection) -> list[str]:
    """Up to five relations and schemas in the database that pgtwin did not make."""
    rows = await connection.fetch(
        """
        SELECT found FROM (
            SELECT n.nspname || '.' || c.relname AS found
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public'
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                              AND d.objid = c.oid AND d.deptype = 'e')
            UNION ALL
            SELECT n.nspname FROM pg_namespace n
            WHERE n.nspname !~ '^pg_' AND n.nspname <> ALL ($1)
              AND n.nspname NOT IN ('public', 'information_schema')
              AND pg_get_userbyid(n.nspowner) <> 'pgtwin_control'
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass
                              AND d.objid = n.oid AND d.deptype = 'e')
        ) AS all_found ORDER BY found LIMIT 5
        """,
        list(_OWN_SCHEMAS),
    )
    return [row["found"] for row in rows]


async def _prepare(connection: Connection, master_secret: str, *, sole_user: bool) -> None:
    for role in (OWNER, CONTROL):
        login = f"LOGIN PASSWORD {literal(scram_verifier(derive(master_secret, role.name)))}"
        await _create_role(connection, role, login)
        await connection.execute(f"ALTER ROLE {role} {login}")
    functions_owner = await _functions_owner(connection)
    database = Identifier(await connection.fetchval("SELECT current_database()"))
    await connection.execute(
        f"GRANT CONNECT ON DATABASE {database} TO {OWNER}, {CONTROL};"
        f"GRANT CREATE ON DATABASE {database} TO {CONTROL};"
        f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC"
    )
    if sole_user:
        await _close_other_databases(connection)
    await _make_schemas(connection, functions_owner)
    await _keep_context_key(connection, functions_owner, master_secret)
    await _install_vector(connection)


async def _functions_owner(connection: Connection) -> Identifier:
    """The superuser itself; without one, a role that can make roles and nothing else."""
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        return Identifier(await connection.fetchval("SELECT current_user::text"))
    await _create_role(connection, ROLES, "NOLOGIN CREATEROLE")
    options = " WITH SET TRUE, INHERIT TRUE" if connection.get_server_version().major >= 16 else ""
    await connection.execute(f"GRANT {OWNER} TO CURRENT_USER{options}")
    await connection.execute(f"GRANT {ROLES} TO CURRENT_USER{options}")
    # To rename the schemas that the service owns.
    await connection.execute(f"GRANT {CONTROL} TO {ROLES}")
    return ROLES


async def _create_role(connection: Connection, role: Identifier, attributes: str) -> None:
    exists = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role.name
    )
    if not exists:
        await connection.execute(f"CREATE ROLE {role} {attributes}")


async def _make_schemas(connection: Connection, functions_owner: Identifier) -> None:
    """The service's schemas; public is closed, for nothing of a tenant's belongs there."""
    await connection.execute(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        f"CREATE SCHEMA IF NOT EXISTS pgtwin AUTHORIZATION {OWNER};"
        f"CREATE SCHEMA IF NOT EXISTS pgtwin_admin AUTHORIZATION {functions_owner};"
        f"CREATE SCHEMA IF NOT EXISTS pgtwin_rt AUTHORIZATION {functions_owner};"
        "CREATE SCHEMA IF NOT EXISTS pgtwin_ext;"
        f"GRANT USAGE ON SCHEMA pgtwin TO {CONTROL};"
        "GRANT USAGE ON SCHEMA pgtwin_ext TO PUBLIC"
    )
    await connection.execute(f"SET LOCAL ROLE {functions_owner}")
    if functions_owner != ROLES:
        await _take_over(connection, functions_owner)
    for script in ("runtime_functions.sql", "role_functions.sql"):
        await connection.execute(files("core.postgres").joinpath(script).read_text())
    await connection.execute("RESET ROLE")


async def _keep_context_key(
    connection: Connection, functions_owner: Identifier, master_secret: str
) -> None:
    """What PostgreSQL verifies an end user's context with, as the service signs it."""
    key = context_key(master_secret).ljust(64, b"\0")
    await connection.execute(f"SET LOCAL ROLE {functions_owner}")
    await connection.execute(
        "INSERT INTO pgtwin_admin.context_key (inner_pad, outer_pad) VALUES ($1, $2)"
        " ON CONFLICT (only_one) DO UPDATE SET inner_pad = $1, outer_pad = $2",
        bytes(byte ^ 0x36 for byte in key),
        bytes(byte ^ 0x5C for byte in key),
    )
    await connection.execute("RESET ROLE")


async def _take_over(connection: Connection, functions_owner: Identifier) -> None:
    """Give a superuser what an earlier preparation without one left to `pgtwin_roles`."""
    owned = await connection.fetch(
        "SELECT 'FUNCTION ' || oid::regprocedure AS name FROM pg_proc"
        " WHERE pronamespace IN ('pgtwin_admin'::regnamespace, 'pgtwin_rt'::regnamespace)"
        " UNION ALL SELECT 'TABLE ' || oid::regclass FROM pg_class"
        " WHERE relnamespace = 'pgtwin_admin'::regnamespace AND relkind = 'r'"
        " UNION ALL SELECT 'SEQUENCE ' || oid::regclass FROM pg_class"
        " WHERE relnamespace = 'pgtwin_rt'::regnamespace AND relkind = 'S'"
        " UNION ALL VALUES ('SCHEMA pgtwin_admin'), ('SCHEMA pgtwin_rt')"
    )
    for thing in owned:
        await connection.execute(f"ALTER {thing['name']} OWNER TO {functions_owner}")


async def _close_other_databases(connection: Connection) -> None:
    names = await connection.fetch(
        "SELECT datname FROM pg_database WHERE datname <> current_database()"
        " AND has_database_privilege('public', datname, 'CONNECT')"
    )
    for row in names:
        name = Identifier(row["datname"])
        await connection.execute(f"REVOKE CONNECT, TEMP ON DATABASE {name} FROM PUBLIC")


async def _harden(connection: Connection) -> None:
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        await connection.execute(files("core.postgres").joinpath("hardening.sql").read_text())


async def _install_vector(connection: Connection) -> None:
    """pgvector, where the server has it, in the schema that every database sees."""
    available = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')"
    )
    if not available:
        return
    try:
        async with connection.transaction():
            await connection.execute(
                "CREATE EXTENSION IF NOT EXISTS vector SCHEMA pgtwin_ext;"
                "ALTER EXTENSION vector SET SCHEMA pgtwin_ext"
            )
    except asyncpg.InsufficientPrivilegeError:
        # Some managed servers keep extensions to themselves; `doctor` reports it.
        return
