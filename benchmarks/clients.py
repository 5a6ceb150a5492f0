"""Closed-loop load: each client sends its next call when the last one is answered."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

# uvicorn closes what was idle for five.
KEEP_ALIVE_SECONDS = 3.0
Call = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a number of clients reached together.

    Attributes:
        per_second: calls finished a second, by all clients.
        p50_ms, p99_ms: latency of a call.
    """

    clients: int
    calls: int
    per_second: float
    p50_ms: float
    p99_ms: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


async def measure(call: Call, *, clients: int, calls: int) -> Measured:
    """Run so many calls, numbered from 0, by so many clients at once."""
    numbers = iter(range(calls))
    latencies: list[float] = []

    async def client() -> None:
        for number in numbers:
            started = time.perf_counter()
            await call(number)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = time.perf_counter() - started
    latencies.sort()
    return Measured(
        clients=clients,
        calls=calls,
        per_second=calls / seconds,
        p50_ms=statistics.median(latencies) * 1000,
        p99_ms=latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)] * 1000,
    )


class HttpClients:
    """Keep-alive connections that cost the machine little, so that the service gets the rest.

    Args:
        url: `http://host:port`.
        headers: sent with every request.
    """

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        lines = [f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
        self._head = "".join(f"{line}\r\n" for line in lines)
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        return await self._send("POST", path, json.dumps(dict(body)).encode())

    async def get(self, path: str) -> dict[str, object]:
        return await self._send("GET", path, b"")

    async def _send(self, method: str, path: str, body: bytes) -> dict[str, object]:
        reader, writer = await self._connection()
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{kind}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        self._idle.append((time.monotonic(), reader, writer))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{method} {path}: {content.decode()}")
        found: dict[str, object] = json.loads(content)
        return found

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            used_at, reader, writer = self._idle.pop()
            if time.monotonic() - used_at < KEEP_ALIVE_SECONDS:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)

    def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()
