"""Call a real `pgtwind serve` for a while and see that nothing grows.

Run it with `make soak`. It starts a PostgreSQL and the service, both on loopback, lets clients
create, describe, list, modify, clone and drop databases, run SQL in them, make mistakes and change
their keys, and samples memory, file handles, connections, schemas and roles meanwhile. The run
after its warm-up is cut in three windows; the last is held against the first
(`verdict.Tolerance`).
Exits with 1 on an answer that was not expected, on growth beyond the tolerance, on schemas or
roles left behind, and when `pgtwind doctor` finds a problem.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
from pydantic import SecretStr

from benchmarks.load import SOURCE, Client, Keys, Record
from benchmarks.samples import MEGABYTE, Sample, Watcher, Window
from benchmarks.verdict import Tolerance, growth, left_behind, windows
from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import Database, create_engine
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url, prepare
from core.settings import Settings
from memory.api_keys.service import NewKey
from memory.caller import USUAL
from memory.control_schema import migrate
from memory.instances.service import InstanceLeases
from memory.services import Services

SECRET = "the-secret-of-a-benchmark-and-nothing-else"  # noqa: S105
PGTWIND = Path(sys.executable).with_name("pgtwind")
PATIENCE = 60.0
# Time for connections above the pool's size to close, for the last log lines, and for the reaper to
# purge what was dropped last.
REST = 8.0
_URL = re.compile(r"^  API +(http://127\.0\.0\.1:\d+)/v1$", re.M)


@dataclass(frozen=True, slots=True)
class Options:
    """What is run.

    Attributes:
        seconds: how long the clients call.
        pause: mean seconds between two rounds of a client's calls.
        interval: seconds between two samples.
    """

    seconds: float = 1800
    clients: int = 32
    workers: int = 1
    pause: float = 0.1
    interval: float = 3.0
    tolerance: Tolerance = field(default_factory=Tolerance)
    server_settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; `faults` is empty when all is well."""

    options: Options
    windows: list[Window]
    before: Sample
    after: Sample
    calls: int
    faults: list[str]

    def as_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


async def soak(options: Options, folder: Path, superuser_url: str) -> Report:
    """Run the service on an embedded server of its own and judge it.

    Args:
        folder: where the service runs and its output goes.
        superuser_url: of a server that nobody else uses.
    """
    admin_url = superuser_url.rpartition("/")[0] + "/pgtwin"
    settings = await _prepare(admin_url, options.workers)
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.dsn or "",
        "PGTWIN_MASTER_SECRET": SECRET,
        "PGTWIN_WORKERS": str(options.workers),
        # What is dropped is purged by the reaper, while the clients call and before the last look.
        "PGTWIN_DROP_RETENTION": "2",
    }
    connection = await asyncpg.connect(admin_url)
    try:
        with serving(folder, environment) as (url, group):
            watcher = Watcher(group, connection, options.interval)
            async with operator(settings) as keys:
                before = await watcher.look()
                record, start, end = await _call(options, url, keys, admin_url, watcher)
            await asyncio.sleep(REST)
            after = await watcher.look()
            pooled = options.workers * settings.pool_size
            faults = [*record.surprises, *left_behind(before, after, pooled, options.tolerance)]
            faults += await asyncio.to_thread(_doctor, folder, environment)
    finally:
        await connection.close()
    found = windows(start, end, watcher.samples, record.calls)
    faults += growth(found[0], found[-1], options.workers, options.tolerance)
    faults += _crashes(folder)
    return Report(options, found, before, after, len(record.calls), faults)


async def _prepare(admin_url: str, workers: int) -> Settings:
    prepared = await prepare(admin_url, SECRET, log=lambda _line: None)
    settings = Settings(
        DATABASE_URL=SecretStr(prepared.control_url),
        owner_url=SecretStr(prepared.owner_url),
        master_secret=SecretStr(SECRET),
        workers=workers,
    )
    engine = create_engine(prepared.owner_url, settings, pooled=False)
    try:
        await migrate(engine)
    finally:
        await engine.dispose()
    return settings


async def _call(
    options: Options, url: str, keys: Keys, admin_url: str, watcher: Watcher
) -> tuple[Record, float, float]:
    """Let the clients call; gives their record and the time of it."""
    record = Record()

    async def fill(uid: str, database: int) -> None:
        await _fill(admin_url, uid, database)

    async with AsyncExitStack() as stack:
        # A pool of their own each: httpx looks through all connections of a pool at every call.
        clients = [
            Client(
                await stack.enter_async_context(
                    httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False)
                ),
                keys,
                fill,
                record,
                number,
                options.pause,
            )
            for number in range(options.clients)
        ]
        start = time.monotonic()
        end = start + options.seconds
        watching = asyncio.create_task(watcher.watch())
        ended = await asyncio.gather(
            *(client.run(end) for client in clients), return_exceptions=True
        )
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    record.surprises += [f"a client ended early: {each!r}" for each in ended if each is not None]
    return record, start, end


async def _fill(admin_url: str, uid: str, database: int) -> None:
    login = RoleName.ddl(database).name
    connection = await asyncpg.connect(login_url(admin_url, login, derive(SECRET, login)))
    try:
        for environment in Environment:
            await connection.execute(
                f"SET ROLE {RoleName.owner(environment, database)};"
                f"SET search_path TO {SchemaName.of(environment, uid, database)};{SOURCE}"
            )
    finally:
        await connection.close()


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A real service on a free port; gives its address and its process group.

    Raises:
        RuntimeError: it did not start; with what it said.
    """
    output = folder / "output"
    with output.open("w") as out, (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [PGTWIND, "serve", "--port", "0"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not (found := _URL.search(output.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "errors").read_text() or "the service is mute")
            time.sleep(0.05)
        yield found[1], process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def operator(settings: Settings) -> AsyncIterator[Keys]:
    """Who makes and ends keys, beside the service and without it."""
    database = Database(create_engine(settings.dsn or "", settings, pooled=False))
    services = Services(settings, database, SECRET)
    leases = InstanceLeases(database, services.ids)
    await leases.acquire()
    keeper = asyncio.create_task(leases.keep())

    async def make(uid: str) -> str:
        wanted = NewKey(uid, USUAL)
        _, token = await database.transaction(
            lambda session: services.api_keys(session).create(wanted)
        )
        return token

    async def revoke(token: str) -> None:
        await database.transaction(lambda session: services.api_keys(session).revoke(token))

    try:
        yield Keys(make, revoke)
    finally:
        keeper.cancel()
        await leases.release()
        await database.close()


def _doctor(folder: Path, environment: dict[str, str]) -> list[str]:
    outcome = subprocess.run(
        [PGTWIND, "doctor", "--json"], cwd=folder, env=environment, capture_output=True, text=True
    )
    if not outcome.stdout:
        return [f"doctor failed: {outcome.stderr.strip()}"]
    return [
        f"doctor: {finding['subject']}: {finding['message']}"
        for finding in orjson.loads(outcome.stdout)
        if finding["level"] == "problem"
    ]


def _crashes(folder: Path) -> list[str]:
    """What the service itself took for its own fault."""
    lines = (folder / "errors").read_text().splitlines()
    return [
        f"log: {line[:500]}" for line in lines if '"level":"error"' in line or "Traceback" in line
    ]


def table(report: Report) -> Iterator[str]:
    """The first window after the warm-up beside the last, one line a figure."""
    first, last = report.windows[0], report.windows[-1]
    yield f"{report.calls} calls; windows of {last.end - last.start:.0f} s, first and last:"
    rows: list[tuple[str, float, float]] = [
        ("memory of the service, MB", first.resident / MEGABYTE, last.resident / MEGABYTE),
        ("memory of PostgreSQL, MB", first.private / MEGABYTE, last.private / MEGABYTE),
        ("file handles", first.handles, last.handles),
        ("connections", first.connections, last.connections),
        ("schemas", first.schemas, last.schemas),
        ("roles", first.roles, last.roles),
    ]
    for name, was in first.latencies.items():
        if now := last.latencies.get(name):
            rows += [
                (f"{name}: calls", was.count, now.count),
                (f"{name}: p50, ms", was.p50 * 1000, now.p50 * 1000),
                (f"{name}: p95, ms", was.p95 * 1000, now.p95 * 1000),
                (f"{name}: p99, ms", was.p99 * 1000, now.p99 * 1000),
            ]
    for name, before, after in rows:
        yield f"  {name:<28} {before:>10.1f} {after:>10.1f}"


def run(options: Options) -> Report:
    """Start PostgreSQL in a folder of its own, soak, and remove both."""
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-soak-"))
    # Under root, PostgreSQL's unprivileged user must pass.
    folder.chmod(0o711)
    try:
        with EmbeddedServer(folder / "data", settings=options.server_settings) as server:
            return asyncio.run(soak(options, folder, server.superuser_url))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(arguments: list[str] | None = None) -> tuple[Options, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    given = parser.parse_args(arguments)
    return Options(given.minutes * 60, given.clients, given.workers), given.json


def main() -> int:
    options, file = _options()
    report = run(options)
    print("\n".join(table(report)))
    for fault in report.faults[:20]:
        print(f"FAULT  {fault}")
    if len(report.faults) > 20:
        print(f"FAULT  and {len(report.faults) - 20} more")
    if file is not None:
        file.write_bytes(report.as_json())
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
