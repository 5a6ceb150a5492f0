"""Sessions that copy: with settings of their own, whatever their login has set for itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

Connection = asyncpg.Connection

# For the length of a transaction.
SETTINGS = ";".join(
    (
        "SET LOCAL search_path = ''",
        "SET LOCAL check_function_bodies = off",
        "SET LOCAL row_security = off",
        "SET LOCAL client_min_messages = warning",
        "SET LOCAL jit = off",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "SET LOCAL maintenance_work_mem = '512MB'",
        "SET LOCAL xmloption = content",
    )
)
# How values are written down by one session and read by another.
_FORMS = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "timezone": "UTC",
}


@asynccontextmanager
async def session(url: str, lock_timeout: float) -> AsyncIterator[Connection]:
    """A session of a login.

    Args:
        lock_timeout: seconds that a statement waits for a lock.
    """
    connection = await asyncpg.connect(
        url,
        timeout=30,
        statement_cache_size=0,
        server_settings={
            "application_name": "pgtwin clone",
            "lock_timeout": str(round(lock_timeout * 1000)),
            "search_path": "",
            **_FORMS,
        },
    )
    try:
        yield connection
    finally:
        connection.terminate()
