"""Databases that are made for a moment: create, a table, a row, drop for good, by turns of clients.

One server, one service process, the Python client. What counts is that none fails, and that the
last hundred take as long as the first: what is dropped leaves nothing that slows the next one down.
Bare PostgreSQL does the same statements on connections that stay open; and copies of a template of
ten tables are made in the place of empty databases.
`make bench` prints the figures and keeps them in `benchmarks/results/throwaway.json`.
"""

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import asyncpg

import pgtwin
from benchmarks.api import FIRST_ID, UID, create_message, drop_message
from benchmarks.clients import measure
from benchmarks.stand import SECRET, admin_key, process, report, serving
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.settings import Settings
from pgtwin.errors import PgtwinError

RESULTS = Path(__file__).parent / "results" / "throwaway.json"
# How many cycles are held against each other, at the beginning and at the end.
PART = 100
# The last may take so many times as long as the first.
GROWTH = 1.25
TABLE = "item (id int PRIMARY KEY, name text)"
ROW = "item VALUES (1, 'tea')"
TEMPLATE = "; ".join(
    f"CREATE TABLE t{n} (id bigserial PRIMARY KEY, name text NOT NULL, other bigint"
    + (f" REFERENCES t{n - 1})" if n else ")")
    for n in range(10)
)


async def cycle(client: pgtwin.AsyncClient, number: int) -> None:
    async with client.throwaway(f"t{number}", ttl_seconds=600) as database:
        await client.exec_ddl(database.id, f"CREATE TABLE {TABLE}")
        done = await client.exec_dml(database.id, f"INSERT INTO {ROW}")
        if done.affected != 1:
            raise RuntimeError("the row was not stored")


async def cycles(
    client: pgtwin.AsyncClient, number: int, at_once: int
) -> tuple[list[float], list[str]]:
    """Milliseconds of each cycle, in the order in which they began, and what failed."""
    taken = [0.0] * number
    failures: list[str] = []
    numbers = itertools.count()

    async def work() -> None:
        while (mine := next(numbers)) < number:
            started = time.perf_counter()
            try:
                await cycle(client, mine)
            except PgtwinError as error:
                failures.append(repr(error))
            taken[mine] = (time.perf_counter() - started) * 1000

    await asyncio.gather(*(work() for _ in range(at_once)))
    return taken, failures


def bare_messages(number: int) -> list[str]:
    """What PostgreSQL itself has to do in a cycle, a message for each call."""
    database_id = FIRST_ID + number
    table = [
        part
        for each in Environment
        for part in (
            f"SET LOCAL ROLE {RoleName.owner(each, database_id)}",
            f"CREATE TABLE {SchemaName.of(each, UID, database_id)}.{TABLE}",
        )
    ]
    schema = SchemaName.of(Environment.PROD, UID, database_id)
    return [
        create_message(number, SECRET),
        "; ".join(["BEGIN", *table, "COMMIT"]),
        f"INSERT INTO {schema}.{ROW}",
        drop_message(number),
    ]


async def bare(admin_url: str, number: int, at_once: int) -> float:
    """Cycles a second of PostgreSQL alone."""
    async with asyncpg.create_pool(admin_url, min_size=at_once, max_size=at_once) as pool:

        async def one(mine: int) -> None:
            for message in bare_messages(mine):
                await pool.execute(message)

        return (await measure(one, clients=at_once, calls=number)).per_second


async def copies(client: pgtwin.AsyncClient, number: int, at_once: int) -> dict[str, float]:
    """Copies of one environment of a template, and their drops."""
    source = await client.create_database("template", ttl_seconds=600)
    await client.exec_ddl(source.id, TEMPLATE, env="prod")

    async def one(mine: int) -> None:
        made = await client.clone_database(source.id, f"c{mine}", env="prod", ttl_seconds=600)
        await client.drop_database(made.id, purge=True)

    measured = await measure(one, clients=at_once, calls=number)
    await client.drop_database(source.id, purge=True)
    return measured.as_json()


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    with process(*command, **serving(settings)) as (_, url):
        async with pgtwin.AsyncClient(url, key, uid=UID) as client:
            # The service's first calls are another matter.
            await cycles(client, 5 * options.at_once, options.at_once)
            started = time.perf_counter()
            taken, failures = await cycles(client, options.cycles, options.at_once)
            seconds = time.perf_counter() - started
            copied = [
                await copies(client, options.copies, at_once) for at_once in (1, options.at_once)
            ]
            left = [each.name async for each in client.list_databases(include_dropped=True)]
    bare_per_second = await bare(admin_url, options.cycles, options.at_once)
    parts = {"first": taken[:PART], "last": taken[-PART:], "all": taken}
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "cycles": options.cycles,
        "at_once": options.at_once,
        "failures": failures,
        "left": len(left),
        "per_second": options.cycles / seconds,
        "bare_per_second": bare_per_second,
        "copies": copied,
        "milliseconds": {name: summary(part) for name, part in parts.items()},
    }


def summary(part: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(part), "p99": statistics.quantiles(part, n=100)[98]}


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['cycles']} cycles at {result['at_once']} at once: {result['per_second']:.0f} a"
        f" second, {len(result['failures'])} failed, {result['left']} left"
    )
    for name, found in result["milliseconds"].items():
        print(f"{name:6} p50 {found['p50']:7.1f} ms   p99 {found['p99']:7.1f} ms")
    first, last = (result["milliseconds"][name]["p50"] for name in ("first", "last"))
    print(
        f"bare PostgreSQL {result['bare_per_second']:.0f} a second,"
        f" of which {result['per_second'] / result['bare_per_second']:.2f}"
    )
    for each in result["copies"]:
        print(
            f"copies of a template, {each['clients']} at once: {each['per_second']:.1f} a second,"
            f" p50 {each['p50_ms']:.0f} ms   p99 {each['p99_ms']:.0f} ms"
        )
    print(f"last of first {last / first:.2f}   target {GROWTH}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--copies", type=int, default=40)
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
