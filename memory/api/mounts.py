"""The two faces of one API, and all that differs between them."""

from contextvars import ContextVar
from enum import StrEnum


class Mount(StrEnum):
    """`/v1` speaks HTTP: statuses, strict fields, keys. The drop-in mount speaks as the clients
    of its predecessor expect: always HTTP 200, the code in the envelope, unknown fields
    ignored, nothing in it that they do not know, callers vouched for by a gateway.
    """

    V1 = "/v1"
    DROP_IN = "/xingchen-db/v1"

    @classmethod
    def of(cls, path: str) -> "Mount":
        drop_in = path == cls.DROP_IN or path.startswith(f"{cls.DROP_IN}/")
        return cls.DROP_IN if drop_in else cls.V1


_mount: ContextVar[Mount] = ContextVar("mount", default=Mount.V1)


def enter(mount: Mount) -> None:
    """Set the mount of the request that this task answers."""
    _mount.set(mount)


def current() -> Mount:
    return _mount.get()


def is_drop_in() -> bool:
    return _mount.get() is Mount.DROP_IN
