"""Instance numbers are leased: two workers never hold the same one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.ids import IdGenerator, IdsUnavailable
from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.instances.service import InstanceLeases


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    made = Database(create_engine(settings.dsn or "", settings))
    yield made
    await made.close()


async def test_workers_that_start_at_once_get_different_numbers(database: Database) -> None:
    generators = [IdGenerator() for _ in range(30)]
    leases = [InstanceLeases(database, ids) for ids in generators]
    await asyncio.gather(*(lease.acquire() for lease in leases))
    assert len({ids.instance for ids in generators}) == 30
    await asyncio.gather(*(lease.release() for lease in leases))


async def test_a_renewed_lease_keeps_its_number(database: Database) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    number = ids.instance
    await lease.renew()
    assert ids.instance == number
    assert ids.next()
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
    assert ids.instance != number
    await lease.release()
    await admin_connection.execute("DELETE FROM pgtwin.instance_lease WHERE instance = $1", number)


async def test_a_number_given_back_can_be_taken_and_makes_no_more_ids(
    database: Database, admin_connection: Any
) -> None:
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    number = ids.instance
    await lease.release()
    held = await admin_connection.fetchval(
        "SELECT count(*) FROM pgtwin.instance_lease WHERE instance = $1", number
    )
    assert held == 0
    with pytest.raises(IdsUnavailable):
        ids.next()


async def test_an_expired_lease_is_taken_over(database: Database, admin_connection: Any) -> None:
    await admin_connection.execute(
        "INSERT INTO pgtwin.instance_lease SELECT i, 'gone', now() - interval '1 s'"
        " FROM generate_series(0, 1023) i ON CONFLICT DO NOTHING"
    )
    ids = IdGenerator()
    lease = InstanceLeases(database, ids)
    await lease.acquire()
    assert ids.next()
    await lease.release()
    await admin_connection.execute("DELETE FROM pgtwin.instance_lease WHERE holder = 'gone'")
