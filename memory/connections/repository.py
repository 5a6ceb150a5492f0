from collections.abc import Sequence
from dataclasses import dataclass

from core.postgres.engine import Session
from core.postgres.identifiers import Environment, SchemaName
from core.postgres.locks import Lock, hold, try_hold
from memory.connections.models import Connection, ConnectionStatus, Mode

_NAMES = tuple(Connection.model_fields)
_COLUMNS = ", ".join(f"c.{name}" for name in _NAMES)
_FIND = f"""
SELECT {_COLUMNS} FROM pgtwin.connection c JOIN pgtwin.database_meta d ON d.id = c.database_id
WHERE c.id = $1 AND coalesce(d.deleted_at, 'infinity') = 'infinity' AND d.status = 'ready'
"""
# Roles of a database that is dropped are dropped with it. reserved_connections is of 16.
_ROOM = """
SELECT (SELECT coalesce(sum(c.connection_limit), 0)::int
        FROM pgtwin.connection c JOIN pgtwin.database_meta d ON d.id = c.database_id
        WHERE c.status = 'active' AND d.deleted_at IS NULL) AS given,
       (SELECT count(*)::int FROM pgtwin.instance_lease
        WHERE expires_at > clock_timestamp()) AS workers,
       current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int AS available
"""


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there are.

    Attributes:
        given: that those who have connection URIs may open, together.
        workers: that are at work, of all services.
        available: that the server takes.
    """

    given: int
    workers: int
    available: int


class ConnectionRepository:
    """Rows of `connection`, and the roles they stand for."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def room(self) -> Room:
        """How many connections there are, for whoever gives some out: nobody else does until
        the transaction ends."""
        await hold(self._session, Lock.CONNECTIONS)
        row = await self._session.fetchrow(_ROOM)
        return Room(**dict(row or {}))

    async def insert(self, connection: Connection) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.connection (id, database_id, name, env, mode, role_id,"
            " connection_limit, expires_at, create_by, update_by)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
            connection.id,
            connection.database_id,
            connection.name,
            connection.env,
            connection.mode,
            connection.role_id,
            connection.connection_limit,
            connection.expires_at,
            connection.create_by,
        )

    async def find(self, connection_id: int) -> Connection | None:
        """A connection of a live database, whatever became of it."""
        row = await self._session.fetchrow(_FIND, connection_id)
        return Connection.of(row) if row else None

    async def page(self, database_id: int, before: int | None, limit: int) -> Sequence[Connection]:
        """Those of a database, the newest first; with `before`, those below this id."""
        rows = await self._session.fetch(
            f"SELECT {_COLUMNS} FROM pgtwin.connection c WHERE database_id = $1"
            " AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
            database_id,
            before,
            limit,
        )
        return [Connection.of(row) for row in rows]

    async def make_role(self, connection: Connection, schema: SchemaName, verifier: str) -> None:
        rest = await self._session.fetchval(
            "SELECT pgtwin_admin.create_connection($1, $2, $3, $4, $5, $6, $7, $8)",
            connection.database_id,
            connection.role_id,
            Environment(connection.env).value,
            schema.name,
            connection.mode == Mode.READ_ONLY,
            verifier,
            connection.connection_limit,
            connection.expires_at,
        )
        if rest is not None:
            await self._session.execute(rest)
            await self._session.execute(
                "SELECT pgtwin_admin.release_connection($1, $2)",
                connection.database_id,
                connection.role_id,
            )

    async def exchange_role(self, connection: Connection, role_id: int, acting_uid: str) -> None:
        """Give a connection another role, which is yet to be made, and close the one it has."""
        await self.retire(connection.database_id, connection.role_id)
        await self._session.execute(
            "UPDATE pgtwin.connection SET role_id = $2, rotated_at = now(), update_by = $3"
            " WHERE id = $1",
            connection.id,
            role_id,
            acting_uid,
        )

    async def end(self, connection: Connection, status: ConnectionStatus, acting_uid: str) -> None:
        """End a connection, and close its role."""
        await self.retire(connection.database_id, connection.role_id)
        await self._session.execute(
            "UPDATE pgtwin.connection SET status = $2, ended_at = now(), update_by = $3"
            " WHERE id = $1",
            connection.id,
            status.value,
            acting_uid,
        )

    async def retire(self, database_id: int, role_id: int) -> None:
        """Close a role, end its sessions, and note it for being dropped."""
        await self._session.execute(
            "INSERT INTO pgtwin.retired_role (role_id, database_id) VALUES ($1, $2)"
            " ON CONFLICT DO NOTHING",
            role_id,
            database_id,
        )
        await self.close_role(database_id, role_id)

    async def close_role(self, database_id: int, role_id: int) -> None:
        await self._session.execute(
            "SELECT pgtwin_admin.close_connection($1, $2)", database_id, role_id
        )

    async def drop_role(self, database_id: int, role_id: int) -> None:
        """Drop a role, if it is there, after ending what sessions it still has."""
        await self._session.execute(
            "SELECT pgtwin_admin.drop_connection($1, $2)", database_id, role_id
        )
        await self._session.execute("DELETE FROM pgtwin.retired_role WHERE role_id = $1", role_id)

    async def try_sweep(self) -> bool:
        """Whether this worker may look after the ends of connections, until the end."""
        return await try_hold(self._session, Lock.CONNECTION_SWEEP)

    async def expired(self, limit: int) -> Sequence[Connection]:
        """Connections whose time has come, locked; others change the rest meanwhile."""
        rows = await self._session.fetch(
            f"SELECT {_COLUMNS} FROM pgtwin.connection c WHERE status = 'active'"
            " AND expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1"
            " FOR UPDATE SKIP LOCKED",
            limit,
        )
        return [Connection.of(row) for row in rows]

    async def retired(self, after: float, limit: int) -> Sequence[tuple[int, int]]:
        """Databases and roles that were closed so many seconds ago, or before."""
        rows = await self._session.fetch(
            "SELECT database_id, role_id FROM pgtwin.retired_role"
            " WHERE retired_at <= clock_timestamp() - make_interval(secs => $1)"
            " ORDER BY retired_at LIMIT $2",
            after,
            limit,
        )
        return [(row["database_id"], row["role_id"]) for row in rows]

    async def by_role(self, database_id: int, role_id: int) -> Connection | None:
        row = await self._session.fetchrow(
            f"SELECT {_COLUMNS} FROM pgtwin.connection c WHERE database_id = $1 AND role_id = $2",
            database_id,
            role_id,
        )
        return Connection.of(row) if row else None
