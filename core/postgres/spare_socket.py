"""A connection to a server that is there before it is needed.

PostgreSQL starts a process for each that it accepts, which is a part of what a login takes. It
counts none of them among its connections until it has read who logs in.
"""

import asyncio
import socket
from contextlib import suppress

# Seconds until a server may close it (authentication_timeout; 60 unless it is set otherwise), and
# until one that is not needed is given up.
SECONDS = 5.0


class SpareSocket:
    """One socket at most; after each login that took it, another may be prepared."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self) -> socket.socket | None:
        """The socket, if there is one that the server has not closed; its user closes it."""
        found, self._socket = self._socket, None
        if self._giving_up is not None:
            self._giving_up.cancel()
        if found is not None and not _is_quiet(found):
            found.close()
            return None
        return found

    def prepare(self, host: str, port: int) -> None:
        """Connect, in the background; to where it fails, the next login fails as well."""
        if self._is_closed:
            return
        if self._socket is None and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.create_task(self._connect(host, port))

    def close(self) -> None:
        """Give up what there is; nothing is prepared any more."""
        self._is_closed = True
        if self._preparing is not None:
            self._preparing.cancel()
        self._give_up()

    def _give_up(self) -> None:
        if (left := self.take()) is not None:
            left.close()

    async def _connect(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            family, kind, proto, _, address = (
                await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )[0]
            made = socket.socket(family, kind, proto)
            try:
                made.setblocking(False)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await asyncio.wait_for(loop.sock_connect(made, address), self._seconds)
            except BaseException:
                made.close()
                raise
            self._socket = made
            self._giving_up = loop.call_later(self._seconds, self._give_up)
            if self._is_closed:
                self._give_up()


def _is_quiet(found: socket.socket) -> bool:
    """Whether the server waits: it has said nothing, and not closed."""
    try:
        found.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
