"""The audit of SQL: noted at once, written down now and then, at the end all of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import AppError, DatabaseUnavailable
from core.postgres.engine import Database, Session
from core.postgres.errors import sqlstate
from core.postgres.statements import fingerprint, normalised
from core.telemetry import current_sid, logger
from memory.audit.models import AuditEntry
from memory.audit.service import AuditTrail
from memory.caller import Caller
from memory.statements.directory import Access

INTERVAL_SECONDS = 0.5
BATCH = 1_000
# What PostgreSQL can't take for so long is not run any more.
MOST_UNWRITTEN = 50_000
log = logger("pgtwin.audit")


@dataclass(frozen=True, slots=True)
class Noted:
    """A call that ended.

    Attributes:
        sql: what was sent; only its fingerprint is kept.
        failed: SQLSTATE, or the error's name; empty: it did not.
        milliseconds: how long it took.
    """

    at: datetime
    sid: str
    action: str
    access: Access
    key_id: int | None
    sql: str
    env: str
    failed: str
    milliseconds: float

    def entry(self) -> AuditEntry:
        details = {
            "fingerprint": fingerprint(normalised(self.sql)),
            "env": self.env,
            "as": "end_user" if self.access.end_user else "owner",
            "duration_ms": self.milliseconds,
        }
        return AuditEntry.model_construct(
            create_at=self.at,
            sid=self.sid,
            uid=self.access.acting,
            app_id=self.access.app_id,
            key_id=self.key_id,
            action=self.action,
            database_id=self.access.database.id,
            details=details | ({"failed": self.failed} if self.failed else {}),
        )


class Journal:
    """Notes every call and writes them down in batches."""

    def __init__(self) -> None:
        self._unwritten: list[Noted] = []

    @asynccontextmanager
    async def entry(
        self, action: str, caller: Caller, access: Access, sql: str, env: str
    ) -> AsyncIterator[None]:
        """Around a call.

        Raises:
            DatabaseUnavailable: too much is not written down yet.
        """
        if len(self._unwritten) >= MOST_UNWRITTEN:
            raise DatabaseUnavailable("The audit can't be written at the moment")
        at, started, failed = datetime.now(UTC), time.perf_counter(), ""
        try:
            yield
        except BaseException as error:
            failed = sqlstate(error) or (
                error.kind() if isinstance(error, AppError) else type(error).__name__
            )
            raise
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 2)
            self._unwritten.append(
                Noted(
                    at,
                    current_sid(),
                    action,
                    access,
                    caller.key_id,
                    sql,
                    env,
                    failed,
                    milliseconds,
                )
            )

    async def keep(self, database: Database) -> None:
        """Write until cancelled, and the rest then."""
        try:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                writing = asyncio.ensure_future(self.write(database))
                try:
                    await asyncio.shield(writing)
                finally:
                    # One that is cut off may have been committed, and would be written twice.
                    await writing
        finally:
            await self.write(database)

    async def write(self, database: Database) -> None:
        """Write down what there is; what can't be is kept for the next time."""
        while self._unwritten:
            batch = self._unwritten[:BATCH]
            entries = await asyncio.to_thread(lambda noted: [each.entry() for each in noted], batch)

            async def write(session: Session, entries: list[AuditEntry] = entries) -> None:
                await AuditTrail.of(session).record_all(entries)

            try:
                await database.transaction(write)
            except AppError as error:
                log.warning("the audit of SQL could not be written", cause=repr(error))
                return
            del self._unwritten[: len(batch)]
