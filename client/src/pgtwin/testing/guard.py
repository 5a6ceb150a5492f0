"""Starts a service for a test run, and ends it when the run is over.

python -m pgtwin.testing.guard DATA_FOLDER RUN_FOLDER
"""

import fcntl
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO

from pgtwin.cli.dev import CROWDED, service, write_privately
from pgtwin.cli.session import Refused
from pgtwin.testing.embedded import LOG, STATE, USERS

LOOK_SECONDS, DAY = 0.1, 86_400.0
SETTINGS = {**CROWDED, "PGTWIN_LOG_LEVEL": "warning"}


def guard(data: Path, run: Path) -> None:
    """Serve until nobody uses the run's service any more.

    Raises:
        Refused: the service does not start.
    """
    state = run / STATE
    with (run / USERS).open("a") as users:
        key_file = data / "dev.key"
        with service(0, str(data), key_file=key_file, settings=SETTINGS) as started:
            try:
                write_privately(state, json.dumps({"url": started.url, "key": started.key}))
                _remove_old(run)
                while started.process.poll() is None and not _is_free(users):
                    time.sleep(LOOK_SECONDS)
            finally:
                # Whoever comes now waits for the lock, and then starts another service.
                state.unlink(missing_ok=True)
                fcntl.flock(users, fcntl.LOCK_UN)


def _is_free(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_old(run: Path) -> None:
    """Folders of runs that have ended long ago."""
    for each in run.parent.iterdir():
        with (each / USERS).open("a") as users:
            if time.time() - (each / LOG).stat().st_mtime > DAY and _is_free(users):
                shutil.rmtree(each)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        guard(Path(sys.argv[1]), Path(sys.argv[2]))
    except Refused as error:
        sys.exit(str(error))
