from collections.abc import Sequence
from typing import Any, Self

import asyncpg

from core.postgres.engine import Session
from core.telemetry import current_sid
from memory.audit.models import AuditEntry
from memory.audit.repository import AuditRepository


class AuditTrail:
    """Adds entries to the append-only audit, in the transaction of the work."""

    def __init__(self, entries: AuditRepository) -> None:
        self._entries = entries

    @classmethod
    def of(cls, session: Session) -> Self:
        return cls(AuditRepository(session))

    async def record_all(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries of calls that have ended, with the moments at which they began."""
        await self._entries.add_all(entries)

    async def slowest(self, database_id: int, env: str) -> Sequence[asyncpg.Record]:
        """SQL of a database by fingerprint, the slowest on average first."""
        return await self._entries.slowest(database_id, env)

    async def record(
        self,
        action: str,
        uid: str,
        *,
        database_id: int | None = None,
        app_id: str = "",
        key_id: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Add an entry.

        Args:
            uid: who acted, not who owns.
            details: names and settings; never a secret, never a row of a tenant's.
        """
        entry = AuditEntry.model_construct(
            sid=current_sid(),
            uid=uid,
            app_id=app_id,
            key_id=key_id,
            action=action,
            database_id=database_id,
            details=details,
        )
        await self._entries.add(entry)
