import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from core.errors import AppError

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Turns of a worker's long work, so that no database takes all of them.

    Args:
        busy: what is raised where there is no turn in time.
        at_once: how many there are.
        each: how many of them go to one key.
    """

    def __init__(self, busy: type[AppError], *, at_once: int, each: int) -> None:
        self._busy, self._most_each = busy, each
        self._all = asyncio.Semaphore(at_once)
        self._each: WeakValueDictionary[K, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, key: K, patience: float) -> AsyncIterator[None]:
        """
        Args:
            patience: seconds to wait.

        Raises:
            AppError: there was none in time.
        """
        own = self._each.setdefault(key, asyncio.Semaphore(self._most_each))
        try:
            async with asyncio.timeout(patience):
                await own.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError:
            raise self._busy from None
        try:
            yield
        finally:
            self._all.release()
            own.release()
