from fastapi import APIRouter

from memory.api.deps import Caller, EndDrops, Ephemeral
from memory.api.envelope import Envelope
from memory.api.errors import documented
from memory.api.transactions import TransactionalRoute
from memory.databases.errors import (
    DatabaseNotFound,
    DropFailed,
    ModifyFailed,
    NameTaken,
    NotRestorable,
    SpaceNotFound,
)
from memory.databases.schemas import DatabaseRef
from memory.ephemeral.schemas import (
    DropDatabases,
    DroppedDatabases,
    ExpirationSet,
    LabelsSet,
    ProtectionSet,
    RestoreDatabase,
    RestoredRef,
    SetExpiration,
    SetLabels,
    SetProtection,
    ref,
)

# On /v1 alone.
actions = APIRouter(route_class=TransactionalRoute)
CHANGES = documented(SpaceNotFound, DatabaseNotFound, ModifyFailed)


@actions.post("/set_expiration", responses=CHANGES)
async def set_expiration(
    body: SetExpiration, caller: Caller, ephemeral: Ephemeral
) -> Envelope[ExpirationSet]:
    """Set when a database is dropped by itself; a null `expires_at` clears it."""
    database = await ephemeral.set_expiration(caller, body)
    return Envelope(data=ExpirationSet(**ref(database), expires_at=database.expires_at))


@actions.post("/set_labels", responses=CHANGES)
async def set_labels(body: SetLabels, caller: Caller, ephemeral: Ephemeral) -> Envelope[LabelsSet]:
    """Set a database's labels, in the place of those that it has."""
    database = await ephemeral.set_labels(caller, body)
    return Envelope(data=LabelsSet(**ref(database), labels=body.labels))


@actions.post("/set_protection", responses=CHANGES)
async def set_protection(
    body: SetProtection, caller: Caller, ephemeral: Ephemeral
) -> Envelope[ProtectionSet]:
    """Keep a database from being dropped, or let it be dropped again."""
    database = await ephemeral.set_protection(caller, body)
    return Envelope(data=ProtectionSet(**ref(database), protected=body.protected))


@actions.post("/drop_databases", responses=documented(SpaceNotFound, DropFailed))
async def drop_databases(
    body: DropDatabases, caller: Caller, ephemeral: Ephemeral, end_drops: EndDrops
) -> Envelope[DroppedDatabases]:
    """Drop up to 100 databases that carry all of the labels, the oldest first."""
    dropped, kept, more = await ephemeral.drop_labelled(caller, body)
    end_drops(dropped)
    gone = [DatabaseRef.of(each.database) for each in dropped]
    stay = [DatabaseRef.of(each) for each in kept]
    return Envelope(data=DroppedDatabases(dropped=gone, protected=stay, more=more))


@actions.post("/restore_database", responses=documented(NotRestorable, NameTaken, ModifyFailed))
async def restore_database(
    body: RestoreDatabase, caller: Caller, ephemeral: Ephemeral
) -> Envelope[RestoredRef]:
    """Bring back a database that was dropped: its data, its logins and its connections."""
    database = await ephemeral.restore(caller, body)
    return Envelope(data=RestoredRef(**ref(database), database_name=database.name))
