"""Advisory locks, each with a number of its own."""

import hashlib
from enum import IntEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Lock(IntEnum):
    """The first key of PostgreSQL's two-key advisory locks: what the lock is about."""

    MIGRATION = 7_990_001
    BOOTSTRAP_KEY = 7_990_002
    SPACE = 7_990_003
    IDEMPOTENCY_CLEANUP = 7_990_010


async def hold(connection: AsyncConnection, lock: Lock, subject: str = "") -> None:
    """Take a lock until the transaction ends, waiting for it.

    Args:
        subject: which one of its kind; different subjects do not wait for each other
            (but for a hash's collision, which costs a wait and nothing else).
    """
    digest = hashlib.sha256(subject.encode()).digest()
    key = int.from_bytes(digest[:4], "big", signed=True)
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(:lock, :key)"), {"lock": int(lock), "key": key}
    )


async def try_hold(connection: AsyncConnection, lock: Lock) -> bool:
    """Take a lock until the transaction ends, or say at once that another has it."""
    statement = text("SELECT pg_try_advisory_xact_lock(:lock, 0)")
    return bool((await connection.execute(statement, {"lock": int(lock)})).scalar_one())
