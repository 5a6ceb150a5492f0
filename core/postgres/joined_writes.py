"""What is sent past the driver goes out with what the driver sends next, in one write.

A write to a socket costs a system call, and wakes the server up; a message and the one behind it
need that once. The driver gets a transport that can hold bytes back, which takes an event loop
that gives it one.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

# What ends each of the driver's requests to execute something.
SYNC = b"S\0\0\0\4"


class JoinedWrites:
    """A transport that can hold bytes back until the next write, or send them behind it."""

    def __init__(self, transport: Any) -> None:
        self.inner = transport
        self._held = b""
        self._following = b""
        self._is_joining = False
        # Whether what is written is not sent.
        self.is_muted = False

    def join(self) -> None:
        """Send what is written next in one write, as soon as it ends with a Sync."""
        self._is_joining = True

    def hold(self, data: bytes) -> None:
        """Send it with the next write, or by `release`."""
        self._held += data

    def follow(self, data: bytes) -> None:
        """Send it behind the next write that ends with a Sync, in one with it."""
        self._following = data

    def forget_following(self) -> bool:
        """Send no such thing; gives whether it had not been sent."""
        is_unsent, self._following = bool(self._following), b""
        return is_unsent

    def release(self) -> None:
        """Send what is held back, if anything is."""
        self._is_joining = False
        if self._held:
            self.write(b"")

    def write(self, data: Any) -> None:
        if self.is_muted:
            return
        if self._held:
            data, self._held = b"".join((self._held, data)), b""
        if self._is_joining:
            if data[-len(SYNC) :] != SYNC:
                self._held = data
                return
            self._is_joining = False
        if self._following and data[-len(SYNC) :] == SYNC:
            data, self._following = b"".join((data, self._following)), b""
        self.inner.write(data)

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Shim(asyncio.Protocol):
    """Stands where a protocol is made, until the driver puts another in its place."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = JoinedWrites(transport)
        self.inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self.inner.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.inner.connection_lost(error)

    def eof_received(self) -> bool | None:
        kept_open: bool | None = self.inner.eof_received()
        return kept_open


class JoiningLoop:
    """An event loop, for the driver, whose connections have such transports.

    Args:
        take_socket: gives one that is connected to where the driver wants to, if there is one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take_socket: Callable[[], socket.socket | None] = lambda: None,
    ) -> None:
        self.inner = loop
        self._take_socket = take_socket
        # What the driver calls for each statement.
        self.create_future = loop.create_future
        self.call_later = loop.call_later

    async def create_connection(
        self, factory: Callable[[], Any], *given: Any, **options: Any
    ) -> tuple[JoinedWrites, Any]:
        if (connected := self._take_socket()) is not None:
            host = {"server_hostname": given[0]} if options.get("ssl") else {}
            given, options = (), {**options, **host, "sock": connected}
        try:
            _, shim = await self.inner.create_connection(
                lambda: _Shim(factory()), *given, **options
            )
        except BaseException:
            if connected is not None:
                connected.close()
            raise
        return shim.transport, shim.inner

    async def create_unix_connection(
        self, factory: Callable[[], Any], path: str
    ) -> tuple[JoinedWrites, Any]:
        _, shim = await self.inner.create_unix_connection(lambda: _Shim(factory()), path)
        return shim.transport, shim.inner

    async def start_tls(self, transport: JoinedWrites, *given: Any, **options: Any) -> JoinedWrites:
        return JoinedWrites(await self.inner.start_tls(transport.inner, *given, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
