"""Locks between processes that the kernel gives back when their holder dies."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

RETRY_SECONDS = 0.02


class FileLock:
    """A flock on an open file of its own, so two of them in one process count as two holders."""

    def __init__(self, path: Path) -> None:
        # NOFOLLOW: root may be working in a folder that another user can write to.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)

    def fileno(self) -> int:
        return self._descriptor

    def try_acquire(self, *, shared: bool = False) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self, deadline: float, pause: Callable[[float], None] = time.sleep) -> bool:
        """Wait for the exclusive lock until `deadline` (monotonic seconds); False: not obtained."""
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                return False
            pause(RETRY_SECONDS)
        return True

    def release(self) -> None:
        # Closing alone would leave the lock to a child that was forked meanwhile.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Close our side only: a process that inherited the file keeps the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
