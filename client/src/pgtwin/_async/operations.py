import time
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from pgtwin import errors, models
from pgtwin._async.calls import Calls
from pgtwin._waiting import async_sleep

Progress: TypeAlias = Callable[[models.Operation], None]
# Seconds between two looks at an operation.
LOOK = 0.2


class OperationCalls(Calls):
    """Work that takes more than one transaction."""

    async def list_operations(
        self, *, state: str | None = None, page_size: int = 100
    ) -> AsyncIterator[models.Operation]:
        """The operations that the key's user started, the newest first.

        Args:
            state: None: in any.
        """
        query = {"state": state, "limit": page_size}
        async for found in self._pages("operations", "operations", query):
            yield models.Operation.of(found)

    async def get_operation(self, operation_id: int) -> models.Operation:
        return models.Operation.of(await self._transport.get(f"operations/{operation_id}"))

    async def wait_for_operation(
        self,
        operation_id: int,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> models.Operation:
        """Wait until an operation has ended, in whatever way.

        Args:
            timeout: seconds; None: for ever.
            progress: called with the operation at each look.

        Raises:
            OperationTimeout
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            operation = await self.get_operation(operation_id)
            if progress is not None:
                progress(operation)
            if operation.has_ended:
                return operation
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.OperationTimeout(
                    f"the operation {operation_id} was not done within {timeout} seconds"
                )
            await async_sleep(LOOK)
