"""Short leases on instance numbers, and machines whose clocks are wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import snowflake.snowflake

from core.ids import EPOCH_MILLISECONDS, IdGenerator, IdsUnavailable, Lease
from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.instances.service import InstanceLeases

SECONDS, MARGIN = 1.5, 0.3


def stamp(value: int) -> int:
    """The Unix milliseconds in an id."""
    return (value >> 22) + EPOCH_MILLISECONDS


class Machine:
    """A machine whose system clock is wrong.

    Attributes:
        ahead: by how many seconds.
        stands_at: the Unix seconds at which it stands still; None: it goes on.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        self.stands_at: float | None = None
        self._true_time = time.time
        monkeypatch.setattr(snowflake.snowflake, "time", self.time)

    def time(self) -> float:
        return self._true_time() + self.ahead if self.stands_at is None else self.stands_at


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    made = Database(create_engine(settings.dsn or "", settings))
    try:
        yield made
    finally:
        await made.close()


def short(database: Database, ids: IdGenerator) -> InstanceLeases:
    return InstanceLeases(database, ids, seconds=SECONDS, renew_after=0.3, margin=MARGIN)


def held(ids: IdGenerator) -> Lease:
    assert ids.current is not None
    return ids.current


def makes_ids(ids: IdGenerator) -> bool:
    try:
        ids.next()
    except IdsUnavailable:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  conditions of all kinds
            await asyncio.sleep(0.01)


TAKE_ALL = """
    UPDATE pgtwin.instance_lease SET holder = 'nobody', expires_at = 'infinity'
    WHERE expires_at <= now()"""
FREE_ALL = "UPDATE pgtwin.instance_lease SET expires_at = 'epoch' WHERE holder = 'nobody'"
FREE_ONE = """
    UPDATE pgtwin.instance_lease SET expires_at = 'epoch', stamped_until = 0
    WHERE instance = $1"""
