from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.conftest import with_database
from tests.integration.test_preparation import managed_login, own_server
from tests.places import Place, place_on


@pytest.fixture(scope="module", params=["superuser 18", "superuser 16", "managed 16", "managed 15"])
async def place(request: pytest.FixtureRequest, admin_url: str) -> AsyncIterator[Place]:
    """On servers that a superuser has prepared, and one where nobody is superuser."""
    who, major = request.param.split()
    async with AsyncExitStack() as stack:
        url = superuser = admin_url
        if request.param != "superuser 18":
            url = superuser = stack.enter_context(own_server(int(major)))
        if who == "managed":
            url = await managed_login(superuser)
        found = await stack.enter_async_context(place_on(url))
        if who == "managed":
            name = urlsplit(found.settings.dsn or "").path.lstrip("/")
            found.admin = await asyncpg.connect(with_database(superuser, name))
            stack.push_async_callback(found.admin.close)
        yield found
