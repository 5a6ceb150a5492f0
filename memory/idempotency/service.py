import hashlib
from dataclasses import dataclass

from memory.idempotency.errors import IdempotencyKeyReused, RequestInFlight
from memory.idempotency.models import Found, StoredAnswer
from memory.idempotency.repository import IdempotencyRepository
from memory.operations.models import OPEN, OperationState


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that a request brought.

    Attributes:
        caller: who brought it, so that nobody gets another's answer.
        digest: SHA-256 of what was asked.
    """

    caller: str
    key: str
    digest: bytes

    @property
    def lock(self) -> int:
        """The number of its advisory lock: 64 bits of a hash, whose collision costs a 409."""
        digest = hashlib.sha256(f"{self.caller}\n{self.key}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def request_digest(action: str, body: bytes) -> bytes:
    """The digest of what a request asks for.

    Args:
        action: the mount, the path and the query.
        body: as it was sent; the same JSON written otherwise is another request.
    """
    return hashlib.sha256(action.encode() + b"\n" + body).digest()


class IdempotencyService:
    """First answers, by the keys that their requests brought; in the transaction of the work.

    Args:
        retention: seconds for which an answer is kept.
    """

    def __init__(self, answers: IdempotencyRepository, retention: float) -> None:
        self._answers = answers
        self._retention = retention

    async def claim(self, claim: Claim) -> Found | None:
        """The first answer; None: the key is this transaction's, to do the work and store it.

        Raises:
            RequestInFlight: the key is another transaction's, or what was begun under it has
                not ended.
            IdempotencyKeyReused: the answer is that to another request.
        """
        locked, found = await self._answers.lock(claim.lock, claim.caller, claim.key)
        if not locked:
            raise RequestInFlight
        if found is None or found.state in (OperationState.FAILED, OperationState.CANCELLED):
            return None
        if found.digest != claim.digest:
            raise IdempotencyKeyReused
        if found.state in OPEN:
            raise RequestInFlight
        return found

    async def store(self, claim: Claim, status: int, body: bytes, operation_id: int | None) -> None:
        """Store the answer to the request that has the claim.

        Args:
            status: the HTTP status.
            operation_id: the operation that goes on after the commit; if it fails, the answer
                counts no more.
        """
        answer = StoredAnswer(
            caller=claim.caller,
            key=claim.key,
            digest=claim.digest,
            status=status,
            body=body,
            operation_id=operation_id,
        )
        await self._answers.put(answer, self._retention)
