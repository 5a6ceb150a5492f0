import time
from dataclasses import dataclass

from core.cache import Cache
from core.metrics import Metrics
from memory.caller import Caller

LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that was found usable.

    Attributes:
        until: the monotonic clock's time at which it expires; None: it does not.
    """

    id: int
    secret_hash: bytes
    caller: Caller
    until: float | None


class KeyCache:
    """The keys that this worker knows, while it hears of changes to them; otherwise none."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._keys: Cache[str, KnownKey] = Cache("api_keys", LIMIT, metrics, is_open=False)
        self.open, self.close, self.put = self._keys.open, self._keys.close, self._keys.put
        self.forget_named = self._keys.forget

    @property
    def version(self) -> int:
        return self._keys.version

    def get(self, prefix: str) -> KnownKey | None:
        key = self._keys.get(prefix)
        if key is not None and key.until is not None and key.until <= time.monotonic():
            self._keys.forget(prefix)
            return None
        return key
