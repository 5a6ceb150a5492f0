from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI

from memory.caller import USUAL, Scope
from pgtwin import AsyncClient, Client
from tests.conftest import MakeKey
from tests.exports import on_a_socket


@dataclass(frozen=True)
class Door:
    """Where a service listens, and a key of a user."""

    url: str
    key: str
    uid: str


@pytest.fixture(scope="session")
async def url(app: FastAPI) -> AsyncIterator[str]:
    async with on_a_socket(app) as url:
        yield url


@pytest.fixture
async def door(url: str, make_key: MakeKey, uid: str) -> Door:
    return Door(url, await make_key(uid, *USUAL, Scope.CONNECTIONS), uid)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(door.url, door.key) as client:
        yield client


@pytest.fixture
def blocking(door: Door) -> Client:
    """For threads: the service runs in the loop of the tests."""
    return Client(door.url, door.key)
