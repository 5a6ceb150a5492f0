"""The reaper: drops what has expired, and what was dropped longer ago than it is kept."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from core.errors import AppError, PoolExhausted
from core.metrics import Metrics
from core.postgres.engine import Database, Session
from core.settings import ReaperInUse
from core.telemetry import logger
from memory.audit.service import AuditTrail
from memory.databases.dropping import Dropped
from memory.databases.models import DatabaseMeta
from memory.databases.service import DatabaseService
from memory.databases.tasks import end_sessions
from memory.ephemeral.repository import EphemeralRepository
from memory.operations.runner import AT_ONCE, OperationRunner

INTERVAL_SECONDS = 1.0
# What holds one database must not hold up the others.
PATIENCE_SECONDS = 1.0
BATCH = 100
# One at a time falls behind where many clients drop without a pause.
DUE_PER_LANE, LANES = 10, 5
FIRST_DELAY, LONGEST_DELAY = 2.0, 300.0
IN_USE_DELAY = 2.0
OPERATOR = "pgtwind"

log = logger("pgtwin.reaper")


class PutOffError(Exception):
    """A database is not dropped now, and that is no failure."""


class Reaper:
    """Looks for what is due and drops it, several at once.

    Of all workers one looks while none drops. Where another comes between a look and its drops, the
    two share the work.

    Args:
        databases: the service of a transaction.
        runner: drops what one transaction can't.
        in_use: what is done where an expired database is in use.
    """

    def __init__(
        self,
        database: Database,
        databases: Callable[[Session], DatabaseService],
        runner: OperationRunner,
        in_use: ReaperInUse,
        metrics: Metrics | None = None,
    ) -> None:
        self._database = database
        self._databases = databases
        self._runner = runner
        self._in_use = in_use
        self._metrics = metrics

    async def keep(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.look()
            except* AppError as errors:
                causes = [repr(error) for error in errors.exceptions]
                log.warning("databases could not be looked after", causes=causes)

    async def look(self) -> None:
        """Drop what is due by now, a transaction each, unless another worker is at it.

        Raises:
            ExceptionGroup: of AppErrors: PostgreSQL can't be asked, or has no room.
            AppError: the same.
        """
        await self._end_strays()
        while due := await self._database.transaction(self._due):
            if not await self._reap_all(due):
                return

    async def _reap_all(self, due: Sequence[int]) -> bool:
        """The more at once the more there is; gives whether any was dropped or put off."""
        left = iter(due)
        async with asyncio.TaskGroup() as group:
            lanes = [
                group.create_task(self._reap_each(left))
                for _ in range(min(LANES, -(-len(due) // DUE_PER_LANE)))
            ]
        return any(lane.result() for lane in lanes)

    async def _reap_each(self, due: Iterator[int]) -> bool:
        # All of them, whatever becomes of the first.
        return any([await self._reap(database_id) for database_id in due])

    async def _end_strays(self) -> None:
        stray = await self._database.reading(lambda session: EphemeralRepository(session).stray())
        if stray:
            await end_sessions(self._database, stray)

    async def _due(self, session: Session) -> list[int]:
        ephemeral = EphemeralRepository(session)
        if not await ephemeral.try_lead():
            return []
        for database_id in await ephemeral.note_protected():
            log.warning("an expired database is protected and stays", database_id=database_id)
        return list(await ephemeral.due(BATCH))

    async def _reap(self, database_id: int) -> bool:
        """Drop a database or put it off; False: it is due no longer, or another is at it."""
        try:
            dropped = await self._database.transaction(
                lambda session: self._drop(session, database_id)
            )
        except PoolExhausted:
            # No fault of this database's.
            raise
        except PutOffError as reason:
            await self._put_off(database_id, str(reason), failures=0)
        except AppError as error:
            log.warning(
                "a database could not be dropped", database_id=database_id, cause=repr(error)
            )
            self._count("failed")
            await self._put_off(database_id, _said(error), failures=1)
        else:
            if dropped is None:
                return False
            self._count("purged" if dropped.database.deleted_at else "expired")
            if dropped.operation is not None:
                self._runner.begin(dropped.operation)
        return True

    async def _drop(self, session: Session, database_id: int) -> Dropped | None:
        ephemeral = EphemeralRepository(session)
        if not await ephemeral.try_reap():
            return None
        database = await ephemeral.lock_due(database_id, PATIENCE_SECONDS)
        if database is None:
            return None
        is_expired = database.deleted_at is None
        waits = is_expired and self._in_use is ReaperInUse.WAIT
        if waits and await ephemeral.in_use(database_id):
            raise PutOffError("in use")
        dropped = await self._databases(session).dropping.drop(database, OPERATOR, purge=True)
        # Of those that are decided at the same moment, all begin.
        if dropped is not None and dropped.operation and self._runner.running >= AT_ONCE:
            raise PutOffError("other large databases are being dropped")
        await ephemeral.forget_delay(database_id)
        action = "expire_database" if is_expired else "purge_database"
        await _record(session, action, database)
        return dropped

    async def _put_off(self, database_id: int, reason: str, *, failures: int) -> None:
        first = FIRST_DELAY if failures else IN_USE_DELAY
        await self._database.transaction(
            lambda session: EphemeralRepository(session).put_off(
                database_id, reason, failures=failures, first=first, most=LONGEST_DELAY
            )
        )

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.reaped(outcome)


async def _record(session: Session, action: str, database: DatabaseMeta) -> None:
    details = {"name": database.name, "owner": database.uid, "space_id": database.space_id}
    await AuditTrail.of(session).record(action, OPERATOR, database_id=database.id, details=details)


def _said(error: AppError) -> str:
    """The error, and what PostgreSQL said where it is PostgreSQL's."""
    cause = error.__cause__
    return f"{error.message}: {cause}" if cause is not None else error.message
