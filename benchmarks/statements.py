"""What tenants' SQL costs beside the plain driver: `python -m benchmarks.statements URL`.

Printed are microseconds, the best of five rounds, for a row by its key and for 100 rows of five
columns; the URL is of a database in which a temporary table may be made.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
import uvloop

from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import connect_tenant
from core.postgres.values import row_converter

TABLE = """
CREATE TEMP TABLE item AS
SELECT id::bigint, 'name ' || id AS name, id * 1.25::numeric(12, 2) AS price,
       now()::timestamp AS at, id % 2 = 0 AS flag
FROM generate_series(1, 1000) AS id;
CREATE UNIQUE INDEX ON item (id);
"""
ONE = "SELECT * FROM item WHERE id = $1"
MANY = "SELECT * FROM item ORDER BY id LIMIT 100"
ROUNDS, CALLS = 5, 400


async def microseconds(call: Callable[[], Awaitable[Any]]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            await call()
        best = min(best, time.perf_counter() - started)
    return best / CALLS * 1e6


async def answer(tenant: TenantConnection, whole_seconds: bool) -> Callable[[], Awaitable[bytes]]:
    outcome = await tenant.run(MANY)

    async def convert() -> bytes:
        change = row_converter(outcome.columns, tenant.types, whole_seconds=whole_seconds)
        return orjson.dumps([change(row) for row in outcome.rows])

    return convert


async def measure(url: str) -> None:
    cached = await asyncpg.connect(url)
    uncached = await asyncpg.connect(url, statement_cache_size=0)
    tenant = await connect_tenant(url, timeout=10, byte_limit=8_000_000)
    for connection in (cached, uncached, tenant):
        await connection.execute(TABLE)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "one row, driver with cached statements": lambda: cached.fetch(ONE, 5),
        "one row, driver without": lambda: uncached.fetch(ONE, 5),
        "one row, run": lambda: tenant.run(ONE, [5]),
        "one row, run with its limits": lambda: tenant.run(ONE, [5], row_limit=1000, timeout=5),
        "100 rows, driver with cached statements": lambda: cached.fetch(MANY),
        "100 rows, driver without": lambda: uncached.fetch(MANY),
        "100 rows, run": lambda: tenant.run(MANY),
        "100 rows to JSON": await answer(tenant, False),
        "100 rows to JSON, timestamps to the second": await answer(tenant, True),
    }
    for name, call in calls.items():
        print(f"{await microseconds(call):7.0f}  {name}")
    for connection in (cached, uncached, tenant):
        await connection.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(sys.argv[1]))
