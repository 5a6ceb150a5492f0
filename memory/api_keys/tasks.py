"""Writes down now and then when keys were last used."""

import asyncio

from core.errors import AppError
from core.postgres.engine import Database, Session
from core.telemetry import logger
from memory.api_keys.repository import ApiKeyRepository
from memory.api_keys.usage import KeyUsage

INTERVAL_SECONDS = 5.0

log = logger("pgtwin.keys")


async def keep_last_used(database: Database, usage: KeyUsage) -> None:
    """Write until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await write_last_used(database, usage)
    finally:
        await write_last_used(database, usage)


async def write_last_used(database: Database, usage: KeyUsage) -> None:
    used = usage.take()
    if not used:
        return

    async def touch(session: Session) -> None:
        await ApiKeyRepository(session).touch(used)

    try:
        await database.transaction(touch)
    except AppError as error:
        usage.give_back(used)
        log.warning("the use of keys could not be written down", cause=repr(error))
