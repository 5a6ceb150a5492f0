from collections.abc import AsyncIterator

import pytest

from tests.acceptance.sql.stand_in import World, world


@pytest.fixture(scope="session")
async def stand_in(admin_url: str) -> AsyncIterator[World]:
    async with world(admin_url) as built:
        yield built


@pytest.fixture(scope="session")
async def features(stand_in: World) -> frozenset[str]:
    """What is there: neither a guard nor functions that are revoked."""
    major = stand_in.connection.get_server_version().major
    versions = {f"pg{number}" for number in range(15, major + 1)}
    rows = await stand_in.connection.fetch("SELECT extname FROM pg_extension")
    return frozenset(versions | {row[0] for row in rows})
