"""Databases that are made for a moment: create, a table, a row, drop for good, by turns of clients.

One server, one service process, the Python client. What counts is that none fails, and that the
last hundred take as long as the first: what is dropped leaves nothing that slows the next one down.
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

import pgtwin
from benchmarks.stand import admin_key, process, report, serving
from core.settings import Settings
from pgtwin.errors import PgtwinError

UID = "bench"
RESULTS = Path(__file__).parent / "results" / "throwaway.json"
# How many cycles are held against each other, at the beginning and at the end.
PART = 100
# The last may take so many times as long as the first.
GROWTH = 1.25


async def cycle(client: pgtwin.AsyncClient, number: int) -> None:
    async with client.throwaway(f"t{number}", ttl_seconds=600) as database:
        await client.exec_ddl(database.id, "CREATE TABLE item (id int PRIMARY KEY, name text)")
        done = await client.exec_dml(database.id, "INSERT INTO item VALUES (1, 'tea')")
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


async def run(settings: Settings, _admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    with process(*command, **serving(settings)) as (_, url):
        async with pgtwin.AsyncClient(url, key, uid=UID) as client:
            # The service's first calls are another matter.
            await cycles(client, 5 * options.at_once, options.at_once)
            started = time.perf_counter()
            taken, failures = await cycles(client, options.cycles, options.at_once)
            seconds = time.perf_counter() - started
            left = [each.name async for each in client.list_databases(include_dropped=True)]
    parts = {"first": taken[:PART], "last": taken[-PART:], "all": taken}
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "cycles": options.cycles,
        "at_once": options.at_once,
        "failures": failures,
        "left": len(left),
        "per_second": options.cycles / seconds,
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
    print(f"last of first {last / first:.2f}   target {GROWTH}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8)
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
