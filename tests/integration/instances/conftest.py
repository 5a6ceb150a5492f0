from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from core.postgres.engine import Database
from core.settings import Settings
from tests.conftest import with_database
from tests.leases import FREE_ALL, FREE_ONE, TAKE_ALL, connected


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with connected(settings) as made:
        yield made


@pytest.fixture
async def other_session(admin_url: str, settings: Settings) -> AsyncIterator[Any]:
    """A superuser's second connection to the control database, for locks."""
    name = (settings.dsn or "").rpartition("/")[2]
    connection = await asyncpg.connect(with_database(admin_url, name))
    yield connection
    await connection.close()


@pytest.fixture
async def one_number(database: Database, admin_connection: Any) -> AsyncIterator[int]:
    """The only number that is free: whoever takes one, takes this."""
    await admin_connection.execute(TAKE_ALL)
    number: int = await admin_connection.fetchval(
        "SELECT min(instance) FROM pgtwin.instance_lease WHERE holder = 'nobody'"
    )
    await admin_connection.execute(FREE_ONE, number)
    yield number
    await admin_connection.execute(FREE_ALL)
    await admin_connection.execute(FREE_ONE, number)
