"""`pgtwind key`."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from core.settings import Settings
from core.telemetry import configure_logs
from memory.api.errors import explain
from memory.api_keys.errors import KeyCommandError
from memory.api_keys.models import ApiKey
from memory.api_keys.service import ApiKeyService, NewKey
from memory.caller import APP_ID_TEXT, USUAL, Scope, is_app_id
from memory.cli.session import open_services, say
from memory.inputs import Uid
from memory.runtime import make_ready, server

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def create(
    *,
    uid: str | None,
    scopes: Sequence[Scope],
    spaces: Sequence[str],
    app_id: str | None,
    name: str,
    expires_in: str | None,
) -> None:
    default = USUAL if uid is not None else {Scope.SQL_DML} if app_id is not None else ()
    lasting = _duration(expires_in) if expires_in else None
    if lasting == timedelta(0):
        raise KeyCommandError(f"--expires-in {expires_in}: the key would never work")
    wanted = NewKey(
        uid=_checked_uid(uid),
        scopes=frozenset(scopes or default),
        spaces=frozenset(spaces),
        app_id=_checked_app(app_id),
        name=name[:64],
        expires_in=lasting,
    )
    _, token = _with_keys(lambda keys: keys.create(wanted))
    say(token)


def show_all() -> None:
    for key in _with_keys(lambda keys: keys.all()):
        say(_row(key))


def revoke(prefix: str) -> None:
    key = _with_keys(lambda keys: keys.revoke(prefix))
    say(f"revoked pgt_{key.prefix}")


def rotate(prefix: str, overlap: str) -> None:
    lasting = _duration(overlap)
    _, token = _with_keys(lambda keys: keys.rotate(prefix, lasting))
    say(token)


def _with_keys(work: Callable[[ApiKeyService], Awaitable[T]]) -> T:
    settings = Settings.load()
    configure_logs(settings)

    async def run(ready: Settings) -> T:
        await make_ready(ready, _quiet)
        async with open_services(ready) as services:
            return await services.database.transaction(
                lambda session: work(services.api_keys(session))
            )

    with server(settings, _quiet) as ready:
        return asyncio.run(run(ready))


def _quiet(_line: str) -> None:
    """Standard output is the key's alone."""


def _row(key: ApiKey) -> str:
    state = "revoked" if key.revoked_at else f"expires {key.expires_at or 'never'}"
    owner = key.uid or "any uid"
    spaces = f" spaces={','.join(key.spaces)}" if key.spaces else ""
    used = key.last_used_at or "never"
    name = f" {key.name!r}" if key.name else ""
    return f"pgt_{key.prefix}{name} {owner} {','.join(key.scopes)}{spaces}, {state}, used {used}"


def _duration(value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if not found:
        raise KeyCommandError(f"{value}: not a duration; write 90s, 30m, 12h or 30d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _checked_uid(uid: str | None) -> str | None:
    if uid is None:
        return None
    try:
        return TypeAdapter[str](Uid).validate_python(uid)
    except ValidationError as error:
        raise KeyCommandError(f"--uid: {explain(error.errors()[0])}") from None


def _checked_app(app_id: str | None) -> str | None:
    if app_id is not None and not is_app_id(app_id):
        raise KeyCommandError(f"--app: {APP_ID_TEXT}")
    return app_id
