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


def _table(table: str, privileges: str) -> Right:
    return Right(
        f"{privileges} ON TABLE pgtwin.{table}",
        " AND ".join(
            f"has_table_privilege('pgtwin.{table}', '{privilege.strip()}')"
            for privilege in privileges.split(",")
        ),
        f"GRANT {privileges} ON pgtwin.{table} TO {{login}};",
    )


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
        for schema in ("pgtwin", "pgtwin_admin", "pgtwin_ext")
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
        )
    ),
    _table("database_meta", "SELECT, INSERT, UPDATE"),
    _table("schema_meta", "SELECT, INSERT, UPDATE, DELETE"),
    _table("api_key", "SELECT, INSERT"),
    _table("audit_entry", "SELECT, INSERT"),
    _table("instance_lease", "SELECT, INSERT, UPDATE, DELETE"),
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
            if not holds:
                mend = right.mend.format(**dict(names or {}))
                missing.append(Right(right.right, right.condition, mend))
        return missing
    finally:
        await connection.close()
