"""A service for the length of a run, shared by all processes that run its tests.

The first process that needs it starts a guard, which starts the service. Each process that uses it
holds a shared lock; the guard ends the service when nobody holds one any more, so that it ends with
the run in whatever way that ends. Databases stay in the folder for the next run.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pgtwin.cli.dev import UID
from pgtwin.testing.service import Service, ServiceMissing

USERS, START, STATE, LOG = "users.lock", "start.lock", "state.json", "service.log"
LOOK_SECONDS = 0.05


class EmbeddedService:
    """
    Args:
        folder: of the databases and runs.
        run: a name that all processes of the run know.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = folder / "runs" / run
        self._users: IO[str] | None = None

    def attach(self) -> Service:
        """Use the service; it is started where nobody has.

        Raises:
            ServiceMissing: it can't be started.
        """
        try:
            self._make_folders()
            self._users = (self._run / USERS).open("a")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            with _locked(self._run / START):
                if not (self._run / STATE).exists():
                    self._start()
                state = json.loads((self._run / STATE).read_text())
        except OSError as error:
            raise ServiceMissing(f"no service can be started in {self._folder}: {error}") from error
        return Service(state["url"], state["key"], UID, self._folder / "data")

    def detach(self) -> None:
        """Use it no more."""
        if self._users is not None:
            self._users.close()
            self._users = None

    def _make_folders(self) -> None:
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Under root the server's user has to pass through.
            self._folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _start(self) -> None:
        command = [sys.executable, "-P", "-m", "pgtwin.testing.guard"]
        with (self._run / LOG).open("w") as log:
            guard = subprocess.Popen(
                [*command, self._folder / "data", self._run],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests.
                start_new_session=True,
            )
        while not (self._run / STATE).exists():
            if guard.poll() is not None:
                said = (self._run / LOG).read_text().strip().splitlines()
                why = said[-1] if said else f"exit code {guard.returncode}"
                raise ServiceMissing(f"no pgtwin for these tests: {why}")
            time.sleep(LOOK_SECONDS)
        # It outlives this process; Python need not warn that nobody waits for it.
        guard.returncode = 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
