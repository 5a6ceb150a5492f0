"""What workers tell each other, so that they may keep what they know."""

from collections.abc import Mapping
from typing import Protocol

from core.postgres.notices import Listener

# As the triggers of the control schema have it; a notice is a kind and the key of what changed.
CHANNEL = "pgtwin_changes"


class Hearing(Protocol):
    """A cache that forgets what changes."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def forget_named(self, key: str) -> None: ...


async def hear_of_changes(dsn: str, caches: Mapping[str, Hearing]) -> None:
    """Let caches keep what they know for as long as the worker hears of changes.

    Args:
        caches: by the kind of what they keep, as it stands in a notice.
    """

    def heard(notice: str) -> None:
        kind, _, key = notice.partition(" ")
        if kind in caches:
            caches[kind].forget_named(key)

    def ready() -> None:
        for cache in caches.values():
            cache.open()

    def lost() -> None:
        for cache in caches.values():
            cache.close()

    await Listener(dsn, CHANNEL, heard=heard, ready=ready, lost=lost).keep()
