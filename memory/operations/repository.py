from collections.abc import Sequence

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import AppError
from memory.operations.models import OPEN, Operation, OperationState


class OperationRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, operation: Operation) -> None:
        self._session.add(operation)
        await self._session.flush()

    async def get(self, operation_id: int) -> Operation | None:
        return await self._session.get(Operation, operation_id)

    async def held(self, operation_id: int, owner: str) -> Operation | None:
        """The operation, locked, while this worker still has it; None: another took it over."""
        query = (
            select(Operation)
            .where(
                Operation.id == operation_id,
                Operation.owner == owner,
                col(Operation.state).in_(OPEN),
            )
            .with_for_update()
        )
        return (await self._session.exec(query)).one_or_none()

    async def beat(self, operation_ids: Sequence[int], owner: str) -> None:
        statement = update(Operation).where(
            col(Operation.id).in_(operation_ids), col(Operation.owner) == owner
        )
        await self._session.exec(
            statement.values(heartbeat_at=func.clock_timestamp()).execution_options(
                synchronize_session=False
            )
        )

    async def take_over(self, owner: str, silent_for: float, limit: int) -> Sequence[Operation]:
        """Operations whose worker has been silent, now this worker's.

        Args:
            silent_for: seconds without a heartbeat after which a worker counts as dead.
        """
        limit_of_silence = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, silent_for)
        query = (
            select(Operation)
            .where(col(Operation.state).in_(OPEN), col(Operation.heartbeat_at) < limit_of_silence)
            .order_by(col(Operation.heartbeat_at))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = (await self._session.exec(query)).all()
        for operation in found:
            operation.owner = owner
            operation.attempts += 1
            operation.heartbeat_at = func.clock_timestamp()  # type: ignore[assignment]
        await self._session.flush()
        for operation in found:
            await self._session.refresh(operation)
        return found

    async def progress(self, operation: Operation, step: str, done: int, total: int) -> None:
        operation.step, operation.done, operation.total = step, done, total
        await self._session.flush()

    async def close(self, operation: Operation, error: AppError | None) -> None:
        operation.state = OperationState.FAILED if error else OperationState.FINISHED
        if error is not None:
            operation.error = {
                "code": error.code,
                "type": error.kind(),
                "message": error.message,
                "retryable": error.retryable,
            }
        operation.finished_at = func.clock_timestamp()  # type: ignore[assignment]
        await self._session.flush()
