import orjson

from core.postgres.engine import Session
from memory.audit.models import AuditEntry


class AuditRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, entry: AuditEntry) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.audit_entry"
            " (sid, uid, app_id, key_id, action, database_id, details)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)",
            entry.sid,
            entry.uid,
            entry.app_id,
            entry.key_id,
            entry.action,
            entry.database_id,
            None if entry.details is None else orjson.dumps(entry.details).decode(),
        )
