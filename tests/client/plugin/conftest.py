import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pgtwin import Client
from pgtwin.cli.dev import SCOPES
from tests.acceptance.test_commands import Place, Serving, place_elsewhere
from tests.client.plugin.project import Project


@pytest.fixture(autouse=True)
async def others_go_on() -> None:
    """These tests wait for processes; services in the tests' own loop renew their leases here."""
    await asyncio.sleep(0.2)


@pytest.fixture(scope="session")
async def place(admin_url: str) -> AsyncIterator[Place]:
    async with place_elsewhere(admin_url) as place:
        yield place


@pytest.fixture(scope="session")
def serving(place: Place) -> Iterator[Serving]:
    """A service as people run it."""
    with place.serving() as serving:
        yield serving.ready()


@pytest.fixture
def client(place: Place, serving: Serving) -> Iterator[Client]:
    """The service under a key as one makes it for tests."""
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    uid = f"u{secrets.token_hex(6)}"
    key = place.said("key", "create", "--uid", uid, *scopes).strip()
    with Client(serving.url, key) as client:
        yield client


@pytest.fixture
def project(tmp_path: Path, client: Client) -> Project:
    key = client._transport._headers["Authorization"].removeprefix("Bearer ")
    return Project(tmp_path, {"PGTWIN_URL": client.url, "PGTWIN_KEY": key})
