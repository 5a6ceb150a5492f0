"""Exports of many rows over HTTP against COPY TO STDOUT through asyncpg.

Both in one run on one server, by turns; the best of a runner's turns counts. `make bench` prints
the ratios, and how much the worker's memory grew meanwhile, and keeps the figures in
`benchmarks/results/export.json`.
"""

import argparse
import asyncio
import os
import platform
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from benchmarks.clients import HttpClients
from benchmarks.stand import (
    admin_key,
    process,
    report,
    resident_megabytes,
    serving,
)
from core.postgres.identifiers import Environment, SchemaName
from core.settings import Settings

UID = "bench"
RESULTS = Path(__file__).parent / "results" / "export.json"
ROWS = 1_000_000
TABLE = (
    "CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT, price NUMERIC(12, 2), made TIMESTAMPTZ,"
    " is_new BOOLEAN)"
)
FILLED = (
    "INSERT INTO {table} SELECT n, 'item ' || n, n / 7.0, now(), n % 2 = 0"
    " FROM generate_series(1, {rows}) n"
)
FORMATS = ("csv", "ndjson", "json", "parquet")
# Of CSV; the other formats are measured for themselves.
TARGET, MOST_MEGABYTES = 0.5, 50.0


async def copied(connection: Any, table: str) -> int:
    """What PostgreSQL and the driver take for it, with nothing done to the rows."""
    size = 0

    async def take(data: bytes) -> None:
        nonlocal size
        size += len(data)

    await connection.copy_from_query(f"SELECT * FROM {table}", output=take, format="csv")
    return size


async def exported(client: httpx.AsyncClient, body: dict[str, Any]) -> int:
    size = 0
    async with client.stream("POST", "/v1/export_data", json=body) as response:
        async for data in response.aiter_raw():
            size += len(data)
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(f"{body}: {response.status_code}")
    return size


class Memory:
    """The most that a process has meanwhile, above what it had before."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before = self.most = resident_megabytes(pid)

    async def __aenter__(self) -> "Memory":
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, resident_megabytes(self._pid))
            await asyncio.sleep(0.05)

    @property
    def growth(self) -> float:
        return self.most - self.before


async def compare(
    bare: Any, table: str, client: httpx.AsyncClient, body: dict[str, Any], pid: int, rounds: int
) -> dict[str, Any]:
    """Seconds of each runner's best turn, and by how many MB the worker grew at most."""
    for form in FORMATS:
        # Arrow is loaded, and the session logged in.
        await exported(client, body | {"format": form, "columns": ["id"]})
    seconds: dict[str, list[float]] = {name: [] for name in ("copy", *FORMATS)}
    growth = dict.fromkeys(FORMATS, 0.0)
    for _ in range(rounds):
        started = time.perf_counter()
        await copied(bare, table)
        seconds["copy"].append(time.perf_counter() - started)
        for form in FORMATS:
            async with Memory(pid) as memory:
                started = time.perf_counter()
                await exported(client, body | {"format": form})
                seconds[form].append(time.perf_counter() - started)
            growth[form] = max(growth[form], memory.growth)
    best = {name: min(turns) for name, turns in seconds.items()}
    return {
        "seconds": best,
        "ratios": {form: best["copy"] / best[form] for form in FORMATS},
        "growth_mb": growth,
    }


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    headers = {"Authorization": f"Bearer {key}"}
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    with process(*command, **serving(settings)) as (child, url):
        service = HttpClients(url, headers)
        made: Any = await service.post(
            "/v1/create_database", {"database_name": "export", "uid": UID}
        )
        database_id = made["data"]["database_id"]
        address = {"database_id": database_id, "uid": UID}
        await service.post("/v1/exec_ddl", address | {"ddl": TABLE})
        table = f"{SchemaName.of(Environment.PROD, UID, int(database_id))}.item"
        bare = await asyncpg.connect(admin_url)
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600) as client:
            await bare.execute(FILLED.format(table=table, rows=options.rows))
            await bare.execute(f"VACUUM ANALYZE {table}")
            body = address | {"env": "prod", "table_name": "item"}
            result = await compare(bare, table, client, body, child.pid, options.rounds)
        await bare.close()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"machine": machine, "rows": options.rows} | result


def show(result: dict[str, Any]) -> None:
    print(f"{result['rows']:,} rows; COPY through asyncpg {result['seconds']['copy']:.2f} s")
    for form, ratio in result["ratios"].items():
        target = f"   target {TARGET}" if form == "csv" else ""
        print(
            f"{form:8} {result['seconds'][form]:6.2f} s   ratio {ratio:5.2f}{target}"
            f"   worker +{result['growth_mb'][form]:.0f} MB, target {MOST_MEGABYTES:.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each runner")
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
