"""63-bit snowflake ids, unique across workers through a leased instance number."""

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace

from snowflake import SnowflakeGenerator
from snowflake.snowflake import MAX_SEQ

from core.errors import AppError

# 2024-01-01T00:00:00Z in milliseconds. Ids made since lie above 2^31, as clients expect, and
# the 41 bits of time last until 2093.
EPOCH_MILLISECONDS = 1_704_067_200_000
INSTANCES = 1024
SMALLEST, LARGEST = 1, 2**63 - 1
# Below the milliseconds: 10 bits of instance number and 12 of sequence.
_STAMP_SHIFT = 22
_PAUSE_SECONDS = 0.0002
# Linux stops CLOCK_MONOTONIC while the machine sleeps; elsewhere that clock goes on.
_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(_BOOT_CLOCK)


class IdsUnavailable(AppError):
    """This worker holds no valid lease on an id range at the moment."""

    code, status, retryable = 25010, 503, True
    predecessor = "DatabaseExecutionError"
    remedy = "Try again in a moment."


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make ids with an instance number for a while.

    Attributes:
        instance: 0 to 1023.
        after: Unix milliseconds; all that may be in ids with this number was up to then.
        until: Unix milliseconds; ids are stamped after `after` and at latest `until`.
        valid_until: seconds of `boottime`; nothing is handed out past it.
    """

    instance: int
    after: int
    until: int
    valid_until: float


class IdGenerator:
    """Hands out ids while its instance number is leased.

    Ids can't meet those of another worker, whatever the clocks of the two machines say: the
    control schema gives each lease of a number milliseconds of its own (`Lease.after` to
    `Lease.until`), and what the clock says outside of them is not handed out.

    The library's generator gives None when its 4,096 ids of a millisecond are used up or the
    clock went back, and is not safe to share between threads: hence the lock and the wait.
    A process that is forked off inherits no lease: it hands out nothing until it has its own.

    Args:
        patience: seconds to wait for the clock before giving up; they block the event loop.
        clock: seconds, against which the lease's end is judged.
        wall: Unix seconds, as the library reads them.
    """

    def __init__(
        self,
        *,
        patience: float = 0.005,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._wall = wall
        self._begin()
        _begin_again_when_forked(self)

    def _begin(self) -> None:
        # Another thread may have held the lock when the process was forked off.
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._generator: SnowflakeGenerator | None = None
        # Unix milliseconds of the last id.
        self._last = EPOCH_MILLISECONDS
        self._issued = 0

    @property
    def current(self) -> Lease | None:
        return self._lease

    @property
    def instance(self) -> int | None:
        lease = self._lease
        return lease.instance if lease else None

    @property
    def clock_went_back(self) -> bool:
        """Whether the system clock is too far behind the last id to wait for it."""
        return self._last - self.milliseconds() > self._patience * 1000

    @property
    def issued(self) -> int:
        """How many ids were handed out."""
        return self._issued

    @property
    def is_leased(self) -> bool:
        """Whether ids can be handed out."""
        return self.seconds_left() > 0

    def milliseconds(self) -> int:
        """Unix milliseconds of this machine."""
        return int(self._wall() * 1000)

    def seconds_left(self) -> float:
        """For how long ids can be made without another lease; 0 or less: no more."""
        lease = self._lease
        if lease is None or self.clock_went_back:
            return 0.0
        return min(lease.valid_until - self._clock(), (lease.until - self.milliseconds()) / 1000)

    def lease(self, lease: Lease) -> None:
        """Use a lease, or the same one prolonged."""
        with self._lock:
            held = self._lease
            if held is None or (held.instance, held.after) != (lease.instance, lease.after):
                self._generator = None
                self._last = max(lease.after, EPOCH_MILLISECONDS)
            self._lease = lease

    def release(self) -> Lease | None:
        """Hand out nothing until the next lease.

        Returns:
            The lease that ends, cut to the last id's millisecond.
        """
        with self._lock:
            held, self._lease = self._lease, None
            return replace(held, until=max(self._last, held.after)) if held else None

    def next(self) -> int:
        """A new id, greater than every earlier one of the same lease.

        Waits at most for the patience, when the ids of a millisecond are used up or the clock
        went back by less than that.

        Raises:
            IdsUnavailable: no valid lease, or the clock stood or went back for too long.
        """
        give_up = self._clock() + self._patience
        while True:
            with self._lock:
                value = self._make()
                self._issued += value is not None
            if value is not None:
                return value
            if self.clock_went_back or self._clock() >= give_up:
                raise IdsUnavailable("The system clock went back; no id can be made")
            time.sleep(_PAUSE_SECONDS)

    def _make(self) -> int | None:
        lease = self._lease
        if lease is None or self._clock() >= lease.valid_until:
            raise IdsUnavailable
        generator = self._generator or self._after_the_last(lease.instance)
        value: int | None = next(generator) if generator else None
        if value is None:
            return None
        stamp = EPOCH_MILLISECONDS + (value >> _STAMP_SHIFT)
        if stamp > lease.until:
            # A generator that saw a clock too far ahead would wait for that time.
            self._generator = None
            raise IdsUnavailable("The system clock is ahead of the lease; no id can be made")
        self._generator, self._last = generator, stamp
        return value

    def _after_the_last(self, instance: int) -> SnowflakeGenerator | None:
        """The library's generator, whose first id is stamped later than the last one's."""
        try:
            return SnowflakeGenerator(
                instance, seq=MAX_SEQ, epoch=EPOCH_MILLISECONDS, timestamp=self._last
            )
        except ValueError:
            # It takes no time that the clock has not reached.
            return None


def _begin_again_when_forked(ids: IdGenerator) -> None:
    found = weakref.ref(ids)

    def begin_again() -> None:
        generator = found()
        if generator is not None:
            generator._begin()

    os.register_at_fork(after_in_child=begin_again)
