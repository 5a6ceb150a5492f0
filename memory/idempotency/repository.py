from core.postgres.engine import Session
from core.postgres.locks import Lock, try_hold
from memory.idempotency.models import Found, StoredAnswer
from memory.operations.models import OperationState


class IdempotencyRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def lock(self, number: int, caller: str, key: str) -> tuple[bool, Found | None]:
        """Lock a key until the transaction ends, without waiting, and look under it.

        One round trip: the function looks with a snapshot that is younger than the lock.

        Args:
            number: the key's advisory lock.

        Returns:
            Whether the lock was free, and what is stored.
        """
        row = await self._session.fetchrow(
            "SELECT * FROM pgtwin.lock_idempotency_key($1, $2, $3)", number, caller, key
        )
        if row is None or row["digest"] is None:
            return bool(row and row["locked"]), None
        state = None if row["state"] is None else OperationState(row["state"])
        return True, Found(row["digest"], row["status"], row["body"], state)

    async def put(self, answer: StoredAnswer, retention: float) -> None:
        """Store an answer, in the place of one that has expired or did not come true.

        Args:
            retention: seconds until it expires.
        """
        await self._session.execute(
            "INSERT INTO pgtwin.idempotency"
            " (caller, key, digest, status, body, operation_id, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))"
            " ON CONFLICT (caller, key) DO UPDATE SET digest = excluded.digest,"
            " status = excluded.status, body = excluded.body,"
            " operation_id = excluded.operation_id, create_at = now(),"
            " expires_at = excluded.expires_at",
            answer.caller,
            answer.key,
            answer.digest,
            answer.status,
            answer.body,
            answer.operation_id,
            retention,
        )

    async def remove_expired(self, limit: int) -> int:
        """Remove a batch, unless another worker is at it; gives how many it was."""
        if not await try_hold(self._session, Lock.IDEMPOTENCY_CLEANUP):
            return 0
        # A row that is being replaced at this moment is not expired any more.
        tag = await self._session.execute(
            "DELETE FROM pgtwin.idempotency WHERE (caller, key) IN ("
            "SELECT caller, key FROM pgtwin.idempotency WHERE expires_at <= now()"
            " ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
            limit,
        )
        return int(tag.rpartition(" ")[2])
