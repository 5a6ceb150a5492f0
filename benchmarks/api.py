"""The API against what the same machine can do at best, in one run on one server.

Three runners do the same work: bare asyncpg, which sends the service's SQL in one message; a
minimal FastAPI endpoint over an asyncpg pool; and the service, with one worker. All of them, the
load included, share the machine's cores. `make bench` prints the tables and keeps the figures in
`benchmarks/results/api.json`, which `python -m benchmarks.readme` puts into the README.
"""

import argparse
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.clients import Call, HttpClients, Measured, measure
from benchmarks.stand import admin_key, process, report, resident_megabytes, serving
from core.postgres.identifiers import Environment, RoleName, SchemaName, literal
from core.settings import Settings
from memory.databases.repairs import verifiers

UID = "bench"
# Has as many databases as a page shows, however many others there are.
LISTED = "listed"
CLIENTS = (1, 8, 32)
RESULTS = Path(__file__).parent / "results" / "api.json"
FIRST_ID = 2**40


def create_message(number: int, secret: str) -> str:
    """All that creating a database takes, as one message of a transaction."""
    database_id = FIRST_ID + number
    logins = verifiers(secret, database_id)
    keys = [RoleName.app(each, database_id) for each in Environment] + [RoleName.ddl(database_id)]
    arguments = ", ".join(literal(logins[login]) for login in keys)
    statements = [
        "BEGIN",
        "INSERT INTO pgtwin.database_meta (id, uid, name, create_by, update_by)"
        f" VALUES ({database_id}, '{UID}', 'b{number}', '{UID}', '{UID}')",
        f"SELECT pgtwin_admin.create_roles({database_id}, {arguments})",
    ]
    for place, environment in enumerate(Environment):
        schema = SchemaName.of(environment, UID, database_id)
        owner = RoleName.owner(environment, database_id)
        statements += [
            f"CREATE SCHEMA {schema}",
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner}",
            f"GRANT USAGE ON SCHEMA {schema} TO {RoleName.app(environment, database_id)}",
            "INSERT INTO pgtwin.schema_meta (id, database_id, env, schema_name, create_by,"
            f" update_by) VALUES ({database_id * 2 + place}, {database_id}, '{environment}',"
            f" '{schema}', '{UID}', '{UID}')",
        ]
    statements += [
        "INSERT INTO pgtwin.audit_entry (sid, uid, action, database_id)"
        f" VALUES ('', '{UID}', 'create_database', {database_id})",
        "COMMIT",
    ]
    return ";".join(statements)


def drop_message(number: int) -> str:
    database_id = FIRST_ID + number
    schemas = [SchemaName.of(each, UID, database_id) for each in Environment]
    return ";".join(
        [
            "BEGIN",
            f"SELECT id FROM pgtwin.database_meta WHERE id = {database_id} FOR UPDATE",
            f"SELECT pgtwin_admin.close_roles({database_id})",
            *(f"DROP SCHEMA {schema} CASCADE" for schema in schemas),
            f"SELECT pgtwin_admin.drop_roles({database_id})",
            f"DELETE FROM pgtwin.schema_meta WHERE database_id = {database_id}",
            f"UPDATE pgtwin.database_meta SET deleted_at = now() WHERE id = {database_id}",
            "INSERT INTO pgtwin.audit_entry (sid, uid, action, database_id)"
            f" VALUES ('', '{UID}', 'drop_database', {database_id})",
            "COMMIT",
        ]
    )


GET = "SELECT * FROM pgtwin.database_meta WHERE id = $1 AND deleted_at IS NULL"


@dataclass
class Figures:
    """Measured calls by runner, call and number of clients."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, runner: str, call: str, measured: Measured) -> None:
        self.rows.append({"runner": runner, "call": call, **measured.as_json()})
        print(
            f"{runner:8} {call:9} {measured.clients:3} clients {measured.per_second:9.0f}/s"
            f"   p50 {measured.p50_ms:7.2f} ms   p99 {measured.p99_ms:7.2f} ms",
            flush=True,
        )

    def rate(self, runner: str, call: str, clients: int) -> float:
        """The best of a runner's figures, where there are several."""
        return max(
            float(row["per_second"])
            for row in self.rows
            if (row["runner"], row["call"], row["clients"]) == (runner, call, clients)
        )


@dataclass
class Stand:
    """The three runners over one server."""

    bare: asyncpg.Pool
    minimal: HttpClients
    service: HttpClients
    secret: str
    scale: float
    figures: Figures = field(default_factory=Figures)
    used: int = 0

    def calls(self, number: int) -> int:
        return max(40, round(number * self.scale))

    async def run(
        self, runner: str, name: str, call: Call, number: int, clients: tuple[int, ...] = CLIENTS
    ) -> None:
        for count in clients:
            await measure(call, clients=count, calls=self.calls(number) // 10)
            measured = await measure(call, clients=count, calls=self.calls(number))
            self.figures.add(runner, name, measured)


async def compare_life(stand: Stand, clients: int, rounds: int) -> None:
    """Creates and drops, by turns, so that both runners see the same machine."""
    calls = stand.calls(400)
    for _ in range(rounds):
        first = stand.used
        stand.used += calls
        messages = [create_message(first + n, stand.secret) for n in range(calls)]

        async def bare_create(number: int, messages: list[str] = messages) -> None:
            await stand.bare.execute(messages[number])

        async def bare_drop(number: int, first: int = first) -> None:
            await stand.bare.execute(drop_message(first + number))

        made: list[Any] = []

        async def create(number: int, first: int = first, made: list[Any] = made) -> None:
            body = {"database_name": f"s{first + number}", "uid": UID}
            answer: Any = await stand.service.post("/v1/create_database", body)
            made.append(answer["data"]["database_id"])

        async def drop(number: int, made: list[Any] = made) -> None:
            await stand.service.post("/v1/drop_database", {"database_id": made[number], "uid": UID})

        async def purge(number: int, made: list[Any] = made) -> None:
            body = {"database_id": made[number], "uid": UID, "purge": True}
            await stand.service.post("/v1/drop_database", body)

        for runner, name, call in (
            ("bare", "create", bare_create),
            ("service", "create", create),
            ("bare", "drop", bare_drop),
            ("service", "drop", drop),
            # The work that the bare drop is, as `purge` or an expiry would have it done at once.
            ("service", "purge", purge),
        ):
            measured = await measure(call, clients=clients, calls=calls)
            stand.figures.add(runner, name, measured)


async def compare_reads(stand: Stand, clients: tuple[int, ...] = CLIENTS) -> None:
    answer: Any = await stand.service.post(
        "/v1/create_database", {"database_name": f"r{stand.used}", "uid": UID}
    )
    stand.used += 1
    database_id = answer["data"]["database_id"]

    async def bare_get(_number: int) -> None:
        await stand.bare.fetchrow(GET, database_id)

    async def minimal_get(_number: int) -> None:
        await stand.minimal.get(f"/databases/{database_id}")

    async def minimal_list(_number: int) -> None:
        await stand.minimal.get(f"/databases?uid={LISTED}")

    async def get(_number: int) -> None:
        await stand.service.get(f"/v1/databases/{database_id}")

    async def page(_number: int) -> None:
        await stand.service.get(f"/v1/databases?uid={LISTED}")

    async def describe(number: int) -> None:
        body = {"database_id": database_id, "uid": UID, "description": f"the {number}th"}
        await stand.service.post("/v1/modify_db_description", body)

    await stand.run("bare", "get", bare_get, 4000, clients)
    await stand.run("minimal", "get", minimal_get, 4000, clients)
    await stand.run("service", "get", get, 3000, clients)
    await stand.run("minimal", "list", minimal_list, 2000, clients)
    await stand.run("service", "list", page, 2000, clients)
    await stand.run("service", "describe", describe, 1000, clients)


async def fill(stand: Stand, target: int) -> None:
    """Databases that are there already, so many in all."""
    first, stand.used = stand.used, target

    async def create(number: int) -> None:
        await stand.bare.execute(create_message(first + number, stand.secret))

    await measure(create, clients=8, calls=target - first)


async def growth(stand: Stand, sizes: list[int]) -> dict[str, dict[str, float]]:
    """Milliseconds of each call, by one client, with so many databases on the server."""
    found: dict[str, dict[str, float]] = {}
    for size in sizes:
        if size > stand.used:
            print(f"filling up to {size} databases", flush=True)
            await fill(stand, size)
        figures, stand.figures = stand.figures, Figures()
        await compare_life(stand, 1, rounds=2)
        await compare_reads(stand, (1,))
        rows, stand.figures = stand.figures.rows, figures
        found[str(size)] = {
            call: min(float(r["p50_ms"]) for r in rows if (r["runner"], r["call"]) == key)
            for key in dict.fromkeys((r["runner"], r["call"]) for r in rows)
            if key[0] == "service" and (call := key[1])
        }
    return found


def ratios(figures: Figures) -> dict[str, float]:
    return {
        "create, 8 clients, of bare": figures.rate("service", "create", 8)
        / figures.rate("bare", "create", 8),
        "drop, 8 clients, of bare": figures.rate("service", "drop", 8)
        / figures.rate("bare", "drop", 8),
        "purge, 8 clients, of bare drop": figures.rate("service", "purge", 8)
        / figures.rate("bare", "drop", 8),
        "get, 8 clients, of minimal": figures.rate("service", "get", 8)
        / figures.rate("minimal", "get", 8),
    }


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    environment = serving(settings)
    minimal = ("-m", "uvicorn", "benchmarks.minimal:app", "--port", "{port}", "--no-access-log")
    service = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    with (
        process(*minimal, **environment) as (_, minimal_url),
        process(*service, **environment) as (served, service_url),
    ):
        stand = Stand(
            bare=await asyncpg.create_pool(settings.dsn, min_size=32, max_size=32),
            minimal=HttpClients(minimal_url),
            service=HttpClients(service_url, {"Authorization": f"Bearer {key}"}),
            secret=environment["PGTWIN_MASTER_SECRET"],
            scale=options.scale,
        )
        for number in range(20):
            body = {"database_name": f"l{number}", "uid": LISTED}
            await stand.service.post("/v1/create_database", body)
        before = resident_megabytes(served.pid)
        for clients in CLIENTS:
            await compare_life(stand, clients, rounds=2)
        await compare_reads(stand)
        grown = await growth(stand, options.growth) if options.growth else {}
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "ratios": ratios(stand.figures),
            "growth_ms": grown,
            "worker_mb": {"idle": before, "after": resident_megabytes(served.pid)},
            "figures": stand.figures.rows,
        }
        await stand.bare.close()
    return result


def show(result: dict[str, Any]) -> None:
    for name, ratio in result["ratios"].items():
        print(f"{name:32} {ratio:6.2f}")
    for size, calls in result["growth_ms"].items():
        costs = "   ".join(f"{call} {cost:.2f} ms" for call, cost in calls.items())
        print(f"at {size:>6} databases   {costs}")
    memory = result["worker_mb"]
    print(f"a worker takes {memory['idle']:.0f} MB when idle, {memory['after']:.0f} MB afterwards")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the calls to make")
    parser.add_argument("--growth", type=int, nargs="*", default=[0, 5000, 20000])
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
