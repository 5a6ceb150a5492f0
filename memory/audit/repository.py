from collections.abc import Sequence

import asyncpg
import orjson

from core.postgres.engine import Session
from memory.audit.models import AuditEntry

# The latest calls of a database, by the index on it; no more are read, however many there are.
SLOWEST = """
SELECT details->>'fingerprint' AS fingerprint, min(action) AS action, count(*) AS calls,
       count(*) FILTER (WHERE details ? 'failed') AS failed,
       round(avg((details->>'duration_ms')::numeric), 2)::float8 AS mean_ms,
       max((details->>'duration_ms')::float8) AS max_ms,
       max(create_at) AS last_at,
       (array_agg(sid ORDER BY id DESC))[1] AS last_sid,
       coalesce((array_agg(DISTINCT details->>'failed')
                 FILTER (WHERE details ? 'failed'))[:10], '{}') AS sqlstates
FROM (
    SELECT id, create_at, sid, action, details FROM pgtwin.audit_entry
    WHERE database_id = $1 ORDER BY id DESC LIMIT $3
) AS latest
WHERE action IN ('exec_ddl', 'exec_dml') AND details->>'env' IN ($2, 'both')
  AND create_at > now() - interval '1 day'
GROUP BY 1 ORDER BY mean_ms DESC, fingerprint LIMIT $4
"""
LATEST = 10_000
SHOWN = 20


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

    async def slowest(self, database_id: int, env: str) -> Sequence[asyncpg.Record]:
        """Calls of SQL by fingerprint, the slowest on average first."""
        return await self._session.fetch(SLOWEST, database_id, env, LATEST, SHOWN)

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
