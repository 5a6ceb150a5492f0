"""Worker processes: a service begins with all of them, or not at all.

Every worker imports this before it can answer its supervisor, so the application is not here.
"""

import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from core.telemetry import logger

if TYPE_CHECKING:
    from fastapi import FastAPI

# How long a signal may wait while the workers start.
_TICK_SECONDS = 0.2
# What a worker tells when it answers; all else is why it does not.
_STARTED = ""

log = logger("pgtwin.workers")


def keep_failure(app: "FastAPI") -> None:
    """Keep what ends the application's start for `Server`; uvicorn logs it and forgets it."""
    begin = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: "FastAPI") -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(begin(app))
            except Exception as error:
                app.state.failure = error
                logging.getLogger("uvicorn.error").disabled = True
                raise
            yield state

    app.router.lifespan_context = lifespan


class Server(uvicorn.Server):
    """Tells when it answers, and raises what kept the application from starting."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        except SystemExit:
            app: Any = self.config.loaded_app if self.config.loaded else None
            failure = getattr(app.state, "failure", None) if app else None
            if failure is None:
                raise
            raise failure from None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()


class Worker(Process):
    """A process that tells its supervisor once that it answers, or why it does not."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.told, self._teller = get_context("spawn").Pipe(duplex=False)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config, lambda: self._teller.send(_STARTED))
        return self._server

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        # Made before the thread that answers the supervisor asks for it.
        server = self.server
        try:
            super().target(sockets)
        except Exception as error:
            if server.started:
                raise
            _forget_counts()
            self._teller.send(_reason(error))
            sys.exit(STARTUP_FAILURE)

    def answer(self) -> str | None:
        """What it told, or how it ended without a word; None: nothing yet."""
        ended = not self.process.is_alive()
        if self.told.poll():
            return str(self.told.recv())
        if not ended:
            return None
        code = self.process.exitcode or 0
        return f"it ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"


def _forget_counts() -> None:
    """Who never served has none, and its files would pile up while it is tried again."""
    from core.metrics import SHARED_FOLDER

    for file in Path(os.environ[SHARED_FOLDER]).glob(f"*_{os.getpid()}.db"):
        file.unlink()


def _reason(error: Exception) -> str:
    from memory.cli.failures import in_one_line

    line = in_one_line(error)
    if line is None:
        traceback.print_exception(error)
        line = f"{type(error).__name__}: {error}"
    return " ".join(line.split())


class Workers(Multiprocess):
    """Starts the workers, says so when all answer, and replaces those that end later.

    Attributes:
        failure: why a worker did not start at the beginning; the service has stopped then.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], ready: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self.failure: str | None = None
        self._ready = ready

    def init_processes(self) -> None:
        for _ in range(self.processes_num):
            self.processes.append(self._begun())
        if self._all_started():
            self._ready()

    def keep_subprocess_alive(self) -> None:
        """Replace who ended or hangs; who can't start is tried again, for the others still serve.

        uvicorn would stop the service: for a worker that is lost while PostgreSQL restarts.
        """
        for at, worker in enumerate(self.processes):
            if worker.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            worker.kill()
            worker.join()
            cause = worker.answer() if isinstance(worker, Worker) else None
            log.warning("a worker ended and is replaced", cause=cause or f"exit {worker.exitcode}")
            self.processes[at] = self._begun()

    def _begun(self) -> Worker:
        worker = Worker(self.config, self.sockets)
        worker.start()
        return worker

    def _all_started(self) -> bool:
        waiting = {worker for worker in self.processes if isinstance(worker, Worker)}
        while waiting:
            wait(
                [end for each in waiting for end in (each.told, each.process.sentinel)],
                _TICK_SECONDS,
            )
            if {signal.SIGINT, signal.SIGTERM} & set(self.signal_queue):
                self.should_exit.set()
                return False
            for worker in list(waiting):
                answer = worker.answer()
                if answer == _STARTED:
                    waiting.remove(worker)
                elif answer is not None:
                    self.failure = answer
                    self.should_exit.set()
                    return False
        return True
