import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from memory.cli.one_write import LARGE, OneWriteProtocol


class Recording:
    """A transport that keeps what is written, call by call."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a server of the application, and what it writes."""
    writes: list[bytes] = []

    class Recorded(OneWriteProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(Recording(transport, writes))  # type: ignore[arg-type]

    config = uvicorn.Config(app, port=0, http=Recorded, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1], writes
    finally:
        await server.shutdown()


def answering(*parts: bytes, between: Callable[[], Any] | None = None) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        size = str(sum(map(len, parts))).encode()
        headers = [(b"content-length", size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, part in enumerate(parts, start=1):
            if between is not None:
                await between()
            more = number < len(parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


async def asked(port: int, times: int = 1, keep: bool = True) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    bodies = []
    for _ in range(times):
        end = b"" if keep else b"connection: close\r\n"
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n" + end + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        bodies.append(await reader.readexactly(size))
    if not keep:
        assert await reader.read() == b""
    writer.close()
    return bodies


@pytest.mark.parametrize("keep", [True, False])
async def test_head_and_body_are_one_write(keep: bool) -> None:
    async with serving(answering(b"hello")) as (port, writes):
        assert await asked(port, keep=keep) == [b"hello"]
        [written] = writes
        assert written.startswith(b"HTTP/1.1 200")
        assert written.endswith(b"\r\n\r\nhello")


async def test_answers_on_one_connection_do_not_mix() -> None:
    async with serving(answering(b"one", b"two")) as (port, writes):
        assert await asked(port, times=3) == [b"onetwo"] * 3
        assert len(writes) == 3


async def test_what_is_made_later_leaves_later() -> None:
    async def wait() -> None:
        await asyncio.sleep(0.01)

    async with serving(answering(b"one", b"two", between=wait)) as (port, writes):
        assert await asked(port) == [b"onetwo"]
        assert [each[-3:] for each in writes] == [b"\n\r\n"[-3:], b"one", b"two"]


async def test_large_parts_are_not_kept_back() -> None:
    parts = [bytes([65 + number]) * LARGE for number in range(8)]
    async with serving(answering(*parts)) as (port, writes):
        assert await asked(port) == [b"".join(parts)]
        assert max(map(len, writes)) < 3 * LARGE
