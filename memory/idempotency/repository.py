from sqlalchemy import delete, func, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.postgres.locks import Lock, try_hold
from memory.idempotency.models import Found, StoredAnswer
from memory.operations.models import OperationState


class IdempotencyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self, number: int, caller: str, key: str) -> tuple[bool, Found | None]:
        """Lock a key until the transaction ends, without waiting, and look under it.

        One round trip: the function looks with a snapshot that is younger than the lock.

        Args:
            number: the key's advisory lock.

        Returns:
            Whether the lock was free, and what is stored.
        """
        statement = text("SELECT * FROM pgtwin.lock_idempotency_key(:number, :caller, :key)")
        connection = await self._session.connection()
        row = (
            await connection.execute(statement, {"number": number, "caller": caller, "key": key})
        ).one()
        if row.digest is None:
            return row.locked, None
        state = None if row.state is None else OperationState(row.state)
        return True, Found(row.digest, row.status, row.body, state)

    async def put(self, answer: StoredAnswer, retention: float) -> None:
        """Store an answer, in the place of one that has expired or did not come true.

        Args:
            retention: seconds until it expires.
        """
        fields = answer.model_dump(include={"digest", "status", "body", "operation_id"}) | {
            "create_at": func.now(),
            "expires_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, retention),
        }
        statement = insert(StoredAnswer).values(caller=answer.caller, key=answer.key, **fields)
        await self._session.exec(
            statement.on_conflict_do_update(index_elements=["caller", "key"], set_=fields)
        )

    async def remove_expired(self, limit: int) -> int:
        """Remove a batch, unless another worker is at it; gives how many it was."""
        if not await try_hold(await self._session.connection(), Lock.IDEMPOTENCY_CLEANUP):
            return 0
        expired = (
            select(StoredAnswer.caller, StoredAnswer.key)
            .where(col(StoredAnswer.expires_at) <= func.now())
            .order_by(col(StoredAnswer.expires_at))
            .limit(limit)
            # A row that is being replaced at this moment is not expired any more.
            .with_for_update(skip_locked=True)
        )
        address = tuple_(col(StoredAnswer.caller), col(StoredAnswer.key))
        removed = await self._session.exec(
            delete(StoredAnswer)
            .where(address.in_(expired))
            .execution_options(synchronize_session=False)
        )
        return int(removed.rowcount)
