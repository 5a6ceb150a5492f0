"""Warm sessions of databases' own logins, bounded in number, the least recently used closed."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from core.errors import AppError, SessionsExhausted
from core.metrics import Metrics
from core.postgres.tenant_connection import TenantConnection
from core.telemetry import logger

log = logger("pgtwin.sessions")
Open = Callable[[str, str], Awaitable[TenantConnection]]


@dataclass(slots=True)
class _Login:
    """The sessions of one login: how many there are, and those that are idle, the latest last."""

    sessions: int = 0
    idle: list[TenantConnection] = field(default_factory=list)


class TenantSessions:
    """Gives a session of a login to one user at a time.

    Args:
        open_session: logs in under a name, and may begin a transaction along with that.
        limit: how many sessions there may be.
        per_login: how many of them one login may have, so that one database leaves the others
            some.
        idle: seconds after which an unused session is closed.
        patience: seconds to wait for one.
    """

    def __init__(
        self,
        open_session: Open,
        *,
        limit: int,
        per_login: int,
        idle: float,
        patience: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._open = open_session
        self._limit, self._per_login = limit, per_login
        self._idle_seconds, self._patience = idle, patience
        self._logins: dict[str, _Login] = {}
        # Idle sessions by their last use, over all logins.
        self._unused: OrderedDict[TenantConnection, tuple[str, float]] = OrderedDict()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._total = 0
        self._meter = None
        if metrics is not None:
            self._meter = metrics.cache("sessions", lambda: self._total)
            metrics.sessions(lambda: self._total - len(self._unused), lambda: len(self._waiting))

    @property
    def total(self) -> int:
        return self._total

    @asynccontextmanager
    async def session(
        self, login: str, beginning: Callable[[], str] = lambda: ""
    ) -> AsyncIterator[TenantConnection]:
        """A session of the login; one that is left as no other may get it is not used again.

        Args:
            beginning: makes what a new session may begin with along with its login; empty: nothing.

        Raises:
            SessionsExhausted: none became free in time.
        """
        connection = await self._take(login, beginning)
        try:
            yield connection
        finally:
            self._give_back(login, connection)

    async def keep(self) -> None:
        """Close what is idle for too long, until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_seconds / 2))
            self.close_idle(self._idle_seconds)

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close what has not been used for so long."""
        before = time.monotonic() - seconds
        while self._unused and next(iter(self._unused.values()))[1] <= before:
            self._close_oldest()

    async def _take(self, login: str, beginning: Callable[[], str]) -> TenantConnection:
        deadline = time.monotonic() + self._patience
        while True:
            connection = self._pop_idle(login)
            if connection is not None:
                return connection
            if self._has_room(login):
                return await self._log_in(login, beginning)
            await self._wait(login, deadline)

    def _pop_idle(self, login: str) -> TenantConnection | None:
        while (known := self._logins.get(login)) is not None and known.idle:
            connection = known.idle.pop()
            del self._unused[connection]
            if not connection.is_closed():
                if self._meter is not None:
                    self._meter.hit()
                return connection
            self._forget(login)
        return None

    def _has_room(self, login: str) -> bool:
        known = self._logins.get(login)
        if known is not None and known.sessions >= self._per_login:
            return False
        return self._total < self._limit or bool(self._unused)

    async def _log_in(self, login: str, beginning: Callable[[], str]) -> TenantConnection:
        if self._meter is not None:
            self._meter.miss()
        while self._total >= self._limit:
            self._close_oldest()
        self._logins.setdefault(login, _Login()).sessions += 1
        self._total += 1
        try:
            return await self._open(login, beginning())
        except BaseException:
            self._forget(login)
            self._wake()
            raise

    async def _wait(self, login: str, deadline: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        entry = (login, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + deadline - time.monotonic()
            ):
                await turn
        except TimeoutError:
            raise SessionsExhausted from None
        except BaseException:
            # Whoever was woken and does not come passes his turn on.
            if turn.done() and not turn.cancelled():
                self._wake()
            raise
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def _give_back(self, login: str, connection: TenantConnection) -> None:
        if not connection.is_reusable:
            connection.terminate()
            self._forget(login)
            if connection.is_cut_off:
                ending = asyncio.create_task(self._end_backend(login, connection.backend_pid))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)
        else:
            self._logins[login].idle.append(connection)
            self._unused[connection] = (login, time.monotonic())
        self._wake()

    async def _end_backend(self, login: str, pid: int) -> None:
        """End what a session that was cut off has left running, for code of a tenant may heed
        neither limits nor a request to cancel. Who may do that is the login itself.
        """
        try:
            async with self.session(login) as session:
                await session.execute(
                    f"RESET SESSION AUTHORIZATION; SELECT pg_catalog.pg_terminate_backend({pid})"
                )
        except (AppError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            log.warning("a backend could not be ended", login=login, pid=pid, cause=repr(error))

    def _wake(self) -> None:
        """Let the first go on whom what is free now can serve."""
        for entry in self._waiting:
            login, turn = entry
            known = self._logins.get(login)
            can_be_served = self._has_room(login) or (known is not None and known.idle)
            if can_be_served and not turn.done():
                self._waiting.remove(entry)
                turn.set_result(None)
                return

    def _close_oldest(self) -> None:
        connection, (login, _) = self._unused.popitem(last=False)
        self._logins[login].idle.remove(connection)
        connection.terminate()
        self._forget(login)

    def _forget(self, login: str) -> None:
        """One session of the login is no more."""
        known = self._logins[login]
        known.sessions -= 1
        self._total -= 1
        if known.sessions == 0:
            del self._logins[login]
