"""Where the service of a test run is."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pgtwin._wire import DEFAULT_URL

MISSING = (
    "there is no pgtwin service for these tests: set PGTWIN_URL and PGTWIN_KEY, "
    "or install pgtwin-server, which brings pgtwind"
)


class ServiceMissing(Exception):
    """There is no service to run tests with; the message is one line."""


@dataclass(frozen=True)
class Service:
    """A service, and a key of a uid that may make databases and connections.

    Attributes:
        uid: for whom databases are made; None: that of PGTWIN_UID, or whom the key belongs to.
        data: the folder of its databases, where it was started for the tests.
    """

    url: str
    key: str = field(repr=False)
    uid: str | None = None
    data: Path | None = None

    def way_to_look(self, database_id: int) -> str:
        """The command that opens one of its databases after the run."""
        psql = f"pgtwin psql {database_id}"
        # What was started for the run ends with it; its databases stay.
        return psql if self.data is None else f"pgtwin dev --data {self.data} -- {psql}"


def given(url: str | None) -> Service | None:
    """The service that the user named.

    Args:
        url: of `--pgtwin-url`.

    Raises:
        ServiceMissing: it is named without a key.
    """
    address = url or os.environ.get("PGTWIN_URL")
    key = os.environ.get("PGTWIN_KEY")
    if not address and not key:
        return None
    if not key:
        raise ServiceMissing(f"PGTWIN_KEY is not set, for the pgtwin service at {address}")
    return Service((address or DEFAULT_URL).rstrip("/"), key)


def default_folder() -> Path:
    """Where databases of tests are kept between runs, on this machine."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Root's home can't be entered by the unprivileged user that PostgreSQL runs as.
        return Path("/var/cache/pgtwin-tests")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pgtwin-tests"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgtwin-tests"
