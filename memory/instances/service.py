"""Keeps the worker's id generator under a lease."""

import asyncio
import secrets
import time

from core.errors import AppError
from core.ids import IdGenerator
from core.postgres.engine import Database, Session
from core.telemetry import logger
from memory.instances.repository import InstanceRepository

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
# Ids stop this long before the database gives the number to another.
MARGIN_SECONDS = 2.0
_TRIES = 20

log = logger("pgtwin.instances")


class InstanceLeases:
    """Takes an instance number, renews it, and gives it back."""

    def __init__(self, database: Database, ids: IdGenerator) -> None:
        self._database = database
        self._ids = ids
        self._holder = secrets.token_hex(16)

    async def acquire(self) -> None:
        """Take a number, so that ids can be made.

        Raises:
            RuntimeError: all numbers are taken.
        """
        for _ in range(_TRIES):
            asked_at = time.monotonic()
            instance = await self._database.transaction(self._take)
            if instance is not None:
                self._ids.lease(instance, asked_at + LEASE_SECONDS - MARGIN_SECONDS)
                return
        raise RuntimeError("all instance numbers are taken: are there a thousand workers?")

    async def keep(self) -> None:
        """Renew until cancelled; without the database, ids end with the lease."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except (AppError, RuntimeError) as error:
                log.warning("the lease on ids could not be renewed", cause=repr(error))

    async def renew(self) -> None:
        """Prolong the lease, or take another number where it was lost."""
        asked_at = time.monotonic()
        if await self._database.transaction(self._renew):
            instance = self._ids.instance
            if instance is not None:
                self._ids.lease(instance, asked_at + LEASE_SECONDS - MARGIN_SECONDS)
            return
        self._ids.release()
        await self.acquire()

    async def release(self) -> None:
        """Give the number back; ids end at once."""
        self._ids.release()
        await self._database.transaction(self._give_back)

    async def _take(self, session: Session) -> int | None:
        return await InstanceRepository(session).take(self._holder, LEASE_SECONDS)

    async def _renew(self, session: Session) -> bool:
        instance = self._ids.instance
        if instance is None:
            return False
        return await InstanceRepository(session).renew(instance, self._holder, LEASE_SECONDS)

    async def _give_back(self, session: Session) -> None:
        if self._ids.instance is not None:
            await InstanceRepository(session).give_back(self._ids.instance, self._holder)
