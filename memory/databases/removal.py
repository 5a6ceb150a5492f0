"""The ends of databases: dropped for good, or shut so that they can be brought back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from core.catalog.reader import QUERIES, LockNeed, droppable
from core.postgres.engine import Session
from core.postgres.identifiers import Environment, SchemaName
from memory.changes import CHANNEL
from memory.databases.models import SchemaMeta

_SCHEMA_NAMES = tuple(SchemaMeta.model_fields)
# One that was dropped before, and is purged, keeps the moment of its drop.
_GONE = "deleted_at = coalesce(deleted_at, now()), restorable_until = NULL, closed_roles = NULL"
_NEED = f"""
SELECT named.schema_names, need.*
FROM (SELECT array_agg(schema_name::text) AS schema_names FROM pgtwin.schema_meta
      WHERE database_id = $1) AS named,
LATERAL ({QUERIES["lock_need"].replace(":schema_names", "named.schema_names")}) AS need
"""
# The logins are shut last of all that the transaction does, or nearly: until it is committed, they
# let in whoever is not refused by then.
_CLOSE = """
UPDATE pgtwin.database_meta
SET deleted_at = now(), restorable_until = now() + make_interval(secs => $2), update_by = $3,
    closed_roles = pgtwin_admin.close_database(id)::text[]
WHERE id = $1 RETURNING restorable_until
"""
_REVIVE = """
UPDATE pgtwin.database_meta
SET deleted_at = NULL, restorable_until = NULL, closed_roles = NULL,
    uid = $2, name = $3, update_by = $4
WHERE id = $1
"""
# But for those of connections that have ended meanwhile.
_OPEN = """
WITH active AS MATERIALIZED (
    SELECT 'd' || database_id || '_c' || role_id AS login FROM pgtwin.connection
    WHERE database_id = $1 AND status = 'active' FOR UPDATE
)
SELECT pgtwin_admin.open_roles($1, ARRAY(
    SELECT login::name FROM unnest($2::text[]) AS login
    WHERE login !~ '_c[0-9]+$' OR login IN (SELECT login FROM active)))
"""


class DatabaseRemoval:
    """What takes databases away, and gives them back."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def close(self, database_id: int, keep: float, acting_uid: str) -> datetime:
        """Drop a database so that it can be restored: its name is free, its logins are shut and
        their sessions ended; all else stays.

        Args:
            keep: seconds for which it can be restored.

        Returns:
            Until when that is.
        """
        until: datetime = await self._session.fetchval(_CLOSE, database_id, keep, acting_uid)
        return until

    async def revive(self, database_id: int, uid: str, name: str, acting_uid: str) -> bool:
        """Give a closed database back to its user; False when the name is taken, and the
        transaction has failed."""
        try:
            await self._session.execute(_REVIVE, database_id, uid, name, acting_uid)
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def open(self, database_id: int, closed_roles: Sequence[str]) -> None:
        """Open the logins of a database that were shut, and tell the workers."""
        await self._session.execute(_OPEN, database_id, closed_roles)
        await self._session.execute("SELECT pg_notify($1, $2)", CHANNEL, f"database {database_id}")

    async def close_again(self, database_id: int) -> None:
        """Shut what a repair has opened of a database that is dropped."""
        await self._session.execute(
            "UPDATE pgtwin.database_meta SET closed_roles = ARRAY(SELECT DISTINCT unnest("
            "coalesce(closed_roles, '{}') || pgtwin_admin.close_database(id)::text[]))"
            " WHERE id = $1",
            database_id,
        )

    async def end_sessions(self, database_ids: Sequence[int]) -> None:
        """End the sessions of databases' logins."""
        await self._session.execute(
            "SELECT pgtwin_admin.end_sessions(id) FROM unnest($1::bigint[]) AS id", database_ids
        )

    async def schemas(self, database_id: int) -> Sequence[SchemaMeta]:
        rows = await self._session.fetch(
            f"SELECT {', '.join(_SCHEMA_NAMES)} FROM pgtwin.schema_meta WHERE database_id = $1"
            " ORDER BY env",
            database_id,
        )
        return [_schema(dict(row)) for row in rows]

    async def bury(self, database_id: int, acting_uid: str) -> None:
        """Leave the tombstone: the name is free, the schemas' rows are gone."""
        await self._session.execute(
            "WITH gone AS (DELETE FROM pgtwin.schema_meta WHERE database_id = $1)"
            f" UPDATE pgtwin.database_meta SET {_GONE}, update_by = $2 WHERE id = $1",
            database_id,
            acting_uid,
        )

    async def bury_name(self, database_id: int, acting_uid: str) -> None:
        """Take the database away from its user, and end its sessions; the rest follows."""
        await self._session.execute(
            f"UPDATE pgtwin.database_meta SET {_GONE}, update_by = $2 WHERE id = $1",
            database_id,
            acting_uid,
        )
        await self._send(
            [
                f"SELECT pg_advisory_xact_lock({database_id})",
                f"SELECT pgtwin_admin.close_roles({database_id})",
            ]
        )

    async def drop_rest(self, database_id: int) -> None:
        """Drop what is left of a database whose name is buried, with its schemas' rows."""
        schemas = await self.schemas(database_id)
        await self.drop_schemas(database_id, [SchemaName(each.schema_name) for each in schemas])
        await self._session.execute(
            "DELETE FROM pgtwin.schema_meta WHERE database_id = $1", database_id
        )

    async def forget_schema(self, name: str) -> None:
        await self._session.execute("DELETE FROM pgtwin.schema_meta WHERE schema_name = $1", name)

    async def drop_batch(self, database_id: int, limit: int) -> int:
        """Drop up to so many objects of a database's schemas; gives how many there were."""
        names = [schema.schema_name for schema in await self.schemas(database_id)]
        statements = await droppable(self._session, names, limit)
        if statements:
            await self._send(statements)
        return len(statements)

    async def locks_needed(self, database_id: int) -> tuple[list[SchemaName], LockNeed]:
        """A database's schemas, and what dropping them in one transaction would take of the
        server's locks."""
        row = await self._session.fetchrow(_NEED, database_id)
        if row is None:
            raise RuntimeError("an aggregate has a row")
        names = [SchemaName(name) for name in row["schema_names"] or ()]
        return names, LockNeed(row["needed"], row["room"], row["objects"], row["tables"])

    async def drop_schemas(self, database_id: int, names: Sequence[SchemaName]) -> None:
        """End the roles' sessions, drop the schemas and then the roles, in one message.

        Whoever copies the database is waited for, and others are kept from it until the end.
        """
        await self._send(
            [
                f"SELECT pg_advisory_xact_lock({database_id})",
                f"SELECT pgtwin_admin.close_roles({database_id})",
                *(f"DROP SCHEMA IF EXISTS {name} CASCADE" for name in names),
                f"SELECT pgtwin_admin.drop_roles({database_id})",
            ]
        )

    async def _send(self, statements: Sequence[str]) -> None:
        """Several statements in one message, inside the session's transaction."""
        await self._session.execute("; ".join(statements))


def _schema(row: dict[str, Any]) -> SchemaMeta:
    return SchemaMeta.of(row | {"env": Environment(row["env"])})
