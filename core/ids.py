"""63-bit snowflake ids, unique across workers through a leased instance number."""

import threading
import time
from collections.abc import Callable

from snowflake import SnowflakeGenerator

from core.errors import AppError

# 2024-01-01T00:00:00Z in milliseconds. Ids made since lie above 2^31, as clients expect, and
# the 41 bits of time last until 2093.
EPOCH_MILLISECONDS = 1_704_067_200_000
INSTANCES = 1024
SMALLEST, LARGEST = 1, 2**63 - 1


class IdsUnavailable(AppError):
    """This worker holds no valid lease on an id range at the moment."""

    code, status, retryable = 25010, 503, True
    predecessor = "DatabaseExecutionError"
    remedy = "Try again in a moment."


class IdGenerator:
    """Hands out ids while its instance number is leased.

    The library's generator gives None when its 4,096 ids of a millisecond are used up or the
    clock went back, and is not safe to share between threads: hence the lock and the wait.

    Args:
        patience: seconds to wait for the clock before giving up.
        clock: monotonic seconds, against which the lease's end is judged.
    """

    def __init__(
        self, *, patience: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._patience = patience
        self._clock = clock
        self._generator: SnowflakeGenerator | None = None
        self._instance: int | None = None
        self._valid_until = 0.0

    @property
    def instance(self) -> int | None:
        return self._instance

    def lease(self, instance: int, valid_until: float) -> None:
        """Use an instance number until a moment of the monotonic clock.

        Args:
            instance: 0 to 1023.
            valid_until: monotonic seconds; nothing is handed out past it.
        """
        with self._lock:
            if instance != self._instance:
                self._generator = SnowflakeGenerator(instance, epoch=EPOCH_MILLISECONDS)
                self._instance = instance
            self._valid_until = valid_until

    def release(self) -> None:
        """Hand out nothing until the next lease."""
        with self._lock:
            self._valid_until = 0.0

    def next(self) -> int:
        """A new id, greater than every earlier one of this generator.

        Raises:
            IdsUnavailable: no valid lease, or the clock stood or went back for too long.
        """
        give_up = self._clock() + self._patience
        while True:
            with self._lock:
                now = self._clock()
                if self._generator is None or now >= self._valid_until:
                    raise IdsUnavailable
                value: int | None = next(self._generator)
            if value is not None:
                return value
            if now >= give_up:
                raise IdsUnavailable("The system clock went back; no id can be made")
            time.sleep(0.0002)
