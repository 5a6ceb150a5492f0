"""`pgtwind serve`."""

import asyncio
import os
import signal
import socket
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from core.postgres.startup import StartupError
from core.settings import Settings, without_password
from core.telemetry import configure_logs
from memory.app import create_app
from memory.cli.session import say, service_session
from memory.runtime import make_ready, server


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
) -> None:
    """Serve the API, with the embedded PostgreSQL unless DATABASE_URL names another."""
    given = {"host": host, "port": port, "workers": workers}
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    configure_logs(settings)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _serve(settings)
    except KeyboardInterrupt:
        say("stopped")


def _serve(settings: Settings) -> None:
    listener = _listen(settings)
    with server(settings, say) as ready:
        asyncio.run(make_ready(ready, say))
        key = asyncio.run(_first_key(ready))
        banner = _banner(settings, ready, listener.getsockname()[1], key)
        if ready.workers == 1:
            _Server(_config(create_app(ready)), banner).run(sockets=[listener])
            return
        os.environ.update(_environment(ready))
        config = _config("memory.app:from_environment", factory=True, workers=ready.workers)
        say(banner)
        Multiprocess(config, sockets=[listener]).run()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the service as Ctrl-C does, its PostgreSQL included."""
    raise KeyboardInterrupt


def _listen(settings: Settings) -> socket.socket:
    """The bound socket; it accepts nothing before the service is ready."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise StartupError(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "stop what listens there, or set PGTWIN_PORT"
        ) from error
    listener.set_inheritable(True)
    return listener


async def _first_key(settings: Settings) -> str | None:
    async with service_session(settings) as (services, session):
        return await services.api_keys(session).bootstrap()


def _config(app: Any, **options: Any) -> uvicorn.Config:
    # Behind a gateway its address counts, not what a client writes into X-Forwarded-For.
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=30,
        **options,
    )


class _Server(uvicorn.Server):
    """Says that it is ready when it is."""

    def __init__(self, config: uvicorn.Config, banner: str) -> None:
        super().__init__(config)
        self._banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say(self._banner)


def _environment(settings: Settings) -> dict[str, str]:
    """What worker processes need to find the prepared server."""
    secret = settings.master_secret
    return {
        "DATABASE_URL": settings.dsn or "",
        "PGTWIN_MASTER_SECRET": secret.get_secret_value() if secret else "",
    }


def _banner(settings: Settings, ready: Settings, port: int, key: str | None) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    lines = [
        f"pgtwin {version('pgtwin-server')} is ready",
        "",
        f"  API    {url}/v1",
        f"  Docs   {url}/docs",
        f"  Data   {_where(settings, ready)}",
    ]
    if key:
        lines += [
            "",
            "  The administrator's key, shown this once; for the examples of the README:",
            f"  export PGTWIN_URL={url} PGTWIN_KEY={key}",
        ]
    return "\n".join([*lines, "", "  Ctrl-C stops the service."])


def _where(settings: Settings, ready: Settings) -> str:
    shown = without_password(ready.dsn or "")
    return f"{settings.data_dir} ({shown})" if settings.dsn is None else shown
