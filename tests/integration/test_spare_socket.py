"""Connections that are made before a login needs them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from core.postgres.spare_socket import SpareSocket
from core.postgres.tenant_server import TenantServer
from tests.integration.test_tenant_connection import carry
from tests.tenants import BYTE_LIMIT

# What a client sends first that would like to speak TLS.
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Door:
    """Stands before a server; knows who has come, and can send all away.

    Attributes:
        first: what each has said first, in the order of their coming; None: nothing yet.
    """

    def __init__(self, url: str) -> None:
        self.first: list[bytes | None] = []
        self._parts = urlsplit(url)
        self._guests: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        login = self._parts.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{self.port}"
        return urlunsplit(self._parts._replace(netloc=netloc))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.first)
        self.first.append(None)
        self._guests.append(writer)
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._tasks.append(asyncio.create_task(carry(there, writer)))
        said = await reader.read(65536)
        self.first[number] = said
        back.write(said)
        await carry(reader, back)

    async def come(self, number: int) -> None:
        """Until so many have come."""
        async with asyncio.timeout(10):
            while len(self.first) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def send_away(self) -> None:
        for guest in self._guests:
            guest.close()
            await guest.wait_closed()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Door"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()
        await self.send_away()
        await server.wait_closed()


@asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[TenantServer, Door]]:
    async with Door(url).open() as door:
        server = TenantServer(door.url, timeout=10, byte_limit=BYTE_LIMIT, prepares=True)
        yield server, door
        server.close()


async def test_a_login_takes_what_the_one_before_prepared(admin_url: str) -> None:
    async with served(admin_url) as (server, door):
        for number in range(1, 4):
            session = await server.log_in()
            assert (await session.run("SELECT 1")).rows == [("1",)]
            await door.come(number + 1)
            assert len(door.first) == number + 1
            await session.close()
        # The last one waits.
        assert door.first[:3].count(None) == 0
        assert door.first[3] is None


async def test_a_server_without_tls_is_asked_for_it_once(admin_url: str) -> None:
    async with served(admin_url) as (server, door):
        for _ in range(3):
            await (await server.log_in()).close()
        assert door.first[0] == SSL_REQUEST
        assert [said is not None and said[:8] == SSL_REQUEST for said in door.first[1:3]] == [
            False,
            False,
        ]
    async with Door(admin_url).open() as door:
        required = f"{door.url}?sslmode=require"
        server = TenantServer(required, timeout=10, byte_limit=BYTE_LIMIT)
        for _ in range(2):
            with pytest.raises(Exception, match=r"rejected SSL|can't be reached"):
                await server.log_in()
        assert door.first == [SSL_REQUEST, SSL_REQUEST]


async def test_what_the_server_has_closed_is_not_taken(admin_url: str) -> None:
    async with served(admin_url) as (server, door):
        await (await server.log_in()).close()
        await door.come(2)
        await door.send_away()
        session = await server.log_in()
        assert (await session.run("SELECT 1")).rows == [("1",)]
        await session.close()
        await door.come(4)


async def test_many_logins_at_once_take_one(admin_url: str) -> None:
    async with served(admin_url) as (server, door):
        await (await server.log_in()).close()
        await door.come(2)
        sessions = await asyncio.gather(*(server.log_in() for _ in range(5)))
        for session in sessions:
            assert (await session.run("SELECT 1")).rows == [("1",)]
            await session.close()
        await door.come(7)
        await asyncio.sleep(0.05)
        assert len(door.first) == 7


async def test_it_is_given_up_where_nobody_needs_it() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.close()
        closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spare = SpareSocket(seconds=0.05)
    for give_up in (False, True):
        spare.prepare("localhost" if give_up else "127.0.0.1", port)
        if give_up:
            while spare._socket is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            spare.close()
        await asyncio.wait_for(closed.wait(), 10)
        assert spare.take() is None
        closed.clear()
    server.close()
    await server.wait_closed()


async def test_to_where_nobody_is() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spare = SpareSocket()
    spare.prepare("127.0.0.1", port)
    assert spare._preparing is not None
    await spare._preparing
    assert spare.take() is None
    spare.close()
