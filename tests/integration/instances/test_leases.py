"""Instance numbers are leased: no id is made twice, and no number leased twice."""

import asyncio
from array import array
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from core.ids import IdGenerator, IdsUnavailable
from core.postgres.engine import Database
from core.postgres.startup import StartupError
from core.settings import Settings
from memory.instances import service
from memory.instances.service import InstanceLeases
from tests.conftest import control_database, running
from tests.leases import FREE_ALL, TAKE_ALL, connected, held, stamp, until

# A million ids.

PROCESSES, THREADS, EACH = 3, 8, 42_000


def many_ids(settings: Settings) -> tuple[int, bytes]:
    """In a process with a lease of its own: its number, and the ids that its threads made."""

    async def make() -> tuple[int, bytes]:
        ids = IdGenerator()
        async with connected(settings) as database:
            leases = InstanceLeases(database, ids)
            await leases.acquire()
            number = ids.instance

            def batch(_: int) -> "array[int]":
                return array("q", [ids.next() for _ in range(EACH)])

            with ThreadPoolExecutor(THREADS) as pool:
                made = b"".join(each.tobytes() for each in pool.map(batch, range(THREADS)))
            await leases.release()
        assert number is not None
        return number, made

    return asyncio.run(make())


async def test_a_million_ids_of_threads_and_processes_are_all_different(
    settings: Settings,
) -> None:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        parts = await asyncio.gather(
            *(loop.run_in_executor(pool, many_ids, settings) for _ in range(PROCESSES))
        )
    made: array[int] = array("q")
    for _, part in parts:
        made.frombytes(part)
    # A process that ended before another began may have passed its number on.
    assert len(made) == PROCESSES * THREADS * EACH >= 1_000_000
    assert len(set(made)) == len(made)
    assert min(made) >= 2**31
    assert max(made) < 2**63
    assert {value >> 12 & 1023 for value in made} == {number for number, _ in parts}


# Taking, renewing, giving back.


async def test_workers_that_start_at_once_get_different_numbers(
    database: Database, admin_connection: Any
) -> None:
    """As many as there are free numbers, so that they meet at each of them."""
    generators = [IdGenerator() for _ in range(50)]
    leases = [InstanceLeases(database, ids) for ids in generators]
    await admin_connection.execute(TAKE_ALL)
    await admin_connection.execute(
        "UPDATE pgtwin.instance_lease SET holder = '', expires_at = 'epoch' WHERE instance IN"
        " (SELECT instance FROM pgtwin.instance_lease WHERE holder = 'nobody' LIMIT 50)"
    )
    try:
        await asyncio.gather(*(lease.acquire() for lease in leases))
        assert len({held(ids).instance for ids in generators}) == 50
        made = [ids.next() for ids in generators for _ in range(100)]
        assert len(set(made)) == 5000
    finally:
        await asyncio.gather(*(lease.release() for lease in leases))
        await admin_connection.execute(FREE_ALL)


async def test_a_renewed_lease_keeps_its_number(database: Database) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    before = held(ids)
    await asyncio.sleep(0.01)
    await lease.renew()
    after = held(ids)
    assert (after.instance, after.after) == (before.instance, before.after)
    assert after.valid_until > before.valid_until
    assert after.until > before.until
    assert ids.next()
    await lease.release()


async def test_a_number_given_back_is_free_at_once_and_makes_no_more_ids(
    database: Database, one_number: int
) -> None:
    first, second = IdGenerator(), IdGenerator()
    lease, other = InstanceLeases(database, first), InstanceLeases(database, second)
    await lease.acquire()
    last = first.next()
    await lease.release()
    with pytest.raises(IdsUnavailable):
        first.next()
    await asyncio.sleep(0.01)
    await other.acquire()
    assert second.instance == one_number
    assert stamp(second.next()) > stamp(last)
    await other.release()


async def test_the_lease_is_kept_while_it_is_used(database: Database) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids, seconds=30, renew_after=0.1)
    await lease.acquire()
    first = held(ids)
    keeper = asyncio.create_task(lease.keep())
    for _ in range(3):
        before = held(ids).valid_until
        await until(lambda before=before: held(ids).valid_until > before)  # type: ignore[misc]
        assert ids.next()
    assert (held(ids).instance, held(ids).after) == (first.instance, first.after)
    keeper.cancel()
    await lease.release()


async def test_1024_taken_numbers_are_told_in_one_line(
    settings: Settings, database: Database, admin_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PAUSE_SECONDS", 0.01)
    await admin_connection.execute(TAKE_ALL)
    try:
        with pytest.raises(StartupError) as caught:
            await InstanceLeases(database, IdGenerator()).acquire()
        with pytest.raises(StartupError):
            async with running(settings):
                pass
    finally:
        await admin_connection.execute(FREE_ALL)
    assert str(caught.value).startswith("all 1024 instance numbers are taken")
    assert len(str(caught.value).splitlines()) == 1


async def test_a_clock_before_the_epoch_is_told_in_one_line(database: Database) -> None:
    with pytest.raises(StartupError, match="the system clock is before 2024"):
        await InstanceLeases(database, IdGenerator(wall=lambda: 0.0)).acquire()


async def test_a_fresh_control_schema_has_all_numbers(admin_url: str) -> None:
    async with control_database(admin_url) as settings, connected(settings) as database:
        generators = [IdGenerator() for _ in range(5)]
        leases = [InstanceLeases(database, ids) for ids in generators]
        await asyncio.gather(*(lease.acquire() for lease in leases))
        assert {held(ids).after for ids in generators} == {0}
        assert len({held(ids).instance for ids in generators}) == 5
