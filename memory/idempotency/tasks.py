"""Removes answers that have expired."""

import asyncio

from core.errors import AppError
from core.postgres.engine import Database
from core.telemetry import logger
from memory.idempotency.repository import IdempotencyRepository

INTERVAL_SECONDS = 60.0
BATCH = 1000

log = logger("pgtwin.idempotency")


async def keep_clean(database: Database) -> None:
    """Remove until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await remove_expired(database)
        except AppError as error:
            log.warning("expired answers could not be removed", cause=repr(error))


async def remove_expired(database: Database, batch: int = BATCH) -> int:
    """Remove all that has expired, in a transaction a batch.

    Returns:
        How many answers that were; 0 as well while another worker removes them.
    """
    total = 0
    while True:
        removed = await database.transaction(
            lambda session: IdempotencyRepository(session).remove_expired(batch)
        )
        total += removed
        if removed < batch:
            return total
