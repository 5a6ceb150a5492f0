"""`pgtwind serve`."""

import asyncio
import gc
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from core.metrics import SHARED_FOLDER
from core.postgres.startup import StartupError
from core.settings import Settings, without_password
from core.telemetry import configure_logs
from memory.app import create_app
from memory.cli.one_write import OneWriteProtocol
from memory.cli.session import open_services, say
from memory.cli.workers import Supervisor, silence_uvicorn, watched
from memory.runtime import make_ready, server

# Clients give idle connections up first (httpx after 5 s, many gateways after 60 s): a request on
# one that the service is just closing would be lost, and nobody knows whether it has happened.
KEEP_ALIVE_SECONDS = 75
# How a worker learns that PostgreSQL is the embedded one, and where.
EMBEDDED_IN = "PGTWIN_EMBEDDED_IN"
# The packages of the extra otel.
TRACING = ("opentelemetry.sdk", "opentelemetry.exporter")


def serve(*, until_eof: bool = False, **overrides: Any) -> None:
    """Serve until interrupted.

    Args:
        until_eof: or until standard input ends.
        overrides: settings by their field names, before those of the environment.
    """
    settings = Settings.load(**overrides)
    configure_logs(settings)
    signal.signal(signal.SIGTERM, _interrupt)
    if until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        _serve(settings)
    except KeyboardInterrupt:
        say("stopped")


def _serve(settings: Settings) -> None:
    if settings.otlp_endpoint and not all(map(find_spec, TRACING)):
        raise StartupError(
            "PGTWIN_OTLP_ENDPOINT needs the extra otel: pip install 'pgtwin-server[otel]'"
        )
    listener = _listen(settings)
    embedded_in = settings.data_dir if settings.dsn is None else None
    with server(settings, say) as ready:
        asyncio.run(make_ready(ready, say))
        key = asyncio.run(_first_key(ready))
        banner = _banner(settings, ready, listener.getsockname()[1], key)
        if ready.workers == 1:
            _serve_alone(_app(ready, embedded_in), listener, banner)
            return
        os.environ.update(_environment(ready, embedded_in))
        with _shared_counts():
            config = _config(None, workers=ready.workers)
            Supervisor(config, [listener], worker, lambda: say(banner)).run()


def _serve_alone(app: FastAPI, listener: socket.socket, banner: str) -> None:
    """Serve in this process; what keeps the application from starting is raised as it is."""
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        silence_uvicorn()
        failures.append(error)

    config = _config(watched(app, lambda: None, failed))
    try:
        _Server(config, banner).run(sockets=[listener])
    except SystemExit:
        for error in failures:
            raise error from error.__cause__
        raise


@contextmanager
def _shared_counts() -> Iterator[None]:
    """A folder, empty at first, in which the workers count together."""
    with tempfile.TemporaryDirectory(prefix="pgtwin-metrics-", ignore_cleanup_errors=True) as made:
        os.environ[SHARED_FOLDER] = made
        yield


def worker() -> FastAPI:
    """The application of a worker process, whose environment names the prepared server."""
    settings = Settings.load()
    configure_logs(settings)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    embedded_in = os.environ.get(EMBEDDED_IN)
    return _app(settings, Path(embedded_in) if embedded_in else None)


def _app(settings: Settings, embedded_in: Path | None) -> FastAPI:
    """The application, in a process that has nothing else to do.

    What it is made of stays until the end: the garbage collector need not go through it again
    and again, nor come after every few requests.
    """
    app = create_app(settings, embedded_in)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    return app


def _end_with_input() -> None:
    """Whoever holds the other end of a pipe lets it go in whatever way they end."""
    # Not Python's own stream: a thread that waits in it keeps the interpreter from ending.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_parent() -> None:
    """A worker whose service was killed would keep the port, and nobody would stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # What the service would have removed.
        shutil.rmtree(os.environ[SHARED_FOLDER], ignore_errors=True)
        os.kill(os.getpid(), signal.SIGTERM)


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
    async with open_services(settings) as services:
        return await services.database.transaction(
            lambda session: services.api_keys(session).bootstrap()
        )


def _config(app: Any, **options: Any) -> uvicorn.Config:
    # Behind a gateway its address counts, not what a client writes into X-Forwarded-For.
    return uvicorn.Config(
        app,
        http=OneWriteProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=30,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
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


def _environment(settings: Settings, embedded_in: Path | None) -> dict[str, str]:
    """What worker processes need to find the prepared server, and options of the command."""
    secret = settings.master_secret
    return {
        "DATABASE_URL": settings.dsn or "",
        "PGTWIN_MASTER_SECRET": secret.get_secret_value() if secret else "",
        "PGTWIN_HOST": settings.host,
        EMBEDDED_IN: str(embedded_in or ""),
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
    else:
        lines += ["  Keys   pgtwind key create --uid UID, or --scope admin"]
    return "\n".join([*lines, "", "  Ctrl-C stops the service."])


def _where(settings: Settings, ready: Settings) -> str:
    shown = without_password(ready.dsn or "")
    return f"{settings.data_dir} ({shown})" if settings.dsn is None else shown
