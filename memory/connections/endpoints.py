from typing import Annotated

from fastapi import APIRouter, Query

from memory.api.deps import AfterCommit, Caller, Connections, EndSessions
from memory.api.envelope import Done, Envelope
from memory.api.errors import documented
from memory.api.transactions import TransactionalRoute
from memory.connections.errors import ConnectionEnded, ConnectionLimitReached, ConnectionNotFound
from memory.connections.schemas import (
    ConnectionAddress,
    ConnectionPage,
    ConnectionUri,
    CreateConnection,
    ListConnections,
)
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.inputs import DatabaseId

# On /v1 alone.
actions = APIRouter(route_class=TransactionalRoute)
reads = APIRouter(route_class=TransactionalRoute)


@actions.post(
    "/create_connection",
    responses=documented(SpaceNotFound, DatabaseNotFound, ConnectionLimitReached),
)
async def create_connection(
    body: CreateConnection, caller: Caller, connections: Connections
) -> Envelope[ConnectionUri]:
    """Make a login of one environment, for drivers of one's own; the URI is shown once."""
    return Envelope(data=await connections.create(caller, body))


@actions.post(
    "/rotate_connection",
    responses=documented(SpaceNotFound, ConnectionNotFound, ConnectionEnded),
)
async def rotate_connection(
    body: ConnectionAddress,
    caller: Caller,
    connections: Connections,
    end_sessions: EndSessions,
    after_commit: AfterCommit,
) -> Envelope[ConnectionUri]:
    """Give a connection another user and password; sessions under the old ones are ended."""
    made, old = await connections.rotate(caller, body)
    after_commit(end_sessions(old))
    return Envelope(data=made)


@actions.post("/revoke_connection", responses=documented(SpaceNotFound, ConnectionNotFound))
async def revoke_connection(
    body: ConnectionAddress,
    caller: Caller,
    connections: Connections,
    end_sessions: EndSessions,
    after_commit: AfterCommit,
) -> Done:
    """End a connection and its sessions; one that has ended is no error."""
    after_commit(end_sessions(await connections.revoke(caller, body)))
    return Done()


@reads.get("/databases/{database_id}/connections", responses=documented(DatabaseNotFound))
async def list_connections(
    database_id: DatabaseId,
    query: Annotated[ListConnections, Query()],
    caller: Caller,
    connections: Connections,
) -> Envelope[ConnectionPage]:
    """A database's connections without their secrets, the newest first."""
    return Envelope(data=await connections.page(caller, database_id, query))
