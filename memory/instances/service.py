"""Keeps the worker's id generator under a lease."""

import asyncio
import secrets
from dataclasses import replace

from core.ids import EPOCH_MILLISECONDS, INSTANCES, IdGenerator, Lease, boottime
from core.postgres.engine import Database, Session
from core.postgres.startup import StartupError
from core.telemetry import logger
from memory.instances.repository import InstanceRepository

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
MARGIN_SECONDS = 2.0
# Takes that run at once pass over the rows that others have just locked.
_TRIES, _PAUSE_SECONDS = 5, 0.2

log = logger("pgtwin.instances")


class InstanceLeases:
    """Takes an instance number, renews it, and gives it back.

    Two things keep two workers from making the same id:

    - Time by PostgreSQL's clock: a number is taken when its lease has expired. Its holder stops
      earlier by the margin, and counts from before it asked, so that a slow renewal shortens its
      own time and nobody else's.
    - Stamps by the holder's clock, which is what is in the ids: the row says up to which
      millisecond its holders may have stamped, each prolongs that before it stamps on, and the
      next may only stamp later. This holds when clocks differ or are set, and when a machine
      stood still and believes in a lease that has long been another's. A number whose stamps
      are ahead of a worker's clock is not for that worker: it takes another.

    Args:
        seconds: how long a lease lasts.
        renew_after: seconds after which it is renewed; a third of that after a failure.
        margin: seconds by which ids stop before the lease's end.
    """

    def __init__(
        self,
        database: Database,
        ids: IdGenerator,
        *,
        seconds: float = LEASE_SECONDS,
        renew_after: float = RENEW_SECONDS,
        margin: float = MARGIN_SECONDS,
    ) -> None:
        self._database = database
        self._ids = ids
        self._holder = secrets.token_hex(16)
        self._seconds = seconds
        self._renew_after = renew_after
        self._margin = margin

    async def acquire(self) -> None:
        """Take a number, so that ids can be made.

        Raises:
            StartupError: all numbers are taken, or the system clock can't be right.
        """
        for _ in range(_TRIES):
            lease = await self._take()
            if lease is not None:
                self._ids.lease(lease)
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise StartupError(
            f"all {INSTANCES} instance numbers are taken, one by each worker: stop workers, or "
            f"wait {self._seconds:g} s for the leases of dead ones to expire; numbers that were "
            "used under a clock ahead of this machine's are free when this clock is there"
        )

    async def keep(self) -> None:
        """Renew until cancelled; without the database, ids end with the lease."""
        ahead = self._seconds - self._margin - self._renew_after
        pause = min(1.0, self._renew_after / 3)
        while True:
            await asyncio.sleep(pause)
            # Looked at often, for a machine that slept, or whose clock was set, is due at once.
            if self._ids.seconds_left() > ahead:
                continue
            try:
                await self.renew()
            except Exception as error:  # noqa: BLE001  without the keeper ids would end for ever
                log.warning("the lease on ids could not be renewed", cause=repr(error))
                await asyncio.sleep(self._renew_after / 3)

    async def renew(self) -> None:
        """Prolong the lease, or take another number where it was lost or can't go on.

        Raises:
            StartupError: as `acquire`.
        """
        if self._ids.clock_went_back:
            log.warning("the system clock went back; ids go on under another number")
            await self.release()
        held = self._ids.current
        renewed = await self._prolong(held) if held else None
        if renewed is None:
            self._ids.release()
            await self.acquire()
        else:
            self._ids.lease(renewed)

    async def release(self) -> None:
        """Give the number back; ids end at once."""
        ended = self._ids.release()
        if ended is None:
            return

        async def give_back(session: Session) -> None:
            await InstanceRepository(session).give_back(
                ended.instance, self._holder, until=ended.until
            )

        await self._database.transaction(give_back)

    async def _take(self) -> Lease | None:
        now, valid_until = self._ids.milliseconds(), self._valid_until()
        if now <= EPOCH_MILLISECONDS:
            raise StartupError("the system clock is before 2024, and ids carry the time: set it")
        until = now + round(self._seconds * 1000)

        async def take(session: Session) -> Lease | None:
            taken = await InstanceRepository(session).take(
                self._holder, self._seconds, now=now, until=until
            )
            return Lease(taken.instance, taken.after, until, valid_until) if taken else None

        return await self._database.transaction(take)

    async def _prolong(self, held: Lease) -> Lease | None:
        until, valid_until = self._ids.milliseconds(), self._valid_until()
        until += round(self._seconds * 1000)

        async def renew(session: Session) -> Lease | None:
            renewed = await InstanceRepository(session).renew(
                held.instance, self._holder, self._seconds, until=until
            )
            return (
                None if renewed is None else replace(held, until=renewed, valid_until=valid_until)
            )

        return await self._database.transaction(renew)

    def _valid_until(self) -> float:
        """Until when a lease is good that is asked for at this moment."""
        return boottime() + self._seconds - self._margin
