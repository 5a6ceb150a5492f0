"""What must hold before the service may use a server: reachable, there, a version, UTF-8."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from core.postgres.errors import one_line
from core.postgres.identifiers import Identifier
from core.settings import without_password

OLDEST, NEWEST = 15, 18
_PAUSE = 0.25
# What passes by waiting: nobody listens yet, the server starts up, others hold its connections.
_NOT_YET = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

Connection = asyncpg.Connection


class StartupError(Exception):
    """The service can't start; the message is one line that says why and what to do."""


async def wait_for_server(
    url: str, *, limit: float, connect_timeout: float, log: Callable[[str], None]
) -> None:
    """Wait until the server takes connections.

    A wrong password and the like do not get better by waiting and fail at once; a missing
    database counts as reachable.

    Args:
        limit: seconds to wait at most.
        connect_timeout: seconds that one attempt may take.

    Raises:
        StartupError: not reachable within the limit, or the login is refused.
    """
    end, announced = time.monotonic() + limit, False
    while True:
        try:
            left = max(0.1, min(connect_timeout, end - time.monotonic()))
            await (await asyncpg.connect(url, timeout=left)).close()
        except asyncpg.InvalidCatalogNameError:
            return
        except _NOT_YET as error:
            if time.monotonic() >= end:
                raise StartupError(
                    f"PostgreSQL at {without_password(url)} did not answer within {limit:g} s: "
                    f"{one_line(error)}"
                ) from error
            if not announced:
                log(f"waiting for PostgreSQL at {without_password(url)} (up to {limit:g} s)")
                announced = True
            await asyncio.sleep(_PAUSE)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise _refused(url, error) from error
        else:
            return


async def ensure_database(url: str, *, log: Callable[[str], None]) -> None:
    """Create the database that the URL names, where it is missing and the login may.

    Raises:
        StartupError: it is missing and the login may not create it.
    """
    try:
        await (await asyncpg.connect(url, timeout=30)).close()
        return
    except asyncpg.InvalidCatalogNameError:
        pass
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _refused(url, error) from error
    except (OSError, TimeoutError) as error:
        raise StartupError(
            f"PostgreSQL at {without_password(url)} can't be reached: {one_line(error)}"
        ) from error
    parts = urlsplit(url)
    name = Identifier(unquote(parts.path.lstrip("/")) or (parts.username or "postgres"))
    statement = f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"
    try:
        connection = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")), timeout=30)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StartupError(
            f"the database {name} does not exist, and to create it the login would have to "
            f"connect to the database postgres, which fails: {one_line(error)}; "
            f"create it: {statement};"
        ) from error
    try:
        await connection.execute(statement)
        log(f"created the database {name}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        log(f"the database {name} was created by another process at the same time")
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"the database {name} does not exist and this login may not create it; "
            f"run as an administrator: {statement};"
        ) from error
    finally:
        await connection.close()


def _refused(url: str, error: Exception) -> StartupError:
    shown = without_password(url)
    if isinstance(error, asyncpg.PostgresError):
        return StartupError(f"PostgreSQL at {shown} refuses the login: {one_line(error)}")
    return StartupError(f"{shown} is not a usable URL: {one_line(error)}")


async def check_server(connection: Connection) -> None:
    """Refuse what the service can't run on.

    Raises:
        StartupError: a version outside 15 to 18, or an encoding other than UTF8.
    """
    version = connection.get_server_version()
    if not OLDEST <= version.major <= NEWEST:
        raise StartupError(
            f"PostgreSQL {version.major} is not supported: use {OLDEST} to {NEWEST}, "
            "or leave DATABASE_URL empty for the embedded server"
        )
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StartupError(
            f"the database's encoding is {encoding}; pgtwin needs UTF8: "
            "create it with ENCODING 'UTF8' TEMPLATE template0"
        )
