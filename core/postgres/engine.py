"""The async engine, its pool, and the one unit of work."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import orjson
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, NullPool
from sqlalchemy.util import greenlet_spawn

from core.errors import DatabaseUnavailable, PoolExhausted
from core.metrics import Metrics
from core.postgres.errors import is_lost, is_rerunnable, translate
from core.postgres.observer import ObservedConnection, StatementObserver
from core.settings import Settings

if TYPE_CHECKING:
    from core.tracing import Tracing

T = TypeVar("T")
RERUNS = 3
Work = Callable[["Session"], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What the pool's connections are doing, in numbers of connections."""

    in_use: int
    idle: int
    limit: int


class MeteredPool(AsyncAdaptedQueuePool):
    """Knows who waits for a connection; `waited` gets the seconds of each wait."""

    waiting = 0
    waited: Callable[[float], None] | None = None

    def _do_get(self) -> ConnectionPoolEntry:
        self.waiting += 1
        started = time.perf_counter()
        try:
            return super()._do_get()
        finally:
            self.waiting -= 1
            if self.waited is not None:
                self.waited(time.perf_counter() - started)


def create_engine(
    dsn: str, settings: Settings, *, pooled: bool = True, tracing: "Tracing | None" = None
) -> AsyncEngine:
    """An engine over asyncpg.

    asyncpg parses the URL itself, so it means what it means to psql (sslmode, sslrootcert,
    target_session_attrs, several hosts), and SQLAlchemy's own reading of it is left out.

    Args:
        dsn: `postgresql://...`.
        pooled: False opens a connection for each use, for commands that run once.
        tracing: makes a span of each statement; None: no spans.
    """

    observer = StatementObserver(settings.slow_query_ms, tracing)

    async def connect() -> asyncpg.Connection:
        try:
            connection = await asyncpg.connect(
                dsn,
                connection_class=ObservedConnection,
                timeout=settings.connect_timeout,
                command_timeout=settings.statement_timeout + 1,
                server_settings={
                    "application_name": "pgtwin",
                    "timezone": "UTC",
                    "jit": "off",
                    # Plans that are right however many databases there are. PostgreSQL would
                    # make them for few, keep them while there come many, or plan each call anew.
                    "plan_cache_mode": "force_generic_plan",
                    "enable_seqscan": "off",
                    "lock_timeout": milliseconds(settings.lock_timeout),
                    "statement_timeout": milliseconds(settings.statement_timeout),
                    "idle_in_transaction_session_timeout": milliseconds(settings.statement_timeout),
                },
            )
        except (OSError, TimeoutError) as error:
            raise DatabaseUnavailable from error
        connection.observer = observer
        return connection

    pool = (
        {
            "poolclass": MeteredPool,
            "pool_size": settings.pool_size,
            "max_overflow": settings.pool_max_overflow,
            "pool_timeout": settings.pool_timeout,
            "pool_recycle": settings.pool_recycle,
        }
        if pooled
        else {"poolclass": NullPool}
    )
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        **pool,
    )


def milliseconds(seconds: float) -> str:
    """A time limit as PostgreSQL takes it; at least 1, for 0 would mean no limit."""
    return str(max(1, round(seconds * 1000)))


class Session:
    """One connection while a piece of work has it: the only way of the service's SQL.

    SQLAlchemy keeps the connections; statements go to the driver as they are, for SQLAlchemy's
    way of sending them costs more than many of them do.
    """

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        return list(await self._driver.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        return await self._driver.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._driver.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement; without arguments also several in one message.

        Returns:
            The last statement's tag, such as `UPDATE 1`.
        """
        return str(await self._driver.execute(query, *arguments))


class Database:
    """The control schema's connections: every transaction of the service goes through here.

    Args:
        pre_ping: a connection that broke while it was idle is replaced, and nobody sees it. No
            statement is spent on that: the first one of the work shows it.
        metrics: counts reruns and what the pool does; None: nobody does.
    """

    def __init__(
        self, engine: AsyncEngine, *, pre_ping: bool = True, metrics: Metrics | None = None
    ) -> None:
        self.engine = engine
        self._pre_ping = pre_ping
        self._metrics = metrics
        pool = engine.pool
        if metrics is not None and isinstance(pool, MeteredPool):
            pool.waited = metrics.pool_wait.observe
            metrics.pool(lambda: self.use().limit, lambda: self.use().in_use, lambda: pool.waiting)

    async def transaction(self, work: Work[T]) -> T:
        """Run the work in a transaction of its own and commit it.

        A serialization failure or deadlock, at the commit too, runs all of it again, up to
        three times: the work must do nothing outside the session that can't be done twice.

        Raises:
            PoolExhausted: no connection became free within the pool's timeout.
            AppError: what PostgreSQL reported, or the work raised; everything is rolled back.
        """
        return await self._rerun(lambda: self._in_transaction(work), is_rerunnable)

    async def reading(self, work: Work[T]) -> T:
        """Run work that only reads; each of its statements sees its own moment.

        Raises:
            PoolExhausted, AppError: as `transaction`.
        """

        def again(error: Exception) -> bool:
            return is_rerunnable(error) or (self._pre_ping and is_lost(error))

        return await self._rerun(lambda: self._alone(work), again)

    async def _rerun(
        self, once: Callable[[], Awaitable[T]], again: Callable[[Exception], bool]
    ) -> T:
        for left in range(RERUNS, -1, -1):
            try:
                return await once()
            except PoolTimeout as error:
                raise self._exhausted() from error
            except Exception as error:
                if left and again(error):
                    if self._metrics is not None:
                        self._metrics.reruns.inc()
                    continue
                known = translate(error)
                if known is None or known is error:
                    raise
                raise known from error
        raise AssertionError("the last turn returns or raises")

    async def _in_transaction(self, work: Work[T]) -> T:
        async with self._connection("BEGIN") as driver:
            try:
                result = await work(Session(driver))
                tag = await driver.execute("COMMIT")
            except BaseException:
                await _roll_back(driver)
                raise
        if tag != "COMMIT":
            raise RuntimeError("an error of PostgreSQL was caught inside the transaction")
        return result

    async def _alone(self, work: Work[T]) -> T:
        async with self._connection() as driver:
            return await work(Session(driver))

    @asynccontextmanager
    async def _connection(self, opening: str = "") -> AsyncIterator[asyncpg.Connection]:
        """A connection from the pool, on which the opening statement has run."""
        while True:
            pooled = await self.engine.raw_connection()
            driver: asyncpg.Connection = pooled.driver_connection  # type: ignore[assignment]
            reused = bool(pooled.info.setdefault("used", 0))
            pooled.info["used"] += 1
            try:
                if driver.is_closed():
                    raise asyncpg.InterfaceError("the connection was closed while it was idle")
                if opening:
                    await driver.execute(opening)
                break
            except BaseException as error:
                await greenlet_spawn(pooled.invalidate)
                if not (reused and self._pre_ping and is_lost(error)):
                    raise
        try:
            yield driver
        finally:
            if driver.is_closed() or driver.is_in_transaction():
                await greenlet_spawn(pooled.invalidate)
            await greenlet_spawn(pooled.close)

    def use(self) -> PoolUse:
        pool = self.engine.pool
        if not isinstance(pool, AsyncAdaptedQueuePool):
            return PoolUse(0, 0, 0)
        return PoolUse(pool.checkedout(), pool.checkedin(), pool.size() + pool._max_overflow)

    def _exhausted(self) -> PoolExhausted:
        use = self.use()
        return PoolExhausted(
            f"All connections to PostgreSQL are in use ({use.in_use} of {use.limit}) and none "
            "became free in time"
        )

    async def close(self) -> None:
        await self.engine.dispose()


async def _roll_back(driver: asyncpg.Connection) -> None:
    """What can't be rolled back is a connection that is gone, and its transaction with it."""
    with suppress(Exception):
        if not driver.is_closed():
            await driver.execute("ROLLBACK")
