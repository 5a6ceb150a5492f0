"""Hears what other workers and services notify, and knows when it does not."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from core.postgres.identifiers import Identifier
from core.telemetry import logger

ECHO_SECONDS, PATIENCE_SECONDS, PAUSE_SECONDS = 5.0, 5.0, 1.0
_ECHO = "echo "
log = logger("pgtwin.notices")


class Listener:
    """One connection that listens on a channel.

    A connection may look alive and carry nothing, through a dead network or a pooler in
    transaction mode. So it notifies itself now and then; without the echo it counts as lost, and
    a new one is opened. Notices come in the order of their commits.

    Args:
        heard: called with each notice's payload.
        ready: called when everything that is notified from now on will be heard.
        lost: called when that has ended.
        every: seconds between two echoes.
    """

    def __init__(
        self,
        dsn: str,
        channel: str,
        *,
        heard: Callable[[str], None],
        ready: Callable[[], None],
        lost: Callable[[], None],
        every: float = ECHO_SECONDS,
    ) -> None:
        self._dsn = dsn
        self._channel = Identifier(channel)
        self._heard, self._ready, self._lost = heard, ready, lost
        self._every = every
        self._echo = ""
        self._echoed = asyncio.Event()

    async def keep(self) -> None:
        """Listen until cancelled."""
        failing = False
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not failing:
                    log.warning("changes are not heard of", cause=repr(error))
                failing = True
            else:
                failing = False
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Listen for as long as the connection carries anything."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=PATIENCE_SECONDS,
            command_timeout=PATIENCE_SECONDS,
            server_settings={"application_name": "pgtwin notices"},
        )
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _connection: ended.set())
        try:
            await connection.add_listener(self._channel.name, self._on_notice)
            await self._check(connection)
            self._ready()
            while not ended.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await ended.wait()
                    break
                await self._check(connection)
        finally:
            self._lost()
            connection.terminate()

    async def _check(self, connection: asyncpg.Connection) -> None:
        self._echo = _ECHO + secrets.token_hex(8)
        self._echoed.clear()
        await connection.execute("SELECT pg_notify($1, $2)", self._channel.name, self._echo)
        # Before Python 3.12 `wait_for` forgets a cancellation that meets its end.
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._echoed.wait()

    def _on_notice(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        text = str(payload)
        if text == self._echo:
            self._echoed.set()
        elif not text.startswith(_ECHO):
            self._heard(text)
