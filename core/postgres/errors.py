"""What PostgreSQL and its driver report, as errors of the service."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from core.errors import (
    AppError,
    DatabaseUnavailable,
    LockTimeout,
    OperationFailed,
    ResourcesExhausted,
    TransactionConflict,
)

SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
# Two wrote one row of the catalog: PostgreSQL has no state of its own for that, and never
# translates these words.
INTERNAL_ERROR = "XX000"
_MET_IN_CATALOG = ("tuple concurrently updated", "tuple concurrently deleted")

# SQLSTATE, or its class of two characters, to the error.
_BY_SQLSTATE: dict[str, type[AppError]] = {
    "08": DatabaseUnavailable,
    "57P01": DatabaseUnavailable,  # admin_shutdown
    "57P02": DatabaseUnavailable,  # crash_shutdown
    "57P03": DatabaseUnavailable,  # cannot_connect_now
    "57P05": DatabaseUnavailable,  # idle_session_timeout
    "25P03": DatabaseUnavailable,  # idle_in_transaction_session_timeout
    SERIALIZATION_FAILURE: TransactionConflict,
    DEADLOCK: TransactionConflict,
    "55P03": LockTimeout,  # lock_not_available
    "53": ResourcesExhausted,
}

# The driver's way of saying that the connection is gone, where there is no SQLSTATE.
_LOST = (ConnectionError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own exception inside SQLAlchemy's wrapping."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def one_line(error: BaseException) -> str:
    """What the server or the system said, without DETAIL and HINT; never empty."""
    lines = str(driver_error(error)).splitlines()
    return lines[0] if lines else type(error).__name__


def sqlstate(error: BaseException) -> str | None:
    """The five-character SQLSTATE that PostgreSQL gave, if it was PostgreSQL."""
    state = getattr(driver_error(error), "sqlstate", None)
    return state if isinstance(state, str) else None


def is_rerunnable(error: BaseException) -> bool:
    """Whether the whole transaction may simply be run again.

    Besides conflicts: a cached statement that went stale through DDL elsewhere; the driver
    has dropped it by now.
    """
    cause = driver_error(error)
    stale = isinstance(cause, asyncpg.exceptions.InvalidCachedStatementError)
    conflicts = sqlstate(error) in (SERIALIZATION_FAILURE, DEADLOCK)
    return stale or conflicts or _met_in_catalog(error)


def _met_in_catalog(error: BaseException) -> bool:
    return sqlstate(error) == INTERNAL_ERROR and one_line(error) in _MET_IN_CATALOG


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, and whatever transaction it had."""
    return isinstance(translate(error), DatabaseUnavailable)


def translate(error: BaseException) -> AppError | None:
    """The service's error for one of PostgreSQL or its driver; None: neither."""
    if isinstance(error, AppError):
        return error
    state = sqlstate(error)
    if _met_in_catalog(error):
        return TransactionConflict(sqlstate=state)
    if state is not None:
        kind = _BY_SQLSTATE.get(state) or _BY_SQLSTATE.get(state[:2]) or OperationFailed
        return kind(sqlstate=state)
    if isinstance(driver_error(error), _LOST):
        return DatabaseUnavailable()
    return OperationFailed() if isinstance(error, DBAPIError | asyncpg.PostgresError) else None


@contextmanager
def failing_as(kind: type[AppError]) -> Iterator[None]:
    """Give a database error that has no class of its own the name of the work that failed.

    Conflicts pass as they are, for the transaction's runner to see.
    """
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError) as error:
        if is_rerunnable(error) or type(translate(error)) is not OperationFailed:
            raise
        raise kind(sqlstate=sqlstate(error)) from error
