"""Files in, against asyncpg's COPY of the same bytes, in one run on one server.

Two limits: a table as anybody would make it, and the database's own, which end users' rows are
stamped in. Runners go by turns, and the best of a runner's turns counts. The worker's memory is
looked at while it works. `make bench` prints the figures and keeps them in
`benchmarks/results/upload.json`.
"""

import argparse
import asyncio
import io
import os
import platform
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx

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
RESULTS = Path(__file__).parent / "results" / "upload.json"
TABLE = (
    "CREATE TABLE {} (id BIGINT PRIMARY KEY, uid VARCHAR(64), name TEXT, price NUMERIC,"
    " made TIMESTAMP, is_new BOOLEAN); CREATE INDEX {}_uid ON {} (uid)"
)
LIMIT = "1000000000"
TARGET = 0.5


def csv_of(rows: int) -> bytes:
    lines = (
        f"{n},user{n % 1000},item number {n},{n / 7:.2f},2026-01-02 03:04:05,{n % 2 == 0}\n"
        for n in range(1, rows + 1)
    )
    return ("id,uid,name,price,made,is_new\n" + "".join(lines)).encode()


class Memory:
    """The most that a process has while something is done, in MB above what it had."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    async def __aenter__(self) -> "Memory":
        self.before = self.most = resident_megabytes(self._pid)
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    @property
    def grown(self) -> float:
        return self.most - self.before

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, resident_megabytes(self._pid))
            await asyncio.sleep(0.02)


class Uploads:
    def __init__(self, http: httpx.AsyncClient, admin: asyncpg.Connection, rows: int) -> None:
        self._http, self._admin, self._content = http, admin, csv_of(rows)
        self.rows = rows
        self.database_id = ""
        self.schema = ""

    async def make(self) -> None:
        body = {"database_name": "transfer", "uid": UID}
        made = (await self._http.post("/v1/create_database", json=body)).json()
        self.database_id = made["data"]["database_id_str"]
        self.schema = str(SchemaName.of(Environment.PROD, UID, int(self.database_id)))
        ddl = TABLE.format("item", "item", "item")
        body = {"database_id": self.database_id, "uid": UID, "as": "owner", "ddl": ddl}
        answer = (await self._http.post("/v1/exec_ddl", json=body)).json()
        if answer["code"] != 0:
            raise RuntimeError(str(answer))
        await self._admin.execute("CREATE SCHEMA plain")
        await self._admin.execute(
            "SET search_path = plain; " + TABLE.format("item", "item", "item")
        )

    async def empty(self) -> None:
        await self._admin.execute(f"TRUNCATE {self.schema}.item, plain.item")
        await self._admin.execute("CHECKPOINT")

    async def copy(self, schema: str) -> None:
        await self._admin.copy_to_table(
            "item",
            schema_name=schema,
            source=io.BytesIO(self._content),
            format="csv",
            header=True,
        )

    async def plain(self) -> None:
        await self.copy("plain")

    async def own(self) -> None:
        await self.copy(self.schema.strip('"'))

    async def service(self, **fields: str) -> None:
        answer = (
            await self._http.post(
                "/v1/upload_data",
                data={
                    "database_id": self.database_id,
                    "uid": UID,
                    "env": "prod",
                    "table_name": "item",
                    **fields,
                },
                files={"file": ("rows.csv", self._content)},
            )
        ).json()
        if answer["code"] != 0 or answer["data"]["succeeded"] != self.rows:
            raise RuntimeError(str(answer)[:500])

    async def end_user(self) -> None:
        await self.service(**{"as": "end_user", "app_id": "shop"})

    async def skipping(self) -> None:
        await self.service(on_error="skip")


async def seconds(call: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    environment = serving(settings) | {"PGTWIN_UPLOAD_LIMIT": LIMIT}
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    headers = {"Authorization": f"Bearer {key}"}
    admin = await asyncpg.connect(admin_url)
    with process(*command, **environment) as (child, url):
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600) as http:
            uploads = Uploads(http, admin, options.rows)
            await uploads.make()
            await uploads.service()
            runners = {
                "plain": uploads.plain,
                "own": uploads.own,
                "owner": uploads.service,
                "skip": uploads.skipping,
                "end_user": uploads.end_user,
            }
            best: dict[str, float] = {}
            grown: dict[str, float] = {}
            for _ in range(options.rounds):
                for name, call in runners.items():
                    await uploads.empty()
                    async with Memory(child.pid) as memory:
                        taken = await seconds(call)
                    best[name] = min(best.get(name, taken), taken)
                    grown[name] = max(grown.get(name, 0.0), memory.grown)
    await admin.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rows": options.rows,
        "seconds": best,
        "grown_megabytes": {name: grown[name] for name in ("owner", "skip", "end_user")},
        "ratios": {
            f"{name} of {limit}": best[limit] / best[name]
            for name in ("owner", "skip", "end_user")
            for limit in ("plain", "own")
        },
    }


def show(result: dict[str, Any]) -> None:
    for name, taken in result["seconds"].items():
        print(f"{name:10} {taken:7.2f} s   {result['rows'] / taken:10.0f} rows a second")
    for name, ratio in result["ratios"].items():
        wanted = f"   target {TARGET}" if name in ("owner of plain", "end_user of plain") else ""
        print(f"{name:20} {ratio:6.2f}{wanted}")
    for name, megabytes in result["grown_megabytes"].items():
        print(f"the worker grows by {megabytes:.0f} MB for {name}; target 50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each runner")
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
