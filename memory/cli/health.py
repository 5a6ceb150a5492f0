"""`pgtwind health`."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from core.postgres.startup import StartupError
from core.settings import Settings
from memory.cli.session import say

PATH = "/readyz"
PATIENCE = 5.0
# Where a service that listens on all addresses is reached from its own machine.
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def ask(url: str | None) -> None:
    """Say that the service is ready.

    Args:
        url: `http://HOST:PORT` or https; None: where the settings let `serve` listen.

    Raises:
        StartupError: it is not, or does not answer within 5 s.
    """
    address = (url or _own_address(Settings.load())).rstrip("/")
    try:
        status, body = _get(address)
    except (OSError, HTTPException, ValueError) as error:
        raise StartupError(f"{address} does not answer: {error or repr(error)}") from None
    if status != 200:
        raise StartupError(f"{address} is not ready ({status}): {' '.join(body.split())[:200]}")
    say(f"{address} is ready")


def _own_address(settings: Settings) -> str:
    host = _LOCAL.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _get(address: str) -> tuple[int, str]:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give http://HOST:PORT")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", parts.path + PATH)
        response = connection.getresponse()
        return response.status, response.read(1000).decode(errors="replace")
    finally:
        connection.close()
