from collections.abc import Sequence

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

    async def add_all(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries with the moments that they have."""
        # Mapped attributes are slow to read, and these are many.
        rows = [vars(entry) for entry in entries]
        columns = ("create_at", "sid", "uid", "app_id", "key_id", "action", "database_id")
        await self._session.execute(
            f"INSERT INTO pgtwin.audit_entry ({', '.join(columns)}, details)"
            " SELECT at, sid, uid, app_id, key_id, action, database_id, details::jsonb"
            " FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[],"
            " $6::text[], $7::bigint[], $8::text[])"
            " AS e (at, sid, uid, app_id, key_id, action, database_id, details)",
            *([row[column] for row in rows] for column in columns),
            [orjson.dumps(row["details"]).decode() for row in rows],
        )
