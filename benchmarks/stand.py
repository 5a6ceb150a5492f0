"""What the benchmarks run on: an embedded PostgreSQL and processes that serve over it."""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import Database, create_engine
from core.postgres.preparation import prepare
from core.settings import Settings
from memory.api_keys.service import NewKey
from memory.caller import Scope
from memory.cli.session import open_services
from memory.control_schema import migrate

SECRET = "the-secret-of-a-benchmark-and-nothing-else"  # noqa: S105
START_SECONDS = 30.0
Measure = Callable[[Settings, str, argparse.Namespace], Awaitable[dict[str, Any]]]


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL 18 as it comes, fsync on; gives an administrator's URL of `pgtwin`."""
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-bench-"))
    folder.chmod(0o711)
    try:
        with EmbeddedServer(folder) as server:
            yield server.superuser_url.rpartition("/")[0] + "/pgtwin"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def prepared(admin_url: str) -> Settings:
    """Settings of a service on the server, prepared and migrated."""
    urls = await prepare(admin_url, SECRET, log=lambda _line: None)
    settings = Settings(
        DATABASE_URL=SecretStr(urls.control_url),
        owner_url=SecretStr(urls.owner_url),
        master_secret=SecretStr(SECRET),
        statement_timeout=600,
    )
    engine = create_engine(urls.owner_url, settings, pooled=False)
    await migrate(engine)
    await engine.dispose()
    return settings


def control(settings: Settings) -> Database:
    return Database(create_engine(settings.dsn or "", settings))


async def admin_key(settings: Settings) -> str:
    async with open_services(settings) as services:
        wanted = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}), name="benchmark")
        _, token = await services.database.transaction(
            lambda session: services.api_keys(session).create(wanted)
        )
    return token


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that serves; gives it and its URL. `{port}` in the arguments is a free port."""
    port = _free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    child = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, child)
        yield child, f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(START_SECONDS)


def serving(settings: Settings, workers: int = 1) -> dict[str, str]:
    """The environment of a service with the settings."""
    owner = settings.owner_url.get_secret_value() if settings.owner_url else ""
    return {
        "DATABASE_URL": settings.dsn or "",
        "PGTWIN_OWNER_URL": owner,
        "PGTWIN_MASTER_SECRET": SECRET,
        "PGTWIN_WORKERS": str(workers),
        "PGTWIN_LOG_LEVEL": "info",
        "PGTWIN_LOG_FORMAT": "json",
    }


def resident_megabytes(pid: int) -> float:
    """The memory of a process, the part that it has for itself or shares, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{child.args!r} does not serve")


def report(
    parser: argparse.ArgumentParser,
    results: Path,
    run: Measure,
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Measure on a server of its own; show what was found, and keep it as JSON.

    Args:
        parser: with the benchmark's own options.
        results: where it is kept, unless `--json` says otherwise.
        run: gets the settings of a service, an administrator's URL and the options.
    """
    parser.add_argument("--json", type=Path, default=results)
    options = parser.parse_args()

    async def work(admin_url: str) -> dict[str, Any]:
        return await run(await prepared(admin_url), admin_url, options)

    with postgres() as admin_url:
        result = uvloop.run(work(admin_url))
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    show(result)
