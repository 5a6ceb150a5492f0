"""A bounded cache of what PostgreSQL was asked, for as long as its changes are heard of."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from core.metrics import Metrics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Holds the most recently used values, in one event loop.

    What is looked up while a change is heard of may be older than the change; so a value counts
    only together with the `version` that was read before the look-up began.

    Args:
        name: the value of the metrics' label `cache`.
        limit: how many values it holds.
        is_open: whether it may be used from the start; see `open` and `close`.
    """

    def __init__(
        self, name: str, limit: int, metrics: Metrics | None, *, is_open: bool = True
    ) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._limit = limit
        self._is_open = is_open
        self._meter = metrics.cache(name, lambda: len(self._values)) if metrics else None
        self.version = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        if self._meter is not None:
            (self._meter.miss if value is None else self._meter.hit)()
        return value

    def put(self, key: K, value: V, version: int) -> None:
        """Keep a value.

        Args:
            version: as it was before the value was looked up.
        """
        if not self._is_open or version != self.version:
            return
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Let go of a value that has changed."""
        self.version += 1
        self._values.pop(key, None)

    def open(self) -> None:
        """Changes are heard of from now on."""
        self.close()
        self._is_open = True

    def close(self) -> None:
        """Changes may be missed from now on: nothing is kept."""
        self.version += 1
        self._is_open = False
        self._values.clear()
