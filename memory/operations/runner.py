"""Runs operations, keeps their lease, and takes over those of workers that died."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

from core.errors import AppError
from core.metrics import Metrics
from core.postgres.engine import Database
from core.telemetry import logger
from memory.operations.models import Operation
from memory.operations.repository import OperationRepository

if TYPE_CHECKING:
    from core.tracing import Tracing

AT_ONCE = 4
# Seconds from the commit of an operation to its start, at most. A caller who leaves between the two
# leaves nobody who would start it.
UNBEGUN_SECONDS = 5.0
log = logger("pgtwin.operations")


class Handler(Protocol):
    """One kind of operation; each method ends with the operation closed."""

    async def run(self, operation: Operation) -> None:
        """Do the work, for the first time.

        Raises:
            AppError: it failed, and what it had made is removed.
        """

    async def resume(self, operation: Operation) -> None:
        """Finish or remove what a worker left that died, at whichever point."""


class OperationRunner:
    """One a worker process.

    Args:
        lease: seconds without a heartbeat after which another worker takes an operation over.
        metrics: counts the work; None: nobody does.
        tracing: makes a span of it; None: no spans.
    """

    def __init__(
        self,
        database: Database,
        lease: float,
        metrics: Metrics | None = None,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._metrics = metrics
        self._tracing = tracing
        self._handlers: Mapping[str, Handler] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.worker = secrets.token_hex(16)

    def use(self, handlers: Mapping[str, Handler]) -> None:
        """The handlers by the operations' kinds; they need the runner's worker name."""
        self._handlers = handlers

    async def run(self, operation: Operation) -> None:
        """Run a committed operation to its end; a caller who goes away does not stop it.

        Raises:
            AppError: it failed.
        """
        await asyncio.shield(self._begun(operation))

    def begin(self, operation: Operation) -> None:
        """Run a committed operation to its end, while nobody waits for it."""
        self._begun(operation)

    @property
    def running(self) -> int:
        """How many operations this worker is at."""
        return len(self._running)

    async def sweep(self) -> int:
        """Take over what dead workers left, or nobody began, and bring it to its end.

        Returns:
            How many operations that were.
        """
        found = await self._database.transaction(
            lambda session: OperationRepository(session).take_over(
                self.worker,
                self._lease,
                AT_ONCE,
                running=list(self._running),
                unbegun_for=UNBEGUN_SECONDS,
            )
        )
        tasks = [
            self._start(operation, self._handlers[operation.kind].resume)
            for operation in found
            if operation.id not in self._running
        ]
        for operation, outcome in zip(
            found, await asyncio.gather(*tasks, return_exceptions=True), strict=False
        ):
            if outcome is not None:
                log.warning("an operation failed", operation=operation.id, cause=repr(outcome))
        return len(found)

    async def keep(self) -> None:
        """Beat and sweep until cancelled."""
        since = time.time()
        while True:
            try:
                await self._beat()
                # What has stopped this worker (a machine that slept, a clock that was set) has
                # stopped the others as well: before they are taken for dead they get the time of
                # a beat.
                if time.time() - since <= self._lease / 2:
                    await self.sweep()
            except AppError as error:
                log.warning("operations could not be looked after", cause=repr(error))
            since = time.time()
            await asyncio.sleep(self._lease / 4)

    async def beat_while_running(self) -> None:
        """Beat until cancelled, while a sweep may take long."""
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                await self._beat()
            except AppError as error:
                log.warning("the heartbeat failed", cause=repr(error))

    async def stop(self, patience: float) -> None:
        """Let running operations end, and leave the rest to whoever takes them over."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=patience)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begun(self, operation: Operation) -> asyncio.Task[None]:
        """Where a sweep came first, that is what goes on."""
        known = self._running.get(operation.id)
        return known or self._start(operation, self._handlers[operation.kind].run)

    def _start(
        self, operation: Operation, work: Callable[[Operation], Awaitable[None]]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(self._observed(operation, work))
        self._running[operation.id] = task
        task.add_done_callback(lambda done: self._ended(operation.id, done))
        return task

    async def _observed(
        self, operation: Operation, work: Callable[[Operation], Awaitable[None]]
    ) -> None:
        kind, started, outcome = operation.kind, time.perf_counter(), "failed"
        span = self._tracing.operation(kind, operation.id) if self._tracing else nullcontext()
        try:
            with span:
                await work(operation)
            outcome = "returned"
        except asyncio.CancelledError:
            outcome = "interrupted"
            raise
        finally:
            if self._metrics is not None:
                self._metrics.operation(kind, outcome, time.perf_counter() - started)

    def _ended(self, operation_id: int, task: asyncio.Task[None]) -> None:
        del self._running[operation_id]
        # Whoever waited has the exception; without anybody waiting it must not be warned about.
        if not task.cancelled():
            task.exception()

    async def _beat(self) -> None:
        running = list(self._running)
        if running:
            await self._database.transaction(
                lambda session: OperationRepository(session).beat(running, self.worker)
            )
