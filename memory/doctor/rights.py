"""The rights that the service's login needs, each with the SQL that grants it."""

from dataclasses import dataclass

import asyncpg

from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Right:
    """A right by its name, the SQL condition that it holds, and the SQL that grants it."""

    right: str
    condition: str
    mend: str


def _table(table: str, privileges: str, schema: str = "pgtwin") -> Right:
    """Rights on a table; where it is not there yet, migrations are due, not rights."""
    held = " AND ".join(
        f"has_table_privilege(c.oid, '{privilege.strip()}')" for privilege in privileges.split(",")
    )
    return Right(
        f"{privileges} ON TABLE {schema}.{table}",
        f"(SELECT {held} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = '{schema}' AND c.relname = '{table}') IS NOT FALSE",
        f"GRANT {privileges} ON {schema}.{table} TO {{login}};",
    )


def _column(table: str, column: str) -> Right:
    return Right(
        f"UPDATE ({column}) ON TABLE pgtwin.{table}",
        f"(SELECT has_column_privilege(c.oid, '{column}', 'UPDATE')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = 'pgtwin' AND c.relname = '{table}') IS NOT FALSE",
        f"GRANT UPDATE ({column}) ON pgtwin.{table} TO {{login}};",
    )


# As a table, it may be not there yet.
_LOCK_KEY = "pgtwin.lock_idempotency_key(bigint, text, text)"
_RIGHTS = (
    Right(
        "CREATE ON DATABASE",
        "has_database_privilege(current_database(), 'CREATE')",
        "GRANT CREATE ON DATABASE {database} TO {login};",
    ),
    *(
        Right(
            f"USAGE ON SCHEMA {schema}",
            f"has_schema_privilege('{schema}', 'USAGE')",
            f"GRANT USAGE ON SCHEMA {schema} TO {{login}};",
        )
        for schema in ("pgtwin", "pgtwin_admin")
    ),
    # Every database's roles use the extensions.
    Right(
        "USAGE ON SCHEMA pgtwin_ext",
        "has_schema_privilege('public', 'pgtwin_ext', 'USAGE')",
        "GRANT USAGE ON SCHEMA pgtwin_ext TO PUBLIC;",
    ),
    *(
        Right(
            f"EXECUTE ON FUNCTION pgtwin_admin.{function}",
            f"has_function_privilege('pgtwin_admin.{function}', 'EXECUTE')",
            f"GRANT EXECUTE ON FUNCTION pgtwin_admin.{function} TO {{login}};",
        )
        for function in (
            "create_roles(bigint, text, text, text)",
            "close_roles(bigint)",
            "drop_roles(bigint)",
            "create_reader(bigint, text, text)",
            "create_connection(bigint, bigint, text, text, boolean, text, integer,"
            " timestamp with time zone)",
            "release_connection(bigint, bigint)",
            "close_connection(bigint, bigint)",
            "drop_connection(bigint, bigint)",
            "end_sessions(bigint)",
            "close_database(bigint)",
            "open_roles(bigint, name[])",
            "version()",
        )
    ),
    _table("database_meta", "SELECT, INSERT, UPDATE"),
    _table("schema_meta", "SELECT, INSERT, UPDATE, DELETE"),
    _table("api_key", "SELECT, INSERT"),
    *(_column("api_key", column) for column in ("expires_at", "revoked_at", "last_used_at")),
    _table("app_grant", "SELECT, INSERT, DELETE"),
    _table("connection", "SELECT, INSERT, UPDATE"),
    _table("retired_role", "SELECT, INSERT, DELETE"),
    _table("reaper_delay", "SELECT, INSERT, UPDATE, DELETE"),
    _table("audit_entry", "SELECT, INSERT"),
    _table("instance_lease", "SELECT, UPDATE"),
    _table("operation", "SELECT, INSERT, UPDATE"),
    _table("copy_ticket", "SELECT, INSERT, DELETE", schema="pgtwin_admin"),
    _table("idempotency", "SELECT, INSERT, UPDATE, DELETE"),
    Right(
        f"EXECUTE ON FUNCTION {_LOCK_KEY}",
        f"has_function_privilege(to_regprocedure('{_LOCK_KEY}'), 'EXECUTE') IS NOT FALSE",
        f"GRANT EXECUTE ON FUNCTION {_LOCK_KEY} TO {{login}};",
    ),
    _table("alembic_version", "SELECT"),
)


async def missing_rights(settings: Settings) -> list[Right]:
    """The rights that the login of `settings.dsn` lacks."""
    connection = await asyncpg.connect(settings.dsn, timeout=settings.connect_timeout)
    try:
        names = await connection.fetchrow(
            "SELECT quote_ident(current_user) AS login, quote_ident(current_database()) AS database"
        )
        missing = []
        # One at a time: without a schema's USAGE the tables in it can't even be looked up.
        for right in _RIGHTS:
            try:
                holds = await connection.fetchval(f"SELECT {right.condition}")
            except (asyncpg.UndefinedObjectError, asyncpg.InsufficientPrivilegeError):
                holds = False
            except asyncpg.UndefinedFunctionError:
                mend = "pgtwind init --admin-url URL, once more"
                missing.append(Right(right.right, right.condition, mend))
                continue
            if not holds:
                mend = right.mend.format(**dict(names or {}))
                missing.append(Right(right.right, right.condition, mend))
        return missing
    finally:
        await connection.close()
