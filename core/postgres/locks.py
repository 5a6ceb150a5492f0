"""Advisory locks, each with a number of its own."""

import hashlib
from enum import IntEnum

from core.postgres.engine import Session


class Lock(IntEnum):
    """The first key of PostgreSQL's two-key advisory locks: what the lock is about."""

    MIGRATION = 7_990_001
    BOOTSTRAP_KEY = 7_990_002
    SPACE = 7_990_003
    CONNECTIONS = 7_990_004
    IDEMPOTENCY_CLEANUP = 7_990_010
    CONNECTION_SWEEP = 7_990_011
    REAPER = 7_990_012


def key_of(subject: str) -> int:
    """The second key: a hash of what the lock is about."""
    digest = hashlib.sha256(subject.encode()).digest()
    return int.from_bytes(digest[:4], "big", signed=True)


async def hold(session: Session, lock: Lock, subject: str = "") -> None:
    """Take a lock until the transaction ends, waiting for it.

    Args:
        subject: which one of its kind; different subjects do not wait for each other
            (but for a hash's collision, which costs a wait and nothing else).
    """
    await session.execute("SELECT pg_advisory_xact_lock($1, $2)", int(lock), key_of(subject))


async def try_hold(session: Session, lock: Lock, *, shared: bool = False) -> bool:
    """Take a lock until the transaction ends, or say at once that another has it.

    Args:
        shared: beside others who share it; whoever wants it alone does not get it meanwhile.
    """
    function = "pg_try_advisory_xact_lock_shared" if shared else "pg_try_advisory_xact_lock"
    return bool(await session.fetchval(f"SELECT {function}($1, 0)", int(lock)))
