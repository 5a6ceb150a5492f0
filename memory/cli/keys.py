"""`pgtwind key`."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from core.settings import Settings
from core.telemetry import configure_logs
from memory.api_keys.errors import KeyCommandError
from memory.api_keys.models import ApiKey
from memory.api_keys.service import ApiKeyService, NewKey
from memory.caller import Scope
from memory.cli.session import say, service_session
from memory.inputs import Uid
from memory.runtime import make_ready, server

T = TypeVar("T")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)


@app.command("create")
def create(
    uid: Annotated[str | None, typer.Option(help="The uid that the key acts for.")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; give it again for more.")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="A space it is a member of; * stands for all.")
    ] = None,
    app_id: Annotated[
        str | None, typer.Option("--app", help="The application it belongs to.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name, for `pgtwind key list`.")] = "",
    expires_in: Annotated[
        str | None, typer.Option(help="How long it works: 90s, 30m, 12h, 30d.")
    ] = None,
) -> None:
    """Make a key and print it; it can't be shown again."""
    wanted = NewKey(
        uid=_checked_uid(uid),
        scopes=frozenset(scope or ()),
        spaces=frozenset(space or ()),
        app_id=_checked_app(app_id),
        name=name[:64],
        expires_in=_duration(expires_in) if expires_in else None,
    )
    _, token = _with_keys(lambda keys: keys.create(wanted))
    say(token)


@app.command("list")
def list_keys() -> None:
    """List the keys; their secrets are not kept."""
    for key in _with_keys(lambda keys: keys.all()):
        say(_row(key))


@app.command("revoke")
def revoke(prefix: Annotated[str, typer.Argument(help="The key, or its first part.")]) -> None:
    """End a key at once."""
    key = _with_keys(lambda keys: keys.revoke(prefix))
    say(f"revoked pgt_{key.prefix}")


@app.command("rotate")
def rotate(
    prefix: Annotated[str, typer.Argument(help="The key, or its first part.")],
    overlap: Annotated[str, typer.Option(help="How long the old key still works.")] = "24h",
) -> None:
    """Make a key with the same rights and print it; the old one ends a while later."""
    _, token = _with_keys(lambda keys: keys.rotate(prefix, _duration(overlap)))
    say(token)


def _with_keys(work: Callable[[ApiKeyService], Awaitable[T]]) -> T:
    settings = Settings.load()
    configure_logs(settings)

    async def run(ready: Settings) -> T:
        await make_ready(ready, _quiet)
        async with service_session(ready) as (services, session):
            return await work(services.api_keys(session))

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
        raise KeyCommandError(f"--uid: {error.errors()[0]['msg']}") from None


def _checked_app(app_id: str | None) -> str | None:
    # A row belongs to '{app}:{uid}'; with a colon in it, one app could pass for another.
    if app_id is not None and (":" in app_id or not 0 < len(app_id) <= 64):
        raise KeyCommandError("--app: 1 to 64 characters, no colon")
    return app_id
