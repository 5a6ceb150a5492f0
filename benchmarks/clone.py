"""Clone a database against `pg_dump | psql` of the same schemas, on one server in one run.

Run it with `make bench`. Datasets: A, 13 small tables with foreign keys; B, 5 tables with a
million rows; C, 200 empty tables. Printed are the medians and their ratio.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from core.postgres.embedded import EmbeddedServer, bundled_binaries
from core.postgres.engine import Database, create_engine
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url, prepare
from core.settings import Settings
from memory.caller import ANY_SPACE, Caller, Scope
from memory.control_schema import migrate
from memory.databases.schemas import CloneDatabase, CreateDatabase, DropDatabase
from memory.instances.service import InstanceLeases
from memory.services import Services

SECRET = "the-secret-of-a-benchmark-and-nothing-else"  # noqa: S105
UID = "bench"
CALLER = Caller(None, frozenset({Scope.ADMIN}), spaces=frozenset({ANY_SPACE}))

SMALL = "\n".join(
    f"CREATE TABLE t{i} (id bigserial PRIMARY KEY, parent bigint"
    + (f" REFERENCES t{i - 1}" if i else "")
    + ", name text NOT NULL, at timestamptz DEFAULT now(), amount numeric(12, 2));"
    f"CREATE INDEX ON t{i} (name);"
    f"INSERT INTO t{i} (parent, name, amount) SELECT {'g' if i else 'NULL'}, 'n' || g, g"
    " FROM generate_series(1, 50) g;"
    for i in range(13)
)
LARGE = "\n".join(
    f"CREATE TABLE t{i} (id bigint PRIMARY KEY, a text, b text, c numeric, at timestamptz);"
    f"INSERT INTO t{i} SELECT g, md5(g::text), repeat(md5((g * 7)::text), 6), g * 1.5, now()"
    " FROM generate_series(1, 200000) g;"
    f"CREATE INDEX ON t{i} (a);"
    for i in range(5)
)
EMPTY = "\n".join(
    f"CREATE TABLE t{i} (id bigserial PRIMARY KEY, name text NOT NULL DEFAULT '', n int);"
    for i in range(200)
)
DATASETS = {"A": (SMALL, 9), "B": (LARGE, 3), "C": (EMPTY, 5)}


class Bench:
    def __init__(self, services: Services, admin_url: str) -> None:
        self._services = services
        self._admin_url = admin_url
        self._count = 0

    async def create(self, script: str) -> int:
        self._count += 1
        body = CreateDatabase(database_name=f"s{self._count}", uid=UID)
        database = await self._services.database.transaction(
            lambda session: self._services.databases(session).create(CALLER, body)
        )
        login = RoleName.ddl(database.id).name
        url = login_url(self._admin_url, login, derive(SECRET, login))
        connection = await asyncpg.connect(url)
        for environment in Environment:
            await connection.execute(
                f"SET ROLE {RoleName.owner(environment, database.id)};"
                f"SET search_path TO {SchemaName.of(environment, UID, database.id)};{script}"
            )
        await connection.close()
        return database.id

    async def clone(self, source: int) -> int:
        self._count += 1
        body = CloneDatabase(database_id=source, uid=UID, new_database_name=f"c{self._count}")
        operation = await self._services.database.transaction(
            lambda session: self._services.databases(session).clone(CALLER, body)
        )
        await self._services.runner.run(operation)
        return operation.database_id

    async def drop(self, database_id: int) -> None:
        body = DropDatabase(database_id=database_id, uid=UID, purge=True)
        dropped = await self._services.database.transaction(
            lambda session: self._services.databases(session).drop(CALLER, body)
        )
        if dropped.operation is not None:
            await self._services.runner.run(dropped.operation)

    async def dump_and_restore(self, source: int) -> None:
        """What one would do by hand: both schemas, into an empty database."""
        await asyncio.to_thread(_pipe, self._admin_url, source)

    async def empty_database(self, *, drop_only: bool = False) -> None:
        connection = await asyncpg.connect(self._admin_url)
        await connection.execute("DROP DATABASE IF EXISTS by_hand WITH (FORCE)")
        if not drop_only:
            await connection.execute("CREATE DATABASE by_hand")
        await connection.close()


def _pipe(admin_url: str, source: int) -> None:
    programs = bundled_binaries()
    schemas = [f"--schema={SchemaName.of(each, UID, source)}" for each in Environment]
    target = admin_url.rpartition("/")[0] + "/by_hand"
    dump = subprocess.Popen(
        [programs.pg_dump, *schemas, f"--dbname={admin_url}"], stdout=subprocess.PIPE
    )
    subprocess.run(
        [programs.psql, "--quiet", "--set=ON_ERROR_STOP=1", target],
        stdin=dump.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    if dump.wait() != 0:
        raise RuntimeError("pg_dump failed")


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, object]:
    started = time.perf_counter()
    result = await work()
    return time.perf_counter() - started, result


async def compare(bench: Bench, name: str) -> None:
    script, rounds = DATASETS[name]
    source = await bench.create(script)
    ours, theirs = [], []
    # By turns, so that both see the same machine; the first round warms up.
    for number in range(rounds + 1):
        seconds, copy = await timed(lambda: bench.clone(source))
        await bench.empty_database()
        by_hand, _ = await timed(lambda: bench.dump_and_restore(source))
        if number:
            ours.append(seconds)
            theirs.append(by_hand)
        await bench.drop(int(str(copy)))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{name}  clone {mine:8.3f} s   pg_dump | psql {other:8.3f} s   ratio {mine / other:.2f}")
    # Its grants name the source's roles, which could not be dropped.
    await bench.empty_database(drop_only=True)
    await bench.drop(source)


async def run(url: str, names: list[str]) -> None:
    admin_url = url.rpartition("/")[0] + "/pgtwin"
    prepared = await prepare(admin_url, SECRET, log=lambda _line: None)
    settings = Settings(
        DATABASE_URL=SecretStr(prepared.control_url),
        owner_url=SecretStr(prepared.owner_url),
        master_secret=SecretStr(SECRET),
        statement_timeout=600,
    )
    engine = create_engine(prepared.owner_url, settings, pooled=False)
    await migrate(engine)
    await engine.dispose()
    database = Database(create_engine(prepared.control_url, settings))
    services = Services(settings, database, SECRET)
    leases = InstanceLeases(database, services.ids)
    await leases.acquire()
    bench = Bench(services, admin_url)
    keeper = asyncio.create_task(leases.keep())
    for name in names:
        await compare(bench, name)
    keeper.cancel()
    await leases.release()
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="*", metavar="A|B|C", help="default: all")
    names = parser.parse_args().datasets or list(DATASETS)
    if unknown := set(names) - DATASETS.keys():
        parser.error(f"no such dataset: {', '.join(sorted(unknown))}")
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-bench-"))
    folder.chmod(0o711)
    try:
        with EmbeddedServer(folder) as server:
            print(f"PostgreSQL 18, fsync on, {os.cpu_count()} cores")
            asyncio.run(run(server.superuser_url, names))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
