from core.errors import AppError
from memory.caller import Caller, Scope
from memory.inputs import position
from memory.operations.errors import OperationNotFound
from memory.operations.models import Operation, OperationState
from memory.operations.repository import OperationRepository
from memory.operations.schemas import ListOperations, OperationDetail, OperationPage


class OperationService:
    """The record of operations, inside a transaction of whoever does the work."""

    def __init__(self, operations: OperationRepository) -> None:
        self._operations = operations

    async def add(self, operation: Operation) -> None:
        await self._operations.add(operation)

    async def get(self, caller: Caller, operation_id: int) -> Operation:
        """An operation that the caller started.

        Raises:
            OperationNotFound, NotAuthorized
        """
        operation = await self._operations.get(operation_id)
        if operation is None or (caller.uid is not None and operation.uid != caller.uid):
            raise OperationNotFound
        caller.require(Scope.DATABASES_READ)
        return operation

    async def page(self, caller: Caller, query: ListOperations) -> OperationPage:
        """The operations that the caller started, the newest first; an administrator sees all.

        Raises:
            NotAuthorized, InvalidRequest
        """
        caller.require(Scope.DATABASES_READ)
        found = await self._operations.page(
            caller.uid, query.state, position(query.cursor), query.limit + 1
        )
        shown = found[: query.limit]
        more = len(found) > query.limit
        return OperationPage(
            operations=[OperationDetail.of(operation) for operation in shown],
            next_cursor=f"{shown[-1].id:x}" if more else None,
        )

    async def held(self, operation_id: int, owner: str) -> Operation | None:
        return await self._operations.held(operation_id, owner)

    async def is_finished(self, operation_id: int) -> bool:
        operation = await self._operations.get(operation_id)
        return operation is not None and operation.state == OperationState.FINISHED

    async def progress(self, operation: Operation, step: str, done: int, total: int) -> None:
        await self._operations.progress(operation.id, step, done, total)

    async def finish(self, operation: Operation) -> None:
        await self._operations.close(operation.id, None)

    async def fail(self, operation: Operation, error: AppError) -> None:
        await self._operations.close(operation.id, error)
