"""Client of pgtwin, a database-as-a-service in one PostgreSQL.

    import pgtwin

    with pgtwin.Client("http://127.0.0.1:7990", "pgt_...") as client:
        database = client.create_database("shop", ttl_seconds=600)
        client.exec_ddl(database.id, "CREATE TABLE item (name text)")
        client.exec_dml(database.id, "INSERT INTO item VALUES ($1)", params=["tea"])

`AsyncClient` has the same calls with `await`. Errors are in `pgtwin.errors`, one class for each
error of the service; all of them are a `PgtwinError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pgtwin import _version

if TYPE_CHECKING:
    from pgtwin._async.client import AsyncClient
    from pgtwin._retry import Retry
    from pgtwin._sync.client import Client
    from pgtwin.errors import PgtwinError

__all__ = ["AsyncClient", "Client", "PgtwinError", "Retry", "__version__"]
__version__ = _version.VERSION
_PLACES = {
    "AsyncClient": "pgtwin._async.client",
    "Client": "pgtwin._sync.client",
    "PgtwinError": "pgtwin.errors",
    "Retry": "pgtwin._retry",
}


def __getattr__(name: str) -> Any:
    # HTTP is imported with the first use of a client: a command line wants to start at once.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
