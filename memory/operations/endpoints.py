from typing import Annotated

from fastapi import APIRouter, Query

from memory.api.deps import Caller, Operations
from memory.api.envelope import Envelope
from memory.api.errors import documented
from memory.api.transactions import TransactionalRoute
from memory.inputs import OperationId
from memory.operations.errors import OperationNotFound
from memory.operations.schemas import ListOperations, OperationDetail, OperationPage

reads = APIRouter(route_class=TransactionalRoute)


@reads.get("/operations", responses=documented())
async def list_operations(
    query: Annotated[ListOperations, Query()], caller: Caller, operations: Operations
) -> Envelope[OperationPage]:
    """The operations that you started, the newest first."""
    return Envelope(data=await operations.page(caller, query))


@reads.get("/operations/{operation_id}", responses=documented(OperationNotFound))
async def describe_operation(
    operation_id: OperationId, caller: Caller, operations: Operations
) -> Envelope[OperationDetail]:
    """An operation that you started: its state, step, progress, and error."""
    return Envelope(data=OperationDetail.of(await operations.get(caller, operation_id)))
