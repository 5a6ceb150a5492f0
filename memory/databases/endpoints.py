from typing import Annotated

from fastapi import APIRouter, Query

from core.clone.errors import (
    CannotBeCloned,
    ClientProgramFailed,
    ClientProgramMissing,
    CloneFailed,
    SourceChanged,
    TooLargeToClone,
)
from memory.api.deps import AfterCommit, Caller, Databases, EndDrops, Runner
from memory.api.envelope import Done, Envelope
from memory.api.errors import documented
from memory.api.mounts import is_drop_in
from memory.api.transactions import TransactionalRoute
from memory.databases.errors import (
    CreateFailed,
    DatabaseNotFound,
    DropFailed,
    ModifyFailed,
    NameTaken,
    Protected,
    SpaceNotFound,
)
from memory.databases.schemas import (
    AppGrant,
    CloneDatabase,
    CloneRef,
    CreateDatabase,
    DatabaseDetail,
    DatabasePage,
    DatabaseRef,
    DescribeDatabase,
    DropDatabase,
    DroppedRef,
    ListDatabases,
    ModifyDescription,
)
from memory.inputs import DatabaseId
from memory.operations.errors import Interrupted

# On both mounts; the others are on /v1 alone.
actions = APIRouter(route_class=TransactionalRoute)
grants = APIRouter(route_class=TransactionalRoute)
reads = APIRouter(route_class=TransactionalRoute)


@actions.post("/create_database", responses=documented(NameTaken, CreateFailed))
async def create_database(
    body: CreateDatabase, caller: Caller, databases: Databases
) -> Envelope[DatabaseRef]:
    """Create a database: a prod and a test schema with roles of their own."""
    database = await databases.create(caller, body)
    return Envelope(data=DatabaseRef.of(database))


@actions.post(
    "/clone_database",
    responses=documented(
        DatabaseNotFound,
        SpaceNotFound,
        NameTaken,
        CloneFailed,
        ClientProgramMissing,
        ClientProgramFailed,
        CannotBeCloned,
        TooLargeToClone,
        SourceChanged,
        Interrupted,
    ),
)
async def clone_database(
    body: CloneDatabase,
    caller: Caller,
    databases: Databases,
    runner: Runner,
    after_commit: AfterCommit,
) -> Envelope[CloneRef]:
    """Copy a database whole, data and all, into a new one that owes it nothing."""
    operation = await databases.clone(caller, body)
    after_commit(lambda: runner.run(operation), operation_id=operation.id)
    return Envelope(data=CloneRef.of_operation(operation))


@actions.post(
    "/drop_database",
    response_model=Envelope[DroppedRef],
    responses=documented(SpaceNotFound, DatabaseNotFound, Protected, DropFailed),
)
async def drop_database(
    body: DropDatabase, caller: Caller, databases: Databases, end_drops: EndDrops
) -> Done:
    """Drop a database with all that is in it; its name is free at once, and for a while it can be
    restored."""
    dropped = await databases.drop(caller, body)
    end_drops([dropped])
    if is_drop_in():
        return Done()
    return Envelope(data=DroppedRef.of_drop(dropped.database, dropped.restorable_until))


@actions.post(
    "/modify_db_description", responses=documented(SpaceNotFound, DatabaseNotFound, ModifyFailed)
)
async def modify_db_description(
    body: ModifyDescription, caller: Caller, databases: Databases
) -> Done:
    """Set a database's description; null or none clears it."""
    await databases.modify_description(caller, body)
    return Done()


@grants.post("/grant_app", responses=documented(SpaceNotFound, DatabaseNotFound, ModifyFailed))
async def grant_app(body: AppGrant, caller: Caller, databases: Databases) -> Done:
    """Let an application run SQL in a database for its end users, each with rows of his own."""
    await databases.grant_app(caller, body)
    return Done()


@grants.post("/revoke_app", responses=documented(SpaceNotFound, DatabaseNotFound, ModifyFailed))
async def revoke_app(body: AppGrant, caller: Caller, databases: Databases) -> Done:
    """Take a database away from an application; its end users' rows stay."""
    await databases.revoke_app(caller, body)
    return Done()


@reads.get("/databases", responses=documented())
async def list_databases(
    query: Annotated[ListDatabases, Query()], caller: Caller, databases: Databases
) -> Envelope[DatabasePage]:
    """The databases that the key may see, the newest first."""
    return Envelope(data=await databases.page(caller, query))


@reads.get("/databases/{database_id}", responses=documented(DatabaseNotFound))
async def describe_database(
    database_id: DatabaseId,
    query: Annotated[DescribeDatabase, Query()],
    caller: Caller,
    databases: Databases,
) -> Envelope[DatabaseDetail]:
    """One database with both its schemas, their sizes and stamps."""
    return Envelope(data=await databases.describe(caller, database_id, query))
