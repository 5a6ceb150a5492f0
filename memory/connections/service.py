import secrets

from core.ids import IdGenerator
from core.postgres.identifiers import Environment, SchemaName
from core.postgres.passwords import scram_verifier
from core.postgres.public_address import PublicAddress
from core.settings import Settings
from memory.audit.service import AuditTrail
from memory.caller import Caller, Scope
from memory.connections.errors import ConnectionEnded, ConnectionLimitReached, ConnectionNotFound
from memory.connections.models import Connection, ConnectionStatus, Mode
from memory.connections.repository import ConnectionRepository
from memory.connections.schemas import (
    ConnectionAddress,
    ConnectionPage,
    ConnectionSummary,
    ConnectionUri,
    CreateConnection,
    ListConnections,
)
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.databases.service import DatabaseService
from memory.inputs import DatabaseAddress, position


class ConnectionService:
    """Logins of a database's own, for drivers and programs outside of the service."""

    def __init__(
        self,
        connections: ConnectionRepository,
        databases: DatabaseService,
        audit: AuditTrail,
        ids: IdGenerator,
        settings: Settings,
    ) -> None:
        self._connections = connections
        self._databases = databases
        self._audit = audit
        self._ids = ids
        self._settings = settings

    async def create(self, caller: Caller, body: CreateConnection) -> ConnectionUri:
        """Make a login of one environment.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ConnectionLimitReached
        """
        acting, database = await self._databases.admit(caller, body, Scope.CONNECTIONS)
        limit = body.connection_limit or self._settings.connection_limit
        await self._require_room(limit)
        connection = Connection.model_construct(
            id=self._ids.next(),
            database_id=database.id,
            name=body.name,
            env=body.env.value,
            mode=body.mode.value,
            role_id=self._ids.next(),
            connection_limit=limit,
            expires_at=body.end,
            create_by=acting,
        )
        await self._connections.insert(connection)
        made = await self._make_role(connection)
        await self._record(caller, acting, "create_connection", connection)
        return made

    async def rotate(
        self, caller: Caller, body: ConnectionAddress
    ) -> tuple[ConnectionUri, Connection]:
        """Give a connection another login and password; the sessions of the old one are ended.

        Returns:
            The new one, and the connection as it was, whose sessions are to be ended once more.

        Raises:
            NotAuthorized, SpaceNotFound, ConnectionNotFound, ConnectionEnded
        """
        acting, old = await self._admit(caller, body)
        if old.status != ConnectionStatus.ACTIVE:
            raise ConnectionEnded
        role_id = self._ids.next()
        await self._connections.exchange_role(old, role_id, acting)
        new = Connection.of({**old.__dict__, "role_id": role_id})
        made = await self._make_role(new)
        await self._record(caller, acting, "rotate_connection", new)
        return made, old

    async def revoke(self, caller: Caller, body: ConnectionAddress) -> Connection:
        """End a connection and its sessions; one that has ended is no error.

        Raises:
            NotAuthorized, SpaceNotFound, ConnectionNotFound
        """
        acting, connection = await self._admit(caller, body)
        if connection.status == ConnectionStatus.ACTIVE:
            await self._connections.end(connection, ConnectionStatus.REVOKED, acting)
            await self._record(caller, acting, "revoke_connection", connection)
        return connection

    async def page(
        self, caller: Caller, database_id: int, query: ListConnections
    ) -> ConnectionPage:
        """A database's connections, the newest first, those that have ended too.

        Raises:
            DatabaseNotFound, NotAuthorized, InvalidRequest
        """
        await self._databases.require_visible(caller, database_id, Scope.CONNECTIONS)
        found = await self._connections.page(database_id, position(query.cursor), query.limit + 1)
        shown = found[: query.limit]
        more = len(found) > query.limit
        return ConnectionPage(
            connections=[ConnectionSummary.of(connection) for connection in shown],
            next_cursor=f"{shown[-1].id:x}" if more else None,
        )

    async def _require_room(self, wanted: int) -> None:
        """Refuse what would take connections from the service, or from those given out."""
        room = await self._connections.room()
        total = self._settings.connection_limit_total
        if total is None:
            workers = max(room.workers, self._settings.workers)
            total = max(0, room.available - workers * self._settings.connections_a_worker)
        if room.given + wanted > total:
            raise ConnectionLimitReached(
                f"The server has {total} connections for connection URIs, {room.given} are given "
                f"out, and {wanted} more were asked for"
            )

    async def _make_role(self, connection: Connection) -> ConnectionUri:
        entry = await self._databases.entry(connection.database_id)
        if entry is None:
            raise DatabaseNotFound
        schema = SchemaName(entry.schemas[Environment(connection.env)])
        password = secrets.token_urlsafe(32)
        await self._connections.make_role(connection, schema, scram_verifier(password))
        if connection.mode == Mode.READ_WRITE:
            await self._databases.separate_owners(connection.database_id)
        address = PublicAddress.of(self._settings)
        return ConnectionUri.of(connection, address, schema.name, password)

    async def _admit(self, caller: Caller, body: ConnectionAddress) -> tuple[str, Connection]:
        """The acting uid and the connection, its database locked."""
        found = await self._connections.find(body.connection_id)
        address = DatabaseAddress.model_construct(
            database_id=found.database_id if found else 0, uid=body.uid, space_id=body.space_id
        )
        try:
            acting, _ = await self._databases.admit(caller, address, Scope.CONNECTIONS)
        except DatabaseNotFound as error:
            raise ConnectionNotFound from error
        except SpaceNotFound as error:
            if found is None and "contain" in error.message:
                raise ConnectionNotFound from error
            raise
        # Under the database's lock, for it may have been changed since.
        connection = await self._connections.find(body.connection_id)
        if connection is None:
            raise ConnectionNotFound
        return acting, connection

    async def _record(
        self, caller: Caller, acting: str, action: str, connection: Connection
    ) -> None:
        await self._audit.record(
            action,
            acting,
            database_id=connection.database_id,
            app_id=caller.app_id,
            key_id=caller.key_id,
            details=audited(connection),
        )


def audited(connection: Connection) -> dict[str, str]:
    """What the audit says of a connection."""
    return {
        "connection": str(connection.id),
        "env": str(connection.env),
        "mode": str(connection.mode),
        "role": connection.role.name,
    }
