"""Logins to one server, whose URL is read now and then and not for each of them."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import asyncpg
from asyncpg import connect_utils

from core.postgres.joined_writes import JoiningLoop
from core.postgres.spare_socket import SpareSocket

# Seconds until certificates, and whatever else a URL refers to, are read again. The driver takes
# a millisecond of the event loop's time for it.
READ_AGAIN = 60.0
# What `asyncpg.connect` assumes.
UNSAID: Mapping[str, Any] = {
    "host": None,
    "port": None,
    "user": None,
    "password": None,
    "passfile": None,
    "database": None,
    "max_cached_statement_lifetime": 300,
    "max_cacheable_statement_size": 15_360,
    "ssl": None,
    "direct_tls": None,
    "target_session_attrs": None,
    "krbsrvname": None,
    "gsslib": None,
    "service": None,
    "servicefile": None,
}
# Its type stubs leave out what is private.
DRIVER: Any = connect_utils
C = TypeVar("C", bound=asyncpg.Connection)


class ServerLogin(Generic[C]):
    """Its connections have `JoinedWrites` for a transport.

    Args:
        timeout: seconds for a login.
        spare: where the socket for the next login is kept; None: there is none.
        options: of `asyncpg.connect`.
    """

    def __init__(
        self,
        dsn: str,
        connection_class: type[C],
        timeout: float,
        *,
        spare: SpareSocket | None = None,
        **options: Any,
    ) -> None:
        self._class, self._timeout, self._spare = connection_class, timeout, spare
        self._asked: dict[str, Any] = {"dsn": dsn, **options}
        self._known: tuple[list[Any], Any, Any] | None = None
        self._known_until = 0.0

    async def __call__(self, login: Mapping[str, str], first: bytes = b"") -> C:
        """
        Args:
            login: `user` and `password`, where they are not the URL's.
            first: of `JoiningLoop`; it does not go out where the URL names several servers.
        """
        addresses, parameters, config = self._read()
        running = asyncio.get_running_loop()
        wants_any = parameters.target_session_attrs is connect_utils.SessionAttribute.any
        if len(addresses) > 1 or not wants_any:
            # Which of them it is, the driver looks for.
            options: dict[str, Any] = {**self._asked, **login, "timeout": self._timeout}
            options["loop"] = JoiningLoop(running)
            found: C = await asyncpg.connect(connection_class=self._class, **options)
            return found
        spare = self._spare if isinstance(addresses[0], tuple) else None
        taking = spare.take if spare is not None else _no_socket
        try:
            async with asyncio.timeout(self._timeout):
                connection: C = await DRIVER._connect_addr(
                    addr=addresses[0],
                    loop=JoiningLoop(running, taking, first),
                    params=parameters._replace(**login),
                    config=config,
                    connection_class=self._class,
                    record_class=asyncpg.Record,
                )
        except BaseException as error:
            # It may want TLS by now.
            self._known = None
            if isinstance(error, DRIVER._NextHostSignal):
                raise error.__cause__ or error from None
            raise
        protocol: Any = connection._protocol  # type: ignore[attr-defined]
        if parameters.sslmode is connect_utils.SSLMode.prefer and not protocol.is_ssl:
            # The server has no TLS, and need not be asked for it each time.
            plain = parameters._replace(ssl=None, sslmode=connect_utils.SSLMode.disable)
            self._known = addresses, plain, config
        if spare is not None:
            spare.prepare(*addresses[0])
        return connection

    def _read(self) -> tuple[list[Any], Any, Any]:
        now = time.monotonic()
        if self._known is None or now >= self._known_until:
            self._known = DRIVER._parse_connect_arguments(**UNSAID, **self._asked)
            self._known_until = now + READ_AGAIN
        return self._known


def _no_socket() -> None:
    return None
