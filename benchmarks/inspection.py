"""What an environment holds, against the same catalog queries sent by bare asyncpg.

Both ask one server in one run, by turns: bare asyncpg sends each query of the service's as the
service does, unprepared, in a transaction and under the same settings; the service answers over
HTTP with one worker and a warm session. The best of the turns counts. `make bench` prints the
table and keeps the figures in `benchmarks/results/inspection.json`.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.clients import HttpClients
from benchmarks.stand import admin_key, process, report, serving
from core.catalog.reader import numbered
from core.postgres.context import EXTENSIONS
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.settings import Settings

UID = "bench"
RESULTS = Path(__file__).parent / "results" / "inspection.json"
TABLES = 200
ENTRIES = 1_000_000
# Times of the catalog queries' own time that the service may take.
TARGET = 3.0
TABLE = """
CREATE TABLE t{n} (
    id BIGSERIAL PRIMARY KEY, uid VARCHAR(64), name TEXT NOT NULL UNIQUE,
    parent BIGINT REFERENCES t{parent} (id), price NUMERIC(12, 2) DEFAULT 0 CHECK (price >= 0),
    state VARCHAR(20) NOT NULL DEFAULT 'new', tags TEXT[], body JSONB,
    create_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP, update_time TIMESTAMP
);
CREATE INDEX ON t{n} (state, create_time);
COMMENT ON TABLE t{n} IS 'The table {n}';
COMMENT ON COLUMN t{n}.price IS 'In euros';
"""
Call = Callable[[], Awaitable[Any]]


async def made(service: HttpClients, connection: asyncpg.Connection, tables: int) -> int:
    """A database with so many tables; gives its id."""
    answer: Any = await service.post(
        "/v1/create_database", {"database_name": "inspected", "uid": UID}
    )
    database_id = int(answer["data"]["database_id"])
    owner = RoleName.owner(Environment.PROD, database_id)
    schema = SchemaName.of(Environment.PROD, UID, database_id)
    script = "".join(TABLE.format(n=n, parent=max(n - 1, 0)) for n in range(tables))
    await connection.execute(
        f"BEGIN; SET LOCAL ROLE {owner}; SET LOCAL search_path = {schema}, {EXTENSIONS}; {script}"
        f"SELECT pgtwin_rt.admit('{schema.name}'); COMMIT"
    )
    await connection.execute("ANALYZE")
    return database_id


def bare(connection: asyncpg.Connection, schema: SchemaName, name: str) -> Call:
    query, names = numbered(name)
    given = {"schema_name": schema.name, "search_path": f"{schema}, {EXTENSIONS}", "tables": None}

    async def ask() -> None:
        await connection.execute("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog")
        await connection.fetch(query, *(given[each] for each in names))
        await connection.execute("ROLLBACK")

    return ask


def served(service: HttpClients, path: str) -> Call:
    async def ask() -> None:
        await service.get(path)

    return ask


async def by_turns(calls: dict[str, Call], number: int) -> dict[str, float]:
    """The median milliseconds of each, the best of three turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3):
        for name, call in calls.items():
            taken = []
            await call()
            for _ in range(number):
                started = time.perf_counter()
                await call()
                taken.append((time.perf_counter() - started) * 1000)
            found[name].append(statistics.median(taken))
    return {name: min(turns) for name, turns in found.items()}


async def fill_audit(connection: asyncpg.Connection, database_id: int, entries: int) -> None:
    """SQL calls, half of them of the one database."""
    await connection.execute(
        "INSERT INTO pgtwin.audit_entry (create_at, sid, uid, action, database_id, details)"
        " SELECT now() - (n || ' ms')::interval, 's' || n, 'bench', 'exec_dml',"
        " $1::bigint + n % 2, jsonb_build_object('fingerprint', md5((n % 500)::text), 'env',"
        " 'prod', 'as', 'owner', 'duration_ms', n % 1000) FROM generate_series(1, $2) n",
        database_id,
        entries,
        timeout=600,
    )
    await connection.execute("VACUUM ANALYZE pgtwin.audit_entry")


async def run(settings: Settings, admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    environment = serving(settings)
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    connection = await asyncpg.connect(
        admin_url, statement_cache_size=0, server_settings={"jit": "off"}
    )
    with process(*command, **environment) as (_, url):
        service = HttpClients(url, {"Authorization": f"Bearer {key}"})
        database_id = await made(service, connection, options.tables)
        schema = SchemaName.of(Environment.PROD, UID, database_id)
        path = f"/v1/databases/{database_id}"
        calls = {
            "bare schema": bare(connection, schema, "inspected"),
            "schema": served(service, f"{path}/schema"),
            "text": served(service, f"{path}/schema?format=text"),
            "bare stats": bare(connection, schema, "table_statistics"),
            "stats": served(service, f"{path}/stats"),
        }
        result = await by_turns(calls, options.calls)
        ddl = await by_turns({"ddl": served(service, f"{path}/ddl")}, 3)
        await fill_audit(connection, database_id, options.entries)
        measured = await by_turns({"stats, audited": calls["stats"]}, options.calls)
        shown: Any = await service.get(f"{path}/schema?format=text")
    await connection.close()
    times = result | ddl | measured
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "tables": options.tables,
        "entries": options.entries,
        "ms": times,
        "text_bytes": len(shown["data"]["text"]),
        "ratios": {
            "schema": times["schema"] / times["bare schema"],
            "text": times["text"] / times["bare schema"],
            "stats": times["stats"] / times["bare stats"],
        },
    }


def show(result: dict[str, Any]) -> None:
    for name, milliseconds in result["ms"].items():
        ratio = result["ratios"].get(name)
        judged = f"   {ratio:.2f} times its queries, target {TARGET}" if ratio else ""
        print(f"{name:16} {milliseconds:8.2f} ms{judged}")
    print(f"{result['tables']} tables are {result['text_bytes']} bytes of text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=TABLES)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="of the audit")
    parser.add_argument("--calls", type=int, default=15, help="in each turn")
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
