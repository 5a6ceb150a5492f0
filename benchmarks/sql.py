"""SQL in a database against what FastAPI and asyncpg alone do with the same statements.

Three runners, in one run on one server: bare asyncpg, for DDL; a minimal FastAPI endpoint over
an asyncpg pool, a superuser's; and the service, with one worker and warm sessions. They run by
turns, so that all of them see the same machine, and the best of a runner's turns counts. `make
bench` prints the tables and keeps the figures in `benchmarks/results/sql.json`.
"""

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import api
from benchmarks.clients import Call, HttpClients, measure
from benchmarks.stand import admin_key, process, report, serving
from core.postgres.context import session_settings
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url
from core.postgres.tenant_server import connect_tenant
from core.settings import Settings

UID = "bench"
CLIENTS = (1, 8)
RESULTS = Path(__file__).parent / "results" / "sql.json"
ROWS = 1_000
COLUMNS = "id BIGINT PRIMARY KEY, name TEXT, price NUMERIC, made TIMESTAMPTZ, is_new BOOLEAN"
# End users see their own rows of the one that has a uid; the owner sees all.
TABLES = (
    f"CREATE TABLE item ({COLUMNS})",
    "CREATE TABLE note (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64), body TEXT)",
    "CREATE TABLE entry (id BIGSERIAL PRIMARY KEY, body TEXT)",
)
FILLED = (
    "INSERT INTO item SELECT n, 'item ' || n, n / 7.0, now(), n % 2 = 0"
    f" FROM generate_series(1, {ROWS}) n"
)
BY_KEY = "SELECT id, name, price, made, is_new FROM item WHERE id = "
PAGE = "SELECT id, name, price, made, is_new FROM item ORDER BY id LIMIT 100"
ADD = "INSERT INTO entry (body) VALUES ($1)"
LARGE_INSERT = "INSERT INTO entry (body) VALUES " + ", ".join(f"('row {n}')" for n in range(3_000))
RUNAWAY = "SELECT count(*) FROM item a, item b, item c, item d"
RUNAWAY_SECONDS = 1.0
# Ratio of the service's rate to the runner's that is its limit.
TARGETS = {
    "select": ("minimal", 0.5),
    "literal": ("minimal", 0.5),
    "insert": ("minimal", 0.5),
    "rows": ("minimal", 0.6),
    "ddl": ("bare", 0.5),
}


@dataclass
class Place:
    """A database of the service's, as its callers and as PostgreSQL know it."""

    service: HttpClients
    database_id: str

    def schema(self, environment: Environment) -> SchemaName:
        return SchemaName.of(environment, UID, int(self.database_id))

    async def dml(self, sql: str, params: list[Any] | None = None, **options: Any) -> Any:
        body = {"database_id": self.database_id, "uid": UID, "env": "prod", "dml": sql} | options
        return await self.service.post(
            "/v1/exec_dml", body if params is None else body | {"params": params}
        )

    async def ddl(self, sql: str) -> None:
        body = {"database_id": self.database_id, "uid": UID, "ddl": sql}
        await self.service.post("/v1/exec_ddl", body)

    @classmethod
    async def made(cls, service: HttpClients, name: str) -> "Place":
        body = {"database_name": name, "uid": UID}
        answer: Any = await service.post("/v1/create_database", body)
        place = cls(service, answer["data"]["database_id"])
        await place.ddl("; ".join(TABLES))
        await place.dml(FILLED)
        return place


@dataclass
class Bench:
    """The runners over one server."""

    bare: asyncpg.Pool
    minimal: HttpClients
    place: Place
    scale: float
    rounds: int
    figures: api.Figures = field(default_factory=api.Figures)
    names: Any = field(default_factory=itertools.count)

    def calls(self, number: int) -> int:
        return max(40, round(number * self.scale))

    async def by_turns(
        self, name: str, runners: dict[str, Call], number: int, clients: tuple[int, ...] = CLIENTS
    ) -> None:
        for count in clients:
            for call in runners.values():
                await measure(call, clients=count, calls=self.calls(number) // 10)
            for _ in range(self.rounds):
                for runner, call in runners.items():
                    measured = await measure(call, clients=count, calls=self.calls(number))
                    self.figures.add(runner, name, measured)

    async def ask_minimal(self, sql: str, params: list[Any] | None = None) -> None:
        await self.minimal.post("/sql", {"sql": sql, "params": params or []})


async def compare_rows(bench: Bench) -> None:
    place, minimal = bench.place, bench.ask_minimal

    async def minimal_select(number: int) -> None:
        await minimal(f"{BY_KEY}$1", [number % ROWS + 1])

    async def select(number: int) -> None:
        await place.dml(f"{BY_KEY}$1", [number % ROWS + 1])

    async def minimal_literal(_number: int) -> None:
        await minimal(f"{BY_KEY}{next(bench.names)}")

    async def literal(_number: int) -> None:
        await place.dml(f"{BY_KEY}{next(bench.names)}")

    async def minimal_insert(number: int) -> None:
        await minimal(ADD, [f"entry {number}"])

    async def insert(number: int) -> None:
        await place.dml(ADD, [f"entry {number}"])

    async def minimal_rows(_number: int) -> None:
        await minimal(PAGE)

    async def rows(_number: int) -> None:
        await place.dml(PAGE)

    async def minimal_own(number: int) -> None:
        await minimal("INSERT INTO note (body) VALUES ($1)", [f"note {number}"])

    async def own(number: int) -> None:
        user = {"as": "end_user", "app_id": "shop"}
        await place.dml("INSERT INTO note (body) VALUES ($1)", [f"note {number}"], **user)

    await bench.by_turns("select", {"minimal": minimal_select, "service": select}, 2000)
    await bench.by_turns("literal", {"minimal": minimal_literal, "service": literal}, 2000)
    await bench.by_turns("insert", {"minimal": minimal_insert, "service": insert}, 1500)
    await bench.by_turns("own", {"minimal": minimal_own, "service": own}, 1500)
    await bench.by_turns("rows", {"minimal": minimal_rows, "service": rows}, 1000)


async def compare_ddl(bench: Bench) -> None:
    """A table made in both environments, then dropped: two calls."""
    place = bench.place
    schemas = [place.schema(each) for each in Environment]

    async def bare(_number: int) -> None:
        name = f"b{next(bench.names)}"
        for statement in (f"CREATE TABLE {name} ({COLUMNS})", f"DROP TABLE {name}"):
            parts = [f"SET LOCAL search_path = {schema}; {statement}" for schema in schemas]
            await bench.bare.execute("; ".join(["BEGIN", *parts, "COMMIT"]))

    async def service(_number: int) -> None:
        name = f"s{next(bench.names)}"
        await place.ddl(f"CREATE TABLE {name} ({COLUMNS})")
        await place.ddl(f"DROP TABLE {name}")

    await bench.by_turns("ddl", {"bare": bare, "service": service}, 200)


async def compare_growth(bench: Bench, filled: api.Stand, sizes: list[int]) -> dict[str, Any]:
    """Milliseconds of a call by one client, with so many other databases on the server."""
    found: dict[str, Any] = {}
    place = bench.place

    async def select(number: int) -> None:
        await place.dml(f"{BY_KEY}$1", [number % ROWS + 1])

    async def insert(number: int) -> None:
        await place.dml(ADD, [f"entry {number}"])

    for size in sizes:
        if size > filled.used:
            print(f"filling up to {size} databases", flush=True)
            await api.fill(filled, size)
        costs = {}
        for name, call in (("select", select), ("insert", insert)):
            await measure(call, clients=1, calls=bench.calls(200))
            turns = [await measure(call, clients=1, calls=bench.calls(1500)) for _ in range(3)]
            costs[name] = min(turn.p50_ms for turn in turns)
        found[str(size)] = costs
    return found


async def miss(service: HttpClients, settings: Settings, calls: int) -> dict[str, float]:
    """Milliseconds of a call whose session has to log in first, of a login alone, and of a hit.

    Args:
        service: one that keeps a single session.
    """
    places = [await Place.made(service, f"m{number}") for number in range(2)]

    async def alternate(number: int) -> None:
        await places[number % 2].dml(f"{BY_KEY}$1", [number % ROWS + 1])

    async def same(number: int) -> None:
        await places[0].dml(f"{BY_KEY}$1", [number % ROWS + 1])

    role = RoleName.ddl(int(places[0].database_id)).name
    secret = settings.master_secret.get_secret_value() if settings.master_secret else ""

    async def log_in(_number: int) -> None:
        connection = await connect_tenant(
            login_url(settings.dsn or "", role, derive(secret, role)),
            server_settings=session_settings(settings),
            timeout=settings.connect_timeout,
            byte_limit=settings.sql_byte_limit,
        )
        connection.terminate()

    found: dict[str, list[float]] = {"miss": [], "login": [], "hit": []}
    # The three are compared, and so short that many turns are needed for each to meet a quiet one.
    for _ in range(8):
        for name, call in (("login", log_in), ("miss", alternate), ("hit", same)):
            found[name].append((await measure(call, clients=1, calls=calls)).p50_ms)
    return {name: min(turns) for name, turns in found.items()}


@asynccontextmanager
async def meanwhile(call: Call) -> AsyncIterator[list[float]]:
    """One client calls again and again; gives the seconds that its calls took."""
    taken: list[float] = []

    async def go_on() -> None:
        for number in itertools.count():
            started = time.perf_counter()
            await call(number)
            taken.append(time.perf_counter() - started)

    calling = asyncio.create_task(go_on())
    try:
        yield taken
    finally:
        # What ended it before was an error.
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling


async def disturbed(service: HttpClients, bench: Bench) -> dict[str, Any]:
    """Latency of four clients' SELECTs beside others' heavy calls.

    Args:
        service: one whose statements may not run long.
    """
    quiet, loud = await Place.made(service, "quiet"), await Place.made(service, "loud")

    async def select(number: int) -> None:
        await quiet.dml(f"{BY_KEY}$1", [number % ROWS + 1])

    async def nothing(_number: int) -> None:
        await asyncio.sleep(1)

    async def large(_number: int) -> None:
        await loud.dml(LARGE_INSERT)

    async def runaway(_number: int) -> None:
        try:
            await loud.dml(RUNAWAY)
        except RuntimeError as error:
            if "statement_timeout" not in str(error):
                raise

    found: dict[str, Any] = {}
    for name, call in (("nothing", nothing), ("large inserts", large), ("runaways", runaway)):
        async with meanwhile(call) as taken:
            await measure(select, clients=4, calls=bench.calls(400))
            measured = await measure(select, clients=4, calls=bench.calls(8000))
        found[name] = measured.as_json() | {
            "their_calls": len(taken),
            "their_p50_ms": statistics.median(taken) * 1000 if taken else None,
        }
    return found


def ratios(figures: api.Figures) -> dict[str, float]:
    limits = {name: limit for name, (limit, _) in TARGETS.items()} | {"own": "minimal"}
    return {
        f"{call}, {clients} clients, of {limit}": figures.rate("service", call, clients)
        / figures.rate(limit, call, clients)
        for call, limit in limits.items()
        for clients in CLIENTS
    }


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    environment = serving(settings)
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    headers = {"Authorization": f"Bearer {key}"}
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with process(*command, **environment) as (_, url):
        place = await Place.made(HttpClients(url, headers), "sql")
        own = f"{admin_url}?search_path={place.schema(Environment.PROD).name}"
        minimal = ("-m", "uvicorn", "benchmarks.minimal:app", "--port", "{port}", "--no-access-log")
        async with asyncpg.create_pool(own, min_size=8, max_size=8) as bare:
            with process(*minimal, DATABASE_URL=own) as (_, minimal_url):
                bench = Bench(bare, HttpClients(minimal_url), place, options.scale, options.rounds)
                await compare_rows(bench)
                await compare_ddl(bench)
            with process(*command, **environment, PGTWIN_SQL_SESSIONS="1") as (_, cold_url):
                cold = HttpClients(cold_url, headers)
                result["miss_ms"] = await miss(cold, settings, bench.calls(80))
            limit = {"PGTWIN_SQL_TIMEOUT": str(RUNAWAY_SECONDS)}
            with process(*command, **environment, **limit) as (_, limited_url):
                limited = HttpClients(limited_url, headers)
                result["beside"] = await disturbed(limited, bench)
            if options.growth:
                async with asyncpg.create_pool(settings.dsn, min_size=8, max_size=8) as control:
                    secret = environment["PGTWIN_MASTER_SECRET"]
                    filled = api.Stand(control, bench.minimal, place.service, secret, 1.0)
                    grown = await compare_growth(bench, filled, options.growth)
                    result["growth_ms"] = grown
    return result | {"ratios": ratios(bench.figures), "figures": bench.figures.rows}


def show(result: dict[str, Any]) -> None:
    for name, ratio in result["ratios"].items():
        wanted = TARGETS.get(name.partition(",")[0])
        print(f"{name:32} {ratio:6.2f}" + (f"   target {wanted[1]}" if wanted else ""))
    cold = result["miss_ms"]
    most = cold["login"] + 1.5 * cold["hit"]
    print(
        f"a miss {cold['miss']:.2f} ms, a login {cold['login']:.2f} ms, a hit {cold['hit']:.2f} ms;"
        f" target {most:.2f} ms"
    )
    for name, beside in result["beside"].items():
        print(
            f"beside {name}: p50 {beside['p50_ms']:.2f} ms, p99 {beside['p99_ms']:.2f} ms,"
            f" {beside['their_calls']} of theirs"
        )
    for size, calls in result.get("growth_ms", {}).items():
        costs = "   ".join(f"{call} {cost:.2f} ms" for call, cost in calls.items())
        print(f"at {size:>6} databases   {costs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the calls to make")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each runner")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[0, 20_000], help="numbers of other databases"
    )
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
