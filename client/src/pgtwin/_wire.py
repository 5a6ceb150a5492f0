"""What both clients make of calls and answers."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from pgtwin import errors
from pgtwin._version import VERSION, is_compatible

DEFAULT_URL = "http://127.0.0.1:7990"
RETRIED = frozenset({502, 503, 504})
VERSION_HEADER = "pgtwin-version"


def address(url: str | None) -> str:
    """
    Raises:
        ValueError: it is none.
    """
    given = url or os.environ.get("PGTWIN_URL") or DEFAULT_URL
    try:
        parsed = httpx.URL(given)
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{given!r} is no address of a service: give it as http://host:port")
    return given.rstrip("/")


def headers(key: str | None) -> dict[str, str]:
    """
    Raises:
        ValueError: there is no key, or one that can't be sent.
    """
    token = key or os.environ.get("PGTWIN_KEY")
    if not token:
        raise ValueError("no API key: pass one, or set PGTWIN_KEY")
    if not (token.isascii() and token.isprintable()):
        raise ValueError("this is no API key: it has characters that none has")
    return {"Authorization": f"Bearer {token}", "User-Agent": f"pgtwin-python/{VERSION}"}


def body(**fields: Any) -> dict[str, Any]:
    """The fields that are given; times as ISO 8601."""
    return {
        name.rstrip("_"): value.isoformat() if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None
    }


def check_version(given: Mapping[str, str], url: str) -> None:
    """
    Raises:
        IncompatibleServer
    """
    server = given.get(VERSION_HEADER, "")
    if not server:
        raise errors.IncompatibleServer(f"{url} does not answer as a pgtwin server")
    if not is_compatible(server):
        raise errors.IncompatibleServer(
            f"{url} runs pgtwin {server}, this client is {VERSION}; install the one of that version"
        )


def target(path: str | Path) -> tuple[Path, Path]:
    """The file that is written, and the one that it is until it is whole.

    A pipe or a device is both, for a file that is renamed over it would take its place.
    """
    whole = Path(path).resolve()
    if whole.exists() and not whole.is_file():
        return whole, whole
    return whole, whole.with_name(f"{whole.name}.part")


def failure(status: int, content: bytes) -> errors.PgtwinError:
    """What an answer that is no success says."""
    try:
        envelope = json.loads(content)
        return errors.of(status, envelope)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = content[:200].decode(errors="replace").strip()
        return errors.ServiceError(text or f"HTTP status {status}", status=status)


def data_of(status: int, content: bytes) -> Any:
    """The data of a successful answer.

    Raises:
        PgtwinError: what it says instead.
    """
    if status != 200:
        raise failure(status, content)
    envelope = json.loads(content)
    if envelope.get("code") != 0:
        raise errors.of(status, envelope)
    return envelope.get("data")
