from typing import Annotated

from fastapi import APIRouter, Query

from core.clone.errors import ClientProgramFailed, ClientProgramMissing
from core.errors import ClientGone, ResultTooLarge, SessionsExhausted, StatementTimeout
from memory.api.deps import Caller, Inspection
from memory.api.envelope import Envelope
from memory.api.errors import documented
from memory.api.transactions import StatementRoute
from memory.databases.errors import DatabaseNotFound
from memory.inputs import DatabaseId
from memory.inspection.errors import ReadersBusy, SchemaChanging
from memory.inspection.schemas import (
    SchemaContents,
    SchemaDdl,
    SchemaStatistics,
    SchemaText,
    WhichEnvironment,
    WhichSchema,
)
from memory.statements.errors import NotPermitted, SchemaMissing, UnknownTable

reads = APIRouter(route_class=StatementRoute)
COMMON = (
    DatabaseNotFound,
    SchemaMissing,
    SchemaChanging,
    StatementTimeout,
    ResultTooLarge,
    SessionsExhausted,
    ClientGone,
)


@reads.get("/databases/{database_id}/schema", responses=documented(*COMMON, UnknownTable))
async def describe_schema(
    database_id: DatabaseId,
    query: Annotated[WhichSchema, Query()],
    caller: Caller,
    inspection: Inspection,
) -> Envelope[SchemaContents | SchemaText]:
    """What an environment holds: tables with columns and keys, views, types, functions."""
    return Envelope(data=await inspection.schema(caller, database_id, query))


@reads.get(
    "/databases/{database_id}/ddl",
    responses=documented(
        *COMMON, ReadersBusy, NotPermitted, ClientProgramMissing, ClientProgramFailed
    ),
)
async def describe_ddl(
    database_id: DatabaseId,
    query: Annotated[WhichEnvironment, Query()],
    caller: Caller,
    inspection: Inspection,
) -> Envelope[SchemaDdl]:
    """SQL that makes the objects of an environment again, elsewhere and without rows."""
    return Envelope(data=await inspection.ddl(caller, database_id, query))


@reads.get("/databases/{database_id}/stats", responses=documented(*COMMON))
async def describe_stats(
    database_id: DatabaseId,
    query: Annotated[WhichEnvironment, Query()],
    caller: Caller,
    inspection: Inspection,
) -> Envelope[SchemaStatistics]:
    """Rows, sizes and scans of an environment's tables, and the slowest calls of SQL."""
    return Envelope(data=await inspection.stats(caller, database_id, query))
