"""The async engine, its pool, and the one unit of work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import orjson
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import DatabaseUnavailable, PoolExhausted
from core.postgres.errors import is_rerunnable, translate
from core.settings import Settings

T = TypeVar("T")
RERUNS = 3


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What the pool's connections are doing, in numbers of connections."""

    in_use: int
    idle: int
    limit: int


def create_engine(dsn: str, settings: Settings, *, pooled: bool = True) -> AsyncEngine:
    """An engine over asyncpg.

    asyncpg parses the URL itself, so it means what it means to psql (sslmode, sslrootcert,
    target_session_attrs, several hosts), and SQLAlchemy's own reading of it is left out.

    Args:
        dsn: `postgresql://...`.
        pooled: False opens a connection for each use, for commands that run once.
    """

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                dsn,
                timeout=settings.connect_timeout,
                command_timeout=settings.statement_timeout + 1,
                server_settings={
                    "application_name": "pgtwin",
                    "timezone": "UTC",
                    "jit": "off",
                    "lock_timeout": milliseconds(settings.lock_timeout),
                    "statement_timeout": milliseconds(settings.statement_timeout),
                    "idle_in_transaction_session_timeout": milliseconds(settings.statement_timeout),
                },
            )
        except (OSError, TimeoutError) as error:
            raise DatabaseUnavailable from error

    pool = (
        {
            "poolclass": AsyncAdaptedQueuePool,
            "pool_size": settings.pool_size,
            "max_overflow": settings.pool_max_overflow,
            "pool_timeout": settings.pool_timeout,
            "pool_recycle": settings.pool_recycle,
            "pool_pre_ping": settings.pool_pre_ping,
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


class Database:
    """The control schema's connections: every transaction of the service goes through here."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def transaction(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run the work in a transaction of its own and commit it.

        A serialization failure or deadlock, at the commit too, runs all of it again, up to
        three times: the work must do nothing outside the session that can't be done twice.

        Raises:
            PoolExhausted: no connection became free within the pool's timeout.
            AppError: what PostgreSQL reported, or the work raised; everything is rolled back.
        """
        for left in range(RERUNS, -1, -1):
            try:
                return await self._once(work)
            except PoolTimeout as error:
                raise self._exhausted() from error
            except Exception as error:
                if left and is_rerunnable(error):
                    continue
                known = translate(error)
                if known is None or known is error:
                    raise
                raise known from error
        raise AssertionError("the last turn returns or raises")

    async def _once(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            return await work(session)

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
