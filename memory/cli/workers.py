"""Worker processes: whether they have started, why one could not, and who takes its place."""

import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from socket import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from core.postgres.startup import StartupError
from core.telemetry import logger
from memory.cli.failures import in_one_line

# Between two starts of a worker that keeps ending: the first pause, doubled up to the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
# A worker that lasts this long has started well, and the next one need not wait.
CALM_SECONDS = 60.0
_LOOK_SECONDS = 0.05
# What a worker says fits into one write to the pipe, so that no two are ever mixed.
_LINE_LIMIT = 800

log = logger("pgtwin.workers")


def watched(
    app: FastAPI, started: Callable[[], None], failed: Callable[[Exception], None]
) -> FastAPI:
    """The application, which tells when it has started, or what kept it from that."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def telling(app: FastAPI) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(lifespan(app))
            except Exception as error:
                failed(error)
                raise
            started()
            yield state

    app.router.lifespan_context = telling
    return app


def silence_uvicorn() -> None:
    """Uvicorn would log as a traceback what is said in one line elsewhere."""
    logging.getLogger("uvicorn.error").disabled = True


@dataclass(frozen=True)
class WorkerApp:
    """Makes the application in a worker's process, and tells the service how it went."""

    make: Callable[[], FastAPI]
    reports: "Connection[Any, Any]"

    def __call__(self) -> FastAPI:
        try:
            return watched(self.make(), self._started, self._failed)
        except Exception as error:
            self._failed(error)
            if in_one_line(error) is None:
                raise
            sys.exit(STARTUP_FAILURE)

    def _started(self) -> None:
        self._report(None)

    def _failed(self, error: Exception) -> None:
        line = in_one_line(error)
        if line is not None:
            silence_uvicorn()
        self._report(line or f"a worker can't start: {error!r}")

    def _report(self, line: str | None) -> None:
        # A service that is gone asks nothing any more.
        with suppress(OSError):
            self.reports.send((os.getpid(), line and line[:_LINE_LIMIT]))


@dataclass
class _Place:
    """One of the workers, whichever process it is at the moment."""

    started: float = field(default_factory=time.monotonic)
    pause: float = 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.started + self.pause

    def take(self) -> None:
        calm = time.monotonic() - self.started >= CALM_SECONDS
        longer = max(FIRST_PAUSE_SECONDS, min(2 * self.pause, LONGEST_PAUSE_SECONDS))
        self.pause = 0.0 if calm else longer
        self.started = time.monotonic()


class Supervisor(Multiprocess):
    """Starts all workers or none, and replaces those that end later.

    Args:
        make: the application's factory, importable by its name.
        ready: called when all workers have started.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket],
        make: Callable[[], FastAPI],
        ready: Callable[[], None],
    ) -> None:
        self._heard, reports = Pipe(duplex=False)
        config.app, config.factory = WorkerApp(make, reports), True
        super().__init__(config, sockets)
        self._ready = ready
        self._started: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._ended: set[int] = set()
        self._places: defaultdict[int, _Place] = defaultdict(_Place)
        self._failure: str | None = None

    def run(self) -> None:
        """Serve until a signal.

        Raises:
            StartupError: one of the workers can't start, and why.
        """
        super().run()
        if self._failure is not None:
            raise StartupError(self._failure)

    def init_processes(self) -> None:
        """Start the workers and wait for them; one that can't start ends all."""
        super().init_processes()
        for index in range(len(self.processes)):
            self._places[index] = _Place()
        while not self.should_exit.wait(_LOOK_SECONDS):
            self.handle_signals()
            # Before its reason is heard, for it says that first and then ends.
            ended = [process for process in self.processes if process.exitcode is not None]
            self._hear()
            if ended or self._reasons:
                self._failure = self._why(ended)
                self.should_exit.set()
            elif all(process.pid in self._started for process in self.processes):
                self._ready()
                return

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have ended or hang, at growing intervals where it does not help.

        Uvicorn's own would end the service where a replacement can't start, be it for want of
        PostgreSQL, and take one that is slow to start for one that hangs.
        """
        if self.should_exit.is_set():
            return
        self._hear()
        for index, process in enumerate(self.processes):
            if self._lives(process):
                continue
            self._bury(process)
            place = self._places[index]
            if place.is_due:
                place.take()
                self._ended.discard(process.pid or 0)
                self.processes[index] = Process(self.config, self.sockets)
                self.processes[index].start()

    def _lives(self, process: Process) -> bool:
        if process.pid not in self._started:
            return process.exitcode is None
        return process.is_alive(timeout=self.config.timeout_worker_healthcheck)

    def _bury(self, process: Process) -> None:
        pid = process.pid or 0
        if pid in self._ended:
            return
        process.kill()
        process.join()
        self._hear()
        self._ended.add(pid)
        self._started.discard(pid)
        cause = self._reasons.pop(pid, None)
        log.warning("a worker ended", pid=pid, exit_code=process.exitcode, cause=cause)

    def _hear(self) -> None:
        while self._heard.poll():
            pid, line = self._heard.recv()
            if line is None:
                self._started.add(pid)
            else:
                self._reasons[pid] = line

    def _why(self, ended: list[Process]) -> str:
        if self._reasons:
            return next(iter(self._reasons.values()))
        return f"a worker ended before it could serve, with exit code {ended[0].exitcode}"
