"""A lost lease ends the ids before another can take the number."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from core.ids import IdGenerator, IdsUnavailable, boottime
from core.postgres.engine import Database
from core.postgres.startup import StartupError
from core.settings import Settings
from memory.instances import service
from memory.instances.service import LEASE_SECONDS, MARGIN_SECONDS, InstanceLeases
from tests.leases import held, makes_ids, short, stamp, until


async def test_ids_have_ended_when_another_can_take_the_number(
    database: Database, one_number: int
) -> None:
    """The holder does not renew; another asks for the number as fast as it can."""
    lost, taker = IdGenerator(), IdGenerator()
    await short(database, lost).acquire()
    last, tries = lost.next(), 0
    while taker.instance is None:
        with suppress(IdsUnavailable):
            last = lost.next()
        # What could be made from here to the take would come too late to be seen.
        taken = await short(database, taker)._take()
        if taken is not None:
            assert not makes_ids(lost)
            taker.lease(taken)
        tries += 1
    assert tries > 1
    assert taker.instance == lost.instance == one_number
    await asyncio.sleep(0.01)
    assert stamp(taker.next()) > stamp(last)
    assert not makes_ids(lost)


LOCK = "SELECT expires_at FROM pgtwin.instance_lease WHERE instance = $1 FOR UPDATE"


async def test_ids_end_before_the_lease_where_postgresql_does_not_answer(
    database: Database, other_session: Any, one_number: int
) -> None:
    ids = IdGenerator()
    lease = short(database, ids)
    await lease.acquire()
    keeper = asyncio.create_task(lease.keep())
    async with other_session.transaction():
        # Renewals wait for this.
        expires_at = await other_session.fetchval(LOCK, one_number)
        for _ in range(10_000):
            # Asked first, so that it was so when an id is made afterwards.
            if await other_session.fetchval("SELECT $1 <= clock_timestamp()", expires_at):
                break
            await asyncio.sleep(0.001)
        assert not makes_ids(ids)
    await until(lambda: makes_ids(ids))
    assert ids.instance == one_number
    keeper.cancel()
    await lease.release()


async def test_a_slow_renewal_counts_from_before_it_asked(
    database: Database, other_session: Any, one_number: int
) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    async with other_session.transaction():
        await other_session.fetchval(LOCK, one_number)
        renewal = asyncio.create_task(lease.renew())
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await other_session.fetchval(waiting):
            await other_session.execute("SELECT pg_sleep(0.01)")
        asked_before = boottime()
    await renewal
    assert held(ids).valid_until <= asked_before + LEASE_SECONDS - MARGIN_SECONDS
    await lease.release()


async def test_the_keeper_goes_on_after_any_failure(
    database: Database, admin_connection: Any
) -> None:
    ids = IdGenerator()
    lease = short(database, ids)
    await lease.acquire()
    keeper = asyncio.create_task(lease.keep())
    await admin_connection.execute("ALTER TABLE pgtwin.instance_lease RENAME TO away")
    try:
        await until(lambda: not makes_ids(ids))
    finally:
        await admin_connection.execute("ALTER TABLE pgtwin.away RENAME TO instance_lease")
    await until(lambda: makes_ids(ids))
    keeper.cancel()
    await lease.release()


async def test_a_lost_lease_is_replaced_by_another_number(
    database: Database, admin_connection: Any
) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    number = ids.instance
    await admin_connection.execute(
        "UPDATE pgtwin.instance_lease SET holder = 'another worker' WHERE instance = $1", number
    )
    await lease.renew()
    assert ids.instance not in (number, None)
    assert ids.next()
    await lease.release()
    await admin_connection.execute(
        "UPDATE pgtwin.instance_lease SET expires_at = 'epoch' WHERE instance = $1", number
    )


async def test_a_lost_lease_that_nothing_can_replace_ends_the_ids(
    database: Database, admin_connection: Any, one_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PAUSE_SECONDS", 0.01)
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    await admin_connection.execute(
        "UPDATE pgtwin.instance_lease SET holder = 'another worker' WHERE instance = $1",
        one_number,
    )
    assert makes_ids(ids)
    with pytest.raises(StartupError):
        await lease.renew()
    assert not makes_ids(ids)
    await lease.release()
    holder = await admin_connection.fetchval(
        "SELECT holder FROM pgtwin.instance_lease WHERE instance = $1", one_number
    )
    assert holder == "another worker"


async def test_a_number_whose_row_is_gone_is_nobodys(
    database: Database, admin_connection: Any, one_number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder may go on until its next renewal, so no other may begin."""
    monkeypatch.setattr(service, "_PAUSE_SECONDS", 0.01)
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    await admin_connection.execute(
        "DELETE FROM pgtwin.instance_lease WHERE instance = $1", one_number
    )
    try:
        assert makes_ids(ids)
        with pytest.raises(StartupError):
            await InstanceLeases(database, IdGenerator()).acquire()
        with pytest.raises(StartupError):
            await lease.renew()
        assert not makes_ids(ids)
    finally:
        await admin_connection.execute(
            "INSERT INTO pgtwin.instance_lease VALUES ($1, '', 'epoch', 0)", one_number
        )


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {}", "TRUNCATE {}", "INSERT INTO {} VALUES (1024, '', now())", "DROP TABLE {}"],
)
async def test_the_service_may_neither_remove_nor_add_a_row(
    settings: Settings, statement: str
) -> None:
    connection = await asyncpg.connect(settings.dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format("pgtwin.instance_lease"))
    finally:
        await connection.close()
