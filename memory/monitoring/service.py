"""What monitoring asks, without the pool that requests use: a full one must not hide the rest."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import asyncpg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from core.errors import AppError
from core.ids import INSTANCES, IdGenerator
from core.metrics import Metrics
from core.postgres.engine import Database, Session
from core.telemetry import logger
from memory.monitoring.repository import MonitoringRepository

PATIENCE_SECONDS = 2.0
# Whoever asks more often, without a key even, is not let through to PostgreSQL.
ANSWER_SECONDS, CENSUS_SECONDS = 1.0, 15.0
REFRESH_SECONDS = 2.0
log = logger("pgtwin.monitoring")
Counts = Sequence[asyncpg.Record]


class Monitor:
    """The health of a worker and what PostgreSQL counts.

    Args:
        database: connections of its own.
        restarts: how often the embedded server was started again.
    """

    def __init__(
        self, database: Database, metrics: Metrics, ids: IdGenerator, restarts: Callable[[], int]
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._ids = ids
        self._restarts = restarts
        self._looking = asyncio.Lock()
        self._asked_at = self._counted_at = float("-inf")
        self._answers = False
        self._counts: Counts = ()
        self._cache = metrics.cache("census", lambda: len(self._counts))

    async def ready(self) -> bool:
        """Whether PostgreSQL answers and ids can be made."""
        return self._ids.is_leased and await self._look()

    async def scrape(self) -> bytes:
        """The text for Prometheus; without PostgreSQL, that which needs none."""
        answers = await self._look()
        return await asyncio.to_thread(self._metrics.render, list(self._values(answers)))

    async def keep(self) -> None:
        """Show this worker's gauges to the others until cancelled."""
        while self._metrics.is_shared:
            self._metrics.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    async def close(self) -> None:
        await self._database.close()

    async def _look(self) -> bool:
        """Whether PostgreSQL answers; the counts, where they are due."""
        async with self._looking:
            now = time.monotonic()
            if now - self._asked_at < ANSWER_SECONDS:
                return self._answers
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._ask(now)
                self._answers = True
            except (AppError, TimeoutError) as error:
                if self._answers:
                    log.warning("PostgreSQL does not answer", cause=repr(error))
                self._answers, self._counted_at = False, float("-inf")
            self._asked_at = time.monotonic()
            return self._answers

    async def _ask(self, now: float) -> None:
        if now - self._counted_at < CENSUS_SECONDS:
            self._cache.hit()
            await self._database.reading(_ping)
            return
        self._cache.miss()
        self._counts = await self._database.reading(_counts)
        self._counted_at = now

    def _values(self, answers: bool) -> Iterator[Metric]:
        yield GaugeMetricFamily("pgtwin_postgres_up", "1: PostgreSQL answers.", int(answers))
        yield CounterMetricFamily(
            "pgtwin_embedded_restarts",
            "Times that the embedded PostgreSQL was gone and started again.",
            self._restarts(),
        )
        yield GaugeMetricFamily("pgtwin_id_lease_limit", "Id ranges there are.", INSTANCES)
        if not answers:
            return
        databases = GaugeMetricFamily("pgtwin_databases", "Databases.", labels=["status"])
        operations = GaugeMetricFamily(
            "pgtwin_operations", "Operations that have not ended.", labels=["kind", "state"]
        )
        leases = GaugeMetricFamily("pgtwin_id_leases", "Id ranges that are leased to workers.")
        connections = GaugeMetricFamily(
            "pgtwin_connection_limits",
            "Sessions that connection URIs may have together.",
            labels=["mode"],
        )
        found, given = {"ready": 0}, {"read_write": 0, "read_only": 0}
        for row in self._counts:
            if row["what"] == "databases":
                found[row["state"]] = row["number"]
            elif row["what"] == "operations":
                operations.add_metric([row["kind"], row["state"]], row["number"])
            elif row["what"] == "connections":
                given[row["kind"]] = row["number"]
            else:
                leases.add_metric([], row["number"])
        for status, number in found.items():
            databases.add_metric([status], number)
        for mode, number in given.items():
            connections.add_metric([mode], number)
        yield from (databases, operations, leases, connections)


async def _ping(session: Session) -> None:
    await MonitoringRepository(session).ping()


async def _counts(session: Session) -> Counts:
    return await MonitoringRepository(session).counts()
