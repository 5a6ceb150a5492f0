from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from core.postgres.engine import Session
from core.postgres.locks import Lock, try_hold
from memory.databases.models import DatabaseMeta, DatabaseStatus

_COLUMNS = ", ".join(DatabaseMeta.model_fields)
_LIVE = f"deleted_at IS NULL AND status = '{DatabaseStatus.READY}'"
# Only moments that stay the same for a statement are looked up in an index.
EXPIRED = f"expires_at IS NOT NULL AND expires_at <= statement_timestamp() AND {_LIVE}"
FORGOTTEN = "restorable_until IS NOT NULL AND restorable_until <= statement_timestamp()"
_NOT_PUT_OFF = """
NOT EXISTS (SELECT FROM pgtwin.reaper_delay r
            WHERE r.database_id = id AND r.retry_at > statement_timestamp())
"""
DUE = f"""
SELECT id FROM (
    (SELECT id, expires_at AS due_at FROM pgtwin.database_meta
     WHERE {EXPIRED} AND NOT protected AND {_NOT_PUT_OFF} ORDER BY expires_at LIMIT $1)
    UNION ALL
    (SELECT id, restorable_until FROM pgtwin.database_meta
     WHERE {FORGOTTEN} AND {_NOT_PUT_OFF} ORDER BY restorable_until LIMIT $1)
) AS due ORDER BY due_at LIMIT $1
"""
_LOCK_DUE = f"""
SELECT {_COLUMNS} FROM pgtwin.database_meta
WHERE id = $1 AND (({EXPIRED}) AND NOT protected OR ({FORGOTTEN})) FOR UPDATE SKIP LOCKED
"""
# Only once, for as long as it stays so.
_NOTE_PROTECTED = f"""
INSERT INTO pgtwin.reaper_delay (database_id, reason, retry_at)
SELECT id, 'protected', 'infinity' FROM pgtwin.database_meta
WHERE {EXPIRED} AND protected
  AND NOT EXISTS (SELECT FROM pgtwin.reaper_delay r WHERE r.database_id = id)
ON CONFLICT DO NOTHING RETURNING database_id
"""
_PUT_OFF = """
INSERT INTO pgtwin.reaper_delay AS r (database_id, reason, failures, retry_at)
VALUES ($1, left($2, 200), $3, clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (database_id) DO UPDATE SET
    reason = excluded.reason,
    failures = r.failures + excluded.failures,
    retry_at = clock_timestamp()
        + make_interval(secs => least($4 * 2 ^ least(r.failures, 16), greatest($4, $5)))
"""
# Whoever is in a transaction holds the lock on its number. Programs of their owner are in use as
# long as they are connected; the sessions of the service only while a call runs.
_IN_USE = r"""
SELECT EXISTS (
    SELECT FROM pg_stat_activity a
    WHERE starts_with(a.usename, 'd' || $1::text || '_')
      AND (a.usename ~ '_c[0-9]+$' OR EXISTS (
          SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'virtualxid')))
"""
# Let in while their database was being closed.
_STRAY = r"""
SELECT DISTINCT d.id FROM (
    SELECT substring(usename FROM '^d([0-9]{10,19})_')::numeric AS id FROM pg_stat_activity
) AS session
JOIN pgtwin.database_meta d
  ON d.id = CASE WHEN session.id < 9223372036854775808 THEN session.id::bigint END
WHERE d.restorable_until IS NOT NULL
"""


class EphemeralRepository:
    """How long databases live: what is said of it in their rows, and which are due."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def set_expiration(
        self, database_id: int, expires_at: datetime | None, acting_uid: str
    ) -> None:
        await self._change("expires_at = $2", database_id, expires_at, acting_uid)

    async def set_labels(
        self, database_id: int, labels: Mapping[str, str], acting_uid: str
    ) -> None:
        text = orjson.dumps(labels).decode()
        await self._change("labels = $2::text::jsonb", database_id, text, acting_uid)

    async def set_protection(self, database_id: int, protected: bool, acting_uid: str) -> None:
        await self._change("protected = $2", database_id, protected, acting_uid)

    async def _change(self, what: str, database_id: int, value: object, acting_uid: str) -> None:
        """What was put off is looked at anew."""
        await self._session.execute(
            f"UPDATE pgtwin.database_meta SET {what}, update_by = $3 WHERE id = $1",
            database_id,
            value,
            acting_uid,
        )
        await self.forget_delay(database_id)

    async def labelled(
        self, labels: Mapping[str, str], uid: str, space_id: str, *, protected: bool, limit: int
    ) -> Sequence[DatabaseMeta]:
        """Live databases with all of these labels, the oldest first, locked.

        Args:
            uid: whose they are, where there is no space.
        """
        rows = await self._session.fetch(
            f"SELECT {_COLUMNS} FROM pgtwin.database_meta WHERE {_LIVE}"
            # As the partial index has it.
            " AND labels <> '{}'::jsonb AND labels @> $1::text::jsonb"
            " AND CASE WHEN $3 <> '' THEN space_id = $3 ELSE uid = $2 END AND protected = $4"
            " ORDER BY id LIMIT $5 FOR UPDATE",
            orjson.dumps(labels).decode(),
            uid,
            space_id,
            protected,
            limit,
        )
        return [DatabaseMeta.of(row) for row in rows]

    async def try_lead(self) -> bool:
        """Whether this worker may look for what is due: no other looks or drops."""
        return await try_hold(self._session, Lock.REAPER)

    async def try_reap(self) -> bool:
        """Whether this worker may drop what it has found: no other looks meanwhile."""
        return await try_hold(self._session, Lock.REAPER, shared=True)

    async def note_protected(self) -> Sequence[int]:
        """Databases that have expired and stay, for they are protected; each is given once."""
        rows = await self._session.fetch(_NOTE_PROTECTED)
        return [row["database_id"] for row in rows]

    async def due(self, limit: int) -> Sequence[int]:
        """Databases that have expired, or whose retention is over; the longest due first."""
        return [row["id"] for row in await self._session.fetch(DUE, limit)]

    async def lock_due(self, database_id: int, patience: float) -> DatabaseMeta | None:
        """A database that is still due, locked; None: it is not, or somebody changes it.

        Args:
            patience: seconds to wait for any lock, until the transaction ends.
        """
        await self._session.execute(f"SET LOCAL lock_timeout = {int(patience * 1000)}")
        row = await self._session.fetchrow(_LOCK_DUE, database_id)
        return DatabaseMeta.of(row) if row else None

    async def in_use(self, database_id: int) -> bool:
        """Whether somebody is connected with a URI, or a call runs in it."""
        found = bool(await self._session.fetchval(_IN_USE, str(database_id)))
        # Whoever ends its sessions in this transaction is to see those that have come since.
        await self._session.execute("SELECT pg_stat_clear_snapshot()")
        return found

    async def put_off(
        self, database_id: int, reason: str, *, failures: int, first: float, most: float
    ) -> None:
        """Leave a database alone for `first` seconds, twice as long after each failure."""
        await self._session.execute(_PUT_OFF, database_id, reason, failures, first, most)

    async def forget_delay(self, database_id: int) -> None:
        await self._session.execute(
            "DELETE FROM pgtwin.reaper_delay WHERE database_id = $1", database_id
        )

    async def stray(self) -> Sequence[int]:
        """Databases that are dropped, and have sessions still."""
        return [row["id"] for row in await self._session.fetch(_STRAY)]
