from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from core.postgres.identifiers import Environment
from core.settings import Settings
from tests.api import Api
from tests.conftest import MakeKey, http_client, running
from tests.integration.test_bad_days import truth
from tests.integration.test_clone import owner_session
from tests.sql import NOTES, Twin

Owner = Callable[..., AbstractAsyncContextManager[Any]]
Plant = Callable[..., Awaitable[None]]
Worker = Callable[..., AbstractAsyncContextManager[tuple[FastAPI, Api]]]


@pytest.fixture(scope="module", autouse=True)
async def nothing_is_left_half(settings: Settings, admin_url: str) -> AsyncIterator[None]:
    """Other modules of this worker find the control database whole."""
    yield
    assert await truth(settings, admin_url).drift() == []


@pytest.fixture
async def twin(admin: Api, uid: str) -> Twin:
    """A database with a table of notes, as its owner calls it under an administrator's key."""
    made = Twin(admin, await admin.create("orders", uid=uid), uid)
    await made.make(NOTES)
    return made


@pytest.fixture
def owner(settings: Settings) -> Owner:
    """A direct session as the owner of a database's environment, for what SQL calls refuse."""

    def session(twin: Twin, environment: Environment = Environment.PROD) -> Any:
        return owner_session(settings, twin.id, environment, twin.uid)

    return session


@pytest.fixture
def plant(owner: Owner) -> Plant:
    """Makes a view that sets a parameter of whoever looks at it."""

    async def made(twin: Twin, view: str, setting: str, value: str, *, is_local: bool) -> None:
        change = f"set_config('{setting}', '{value}', {is_local})"
        async with owner(twin) as session:
            await session.execute(
                f"CREATE FUNCTION of_{view}() RETURNS int LANGUAGE plpgsql AS"
                f" $$ BEGIN PERFORM {change}; RETURN 1; END $$"
            )
            await session.execute(f"CREATE VIEW {view} AS SELECT of_{view}() AS n")

    return made


@pytest.fixture
def worker(settings: Settings, make_key: MakeKey) -> Worker:
    """One more worker over the same server, and the API under an administrator's key."""

    @asynccontextmanager
    async def started(**overrides: Any) -> AsyncIterator[tuple[FastAPI, Api]]:
        token = await make_key()
        async with (
            running(settings.model_copy(update=overrides)) as app,
            http_client(app, Authorization=f"Bearer {token}") as client,
        ):
            yield app, Api(client)

    return started
