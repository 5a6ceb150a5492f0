"""No id is made twice where the clocks of machines differ, stand or are set."""

import asyncio
from typing import Any

import pytest

from core.ids import IdGenerator, IdsUnavailable
from core.postgres.engine import Database
from core.postgres.startup import StartupError
from memory.instances import service
from tests.leases import SECONDS, Machine, held, makes_ids, short, stamp, until


async def test_stamps_ahead_of_a_workers_clock_keep_a_number_from_it(
    database: Database, one_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holder's clock is 5 s ahead, and it dies."""
    monkeypatch.setattr(service, "_PAUSE_SECONDS", 0.01)
    machine = Machine(monkeypatch)
    machine.ahead = 5.0
    first, second = IdGenerator(wall=machine.time), IdGenerator(wall=machine.time)
    await short(database, first).acquire()
    ceiling = held(first).until
    last = first.next()
    await asyncio.sleep(SECONDS)
    machine.ahead = 0.0
    with pytest.raises(StartupError, match="under a clock ahead"):
        await short(database, second).acquire()
    machine.ahead = 6.0
    taker = short(database, second)
    await taker.acquire()
    assert second.instance == one_number
    assert stamp(second.next()) > ceiling > stamp(last)
    await taker.release()


async def test_a_machine_that_stood_still_makes_no_id_of_its_successors(
    database: Database, one_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused virtual machine believes in its lease and in its clocks; then they are set."""
    machine = Machine(monkeypatch)
    paused, successor = (
        IdGenerator(clock=lambda: 0.0, wall=machine.time),
        IdGenerator(wall=machine.time),
    )
    await short(database, paused).acquire()
    before = [paused.next() for _ in range(100)]
    await asyncio.sleep(SECONDS)
    taker = short(database, successor)
    await taker.acquire()
    after = [successor.next() for _ in range(100)]
    assert successor.instance == paused.instance == one_number
    # Where its clock stood still, its ids are older than all of its successor's.
    machine.stands_at = held(paused).until / 1000 - 0.1
    before += [paused.next() for _ in range(100)]
    assert max(map(stamp, before)) < min(map(stamp, after))
    # When its clock is set, they would be among them.
    machine.stands_at = None
    with pytest.raises(IdsUnavailable, match="ahead of the lease"):
        paused.next()
    await taker.release()


async def test_a_clock_set_back_goes_on_under_another_number(
    database: Database, admin_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    ids = IdGenerator(wall=machine.time)
    lease = short(database, ids)
    await lease.acquire()
    number, last = ids.instance, ids.next()
    machine.ahead = -3600.0
    assert not makes_ids(ids)
    keeper = asyncio.create_task(lease.keep())
    await until(lambda: makes_ids(ids))
    assert ids.instance != number
    row = await admin_connection.fetchrow(
        "SELECT stamped_until, expires_at <= now() AS free FROM pgtwin.instance_lease"
        " WHERE instance = $1",
        number,
    )
    assert tuple(row) == (stamp(last), True)
    keeper.cancel()
    await lease.release()


async def test_a_clock_set_forward_is_renewed_for(
    database: Database, one_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    ids = IdGenerator(wall=machine.time)
    lease = short(database, ids)
    await lease.acquire()
    machine.ahead = 3600.0
    assert not makes_ids(ids)
    keeper = asyncio.create_task(lease.keep())
    await until(lambda: makes_ids(ids))
    assert ids.instance == one_number
    keeper.cancel()
    await lease.release()
