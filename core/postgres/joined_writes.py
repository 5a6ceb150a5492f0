"""What is sent past the driver goes out with what the driver sends next, in one write.

A write to a socket costs a system call, and wakes the server up; a message and the one behind it
need that once. The driver gets a transport that can hold bytes back, which takes an event loop
that gives it one.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from asyncpg.protocol.protocol import BaseProtocol

from core.postgres.answers import HEAD_BYTES, READY

# What ends each of the driver's requests to execute something.
SYNC = b"S\0\0\0\4"
# What asks for a login's last message: a password in the clear, its MD5, and the proof of SCRAM.
ASK_LAST = (b"R\0\0\0\3", b"R\0\0\0\5", b"R\0\0\0\x0b")


class JoinedWrites:
    """A transport that can hold bytes back until the next write, or send them behind it.

    Attributes:
        first: what goes out along with the login's last message, where that is known to be one.
        early: what has come for it before somebody else reads; None: it has not gone out.
    """

    def __init__(self, transport: Any, first: bytes = b"") -> None:
        self.inner = transport
        self.first = first
        self.early: bytes | None = None
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

    def release_with_first(self) -> None:
        """Send what is held back, if anything is, and `first` behind it."""
        if self._held and self.early is None:
            self._held, self.early = b"".join((self._held, self.first)), b""
        self.release()

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

    def set_protocol(self, protocol: Any) -> None:
        if isinstance(protocol, BaseProtocol):
            # The driver's own comes here where the connection speaks TLS by now.
            protocol = _Login(protocol, self)
        self.inner.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Login(asyncio.Protocol):
    """Stands before the driver's protocol until another is put in its place.

    Args:
        transport: None: it is made.
        first: of the transport that is made.
    """

    def __init__(
        self, inner: Any, transport: JoinedWrites | None = None, first: bytes = b""
    ) -> None:
        self.inner = inner
        self.transport: Any = transport
        self._first = first
        # A message that has not come to its end.
        self._part = b""
        # Or it is none: the answer to whether the server speaks TLS goes to another protocol.
        self._is_over = not isinstance(inner, BaseProtocol)

    def connection_made(self, transport: Any) -> None:
        self.transport = JoinedWrites(transport, self._first)
        self.inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.transport.first and not self._is_over:
            self._read(data)
        elif self.transport.early is None:
            self.inner.data_received(data)
        else:
            self.transport.early += data

    def _read(self, data: bytes) -> None:
        """Give the driver what is the login's, and let `first` go out where nothing is asked for
        any more."""
        data, at, is_last = self._part + data, 0, False
        while len(data) - at >= HEAD_BYTES and not self._is_over:
            end = at + 1 + int.from_bytes(data[at + 1 : at + HEAD_BYTES], "big")
            if end > len(data):
                break
            is_last = is_last or data[at : at + 1] + data[at + HEAD_BYTES : at + 9] in ASK_LAST
            self._is_over = data[at] == READY
            at = end
        rest, self._part = data[at:], b""
        if is_last:
            self.transport.join()
        self.inner.data_received(data[:at])
        if is_last:
            self.transport.release_with_first()
        if not self._is_over:
            self._part = rest
        elif self.transport.early is None:
            self.inner.data_received(rest)
        else:
            self.transport.early += rest

    def connection_lost(self, error: Exception | None) -> None:
        self.inner.connection_lost(error)

    def eof_received(self) -> bool | None:
        kept_open: bool | None = self.inner.eof_received()
        return kept_open


class JoiningLoop:
    """An event loop, for the driver, whose connections have such transports.

    Args:
        take_socket: gives one that is connected to where the driver wants to, if there is one.
        first: what goes out along with the last message of a login, where that is known to be one,
            and whose answers the driver does not get.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take_socket: Callable[[], socket.socket | None] = lambda: None,
        first: bytes = b"",
    ) -> None:
        self.inner = loop
        self._first = first
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
                lambda: _Login(factory(), first=self._first), *given, **options
            )
        except BaseException:
            if connected is not None:
                connected.close()
            raise
        return shim.transport, shim.inner

    async def create_unix_connection(
        self, factory: Callable[[], Any], path: str
    ) -> tuple[JoinedWrites, Any]:
        _, shim = await self.inner.create_unix_connection(
            lambda: _Login(factory(), first=self._first), path
        )
        return shim.transport, shim.inner

    async def start_tls(self, transport: JoinedWrites, *given: Any, **options: Any) -> JoinedWrites:
        secured = await self.inner.start_tls(transport.inner, *given, **options)
        return JoinedWrites(secured, self._first)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
