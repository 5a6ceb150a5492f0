from typing import Any

from core.telemetry import current_sid
from memory.audit.models import AuditEntry
from memory.audit.repository import AuditRepository


class AuditTrail:
    """Adds entries to the append-only audit, in the transaction of the work."""

    def __init__(self, entries: AuditRepository) -> None:
        self._entries = entries

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
