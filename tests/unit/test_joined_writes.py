import asyncio
import socket
from typing import Any, cast

import pytest

from core.postgres.joined_writes import SYNC, JoinedWrites, JoiningLoop


class Written:
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.parts.append(bytes(data))

    def is_closing(self) -> bool:
        return False


@pytest.fixture
def written() -> Written:
    return Written()


def test_what_is_held_goes_out_with_the_next_write(written: Written) -> None:
    transport = JoinedWrites(written)
    transport.hold(b"a")
    transport.hold(b"b")
    assert written.parts == []
    transport.write(memoryview(b"c"))
    transport.write(b"d")
    transport.hold(b"e")
    transport.writelines([b"f", bytearray(b"g")])
    assert written.parts == [b"abc", b"d", b"efg"]


def test_it_can_be_sent_by_itself(written: Written) -> None:
    transport = JoinedWrites(written)
    transport.release()
    transport.hold(b"a")
    transport.release()
    transport.release()
    assert written.parts == [b"a"]


def test_what_follows_goes_out_behind_the_sync_of_a_request(written: Written) -> None:
    transport = JoinedWrites(written)
    transport.hold(b"a")
    transport.follow(b"d")
    transport.write(b"b")
    transport.write(memoryview(b"c" + SYNC))
    transport.write(b"e" + SYNC)
    assert written.parts == [b"ab", b"c" + SYNC + b"d", b"e" + SYNC]
    assert transport.forget_following() is False


def test_what_was_to_follow_can_be_forgotten(written: Written) -> None:
    transport = JoinedWrites(written)
    transport.follow(b"a")
    assert transport.forget_following() is True
    transport.write(SYNC)
    assert written.parts == [SYNC]


def test_all_else_is_the_transports(written: Written) -> None:
    assert JoinedWrites(written).is_closing() is False


async def test_a_loops_connections_have_them() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(2))
        writer.close()

    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.transport: Any = None
            self.data = b""
            self.ended = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.data += data

        def connection_lost(self, error: Exception | None) -> None:
            self.ended.set_result(error)

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        loop = JoiningLoop(asyncio.get_running_loop())
        transport, client = await loop.create_connection(Client, "127.0.0.1", port)
        assert isinstance(client, Client)
        assert client.transport is transport
        transport.hold(b"1")
        transport.write(b"2")
        assert await asyncio.wait_for(client.ended, 10) is None
        assert client.data == b"12"


@pytest.mark.parametrize("context", [None, object()])
async def test_a_socket_that_is_there_is_taken_with_the_name_that_tls_asks_for(
    context: object,
) -> None:
    class Refusing:
        create_future = call_later = None

        async def create_connection(self, _factory: Any, *given: Any, **options: Any) -> Any:
            assert given == ()
            assert options.pop("sock") is spare
            asked.update(options)
            raise ConnectionRefusedError

    asked: dict[str, Any] = {}
    options = {"ssl": context} if context else {}
    spare = socket.socket()
    loop = JoiningLoop(cast(Any, Refusing()), lambda: spare)
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(asyncio.Protocol, "db.example", 5432, **options)
    assert asked == ({"ssl": context, "server_hostname": "db.example"} if context else {})
    assert spare.fileno() == -1
