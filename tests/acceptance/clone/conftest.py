"""Services to clone with: over the server of all tests, and over the older bundled PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import pytest

from memory.api_keys.service import NewKey
from memory.caller import Scope
from memory.doctor.service import drift
from memory.services import Services
from tests.acceptance.clone.twins import Bench, Connection
from tests.api import Api
from tests.conftest import control_database, http_client, running, with_database
from tests.server import embedded_server

OURS, OLDER = "server", "pg16"
Benches = Callable[[str], Awaitable[Bench]]


@pytest.fixture(scope="session")
async def benches(admin_url: str) -> AsyncIterator[Benches]:
    """A service on the server of that name, started when it is first asked for."""
    started: dict[str, Bench] = {}
    async with AsyncExitStack() as stack:

        async def bench(name: str) -> Bench:
            if name not in started:
                url = admin_url if name == OURS else embedded_server(stack, major=16)
                started[name] = await _bench(url, stack)
            return started[name]

        yield bench


@pytest.fixture(params=[OURS, OLDER])
async def bench(request: pytest.FixtureRequest, benches: Benches) -> AsyncIterator[Bench]:
    yield (found := await benches(request.param))
    assert await found.services.database.transaction(drift) == []


@pytest.fixture
async def ours(benches: Benches) -> AsyncIterator[Bench]:
    yield (found := await benches(OURS))
    assert await found.services.database.transaction(drift) == []


async def _bench(admin_url: str, stack: AsyncExitStack) -> Bench:
    settings = await stack.enter_async_context(control_database(admin_url))
    name = urlsplit(settings.dsn or "").path.lstrip("/")
    catalog = await asyncpg.connect(with_database(admin_url, name))
    stack.push_async_callback(catalog.close)
    app = await stack.enter_async_context(running(settings))
    services: Services = app.state.services
    key = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}), spaces=frozenset())
    _, token = await services.database.transaction(
        lambda session: services.api_keys(session).create(key)
    )
    client = await stack.enter_async_context(http_client(app, Authorization=f"Bearer {token}"))
    major = catalog.get_server_version().major
    return Bench(Api(client), services, catalog, major, await _features(catalog))


async def _features(catalog: Connection) -> frozenset[str]:
    """What a server need not have, by the words of the corpus."""
    found = {row[0] for row in await catalog.fetch("SELECT extname FROM pg_extension")}
    if await catalog.fetchval("SELECT count(*) > 1 FROM pg_collation WHERE collprovider = 'i'"):
        found.add("icu")
    try:
        await catalog.fetchval("SELECT xml '<a/>'")
        found.add("xml")
    except asyncpg.FeatureNotSupportedError:
        pass
    return frozenset(found)
