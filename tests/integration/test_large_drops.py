"""Servers with little room: few locks for a database of many objects, or a small disk."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from fastapi import FastAPI

from core.postgres.embedded import EmbeddedServer
from core.postgres.identifiers import Environment
from core.settings import Settings
from memory.services import Services
from tests.api import Api
from tests.conftest import control_database, running
from tests.integration.test_bad_days import Truth, own_folder, started, truth
from tests.integration.test_clone import owner_session
from tests.integration.test_transactions import admin_api

LEASE = 1.0
# What PostgreSQL comes with; the room is 64 x 100 locks, and a table takes about a dozen.
FEW_LOCKS = {"max_locks_per_transaction": "64", "max_connections": "100", "fsync": "off"}


@pytest.fixture(scope="module")
async def few_locks() -> AsyncIterator[Settings]:
    async with (
        own_folder() as folder,
        started(EmbeddedServer(folder, settings=FEW_LOCKS)) as server,
        control_database(server.superuser_url, False, operation_lease=LEASE) as settings,
    ):
        yield settings.model_copy(update={"data_dir": folder})


@pytest.fixture(scope="module")
async def small_app(few_locks: Settings) -> AsyncIterator[FastAPI]:
    async with running(few_locks) as app:
        yield app


@pytest.fixture(scope="module")
async def small(small_app: FastAPI) -> AsyncIterator[Api]:
    api = await admin_api(small_app)
    yield api
    await api.client.aclose()


@pytest.fixture
def seen(few_locks: Settings) -> Truth:
    password = (few_locks.data_dir / "superuser.password").read_text().strip()
    port = (few_locks.data_dir / "port").read_text().strip()
    return truth(few_locks, f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres")


async def many(
    settings: Settings, database_id: int, uid: str, numbers: int, statement: str
) -> None:
    """Run a statement for each number, in transactions that the lock table can take."""
    async with owner_session(settings, database_id, Environment.PROD, uid) as session:
        for first in range(1, numbers + 1, 200):
            await session.execute(
                f"DO $do$ BEGIN FOR i IN {first}..{min(first + 199, numbers)} LOOP"
                f" EXECUTE format($text${statement}$text$, i); END LOOP; END $do$"
            )


async def everything(settings: Settings, database_id: int, uid: str) -> None:
    """Objects of all sorts, many of some, on top of each other."""

    async def each(numbers: int, statement: str) -> None:
        await many(settings, database_id, uid, numbers, statement)

    await each(1, "CREATE TABLE p (k int, v int) PARTITION BY RANGE (k)")
    await each(1500, "CREATE TABLE p%1$s PARTITION OF p FOR VALUES FROM (%1$s) TO (%1$s + 1)")
    await each(1, "CREATE TABLE mother (n serial)")
    await each(100, "CREATE TABLE child%1$s (own%1$s text) INHERITS (mother)")
    await each(2000, "CREATE FUNCTION f%1$s(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")
    await each(1, "CREATE VIEW v0 AS SELECT n FROM mother")
    async with owner_session(settings, database_id, Environment.PROD, uid) as session:
        for number in range(1, 200):
            await session.execute(f"CREATE VIEW v{number} AS SELECT * FROM v{number - 1}")
        await session.execute(
            "CREATE MATERIALIZED VIEW mv AS SELECT * FROM v50;"
            "CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');"
            "CREATE PROCEDURE proc() LANGUAGE sql AS 'SELECT 1';"
            "CREATE TABLE first (id int PRIMARY KEY, other int);"
            "CREATE TABLE second (id int PRIMARY KEY REFERENCES first);"
            "ALTER TABLE first ADD FOREIGN KEY (other) REFERENCES second;"
            "CREATE TABLE defaults (n int DEFAULT f7(1), CHECK (f8(n) > 0));"
            f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO d{database_id}_test;"
            "SELECT lo_from_bytea(0, 'large') FROM generate_series(1, 50)"
        )
    await each(100, "CREATE TYPE e%1$s AS ENUM ('a')")
    await each(100, "CREATE DOMAIN dom%1$s AS e%1$s CHECK (value IS NOT NULL)")
    await each(100, "CREATE TYPE c%1$s AS (x dom%1$s)")
    await each(100, "CREATE TYPE r%1$s AS RANGE (subtype = int)")
    await each(100, "CREATE TABLE typed%1$s OF c%1$s")
    await each(100, "CREATE SEQUENCE s%1$s")


async def assert_all_gone(seen: Truth, database_id: int) -> None:
    assert await seen.remains() == []
    assert await seen.drift() == []
    for query in (
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE $1",
        "SELECT 'large object' FROM pg_largeobject_metadata WHERE $1 <> ''",
        "SELECT 'default privileges' FROM pg_default_acl WHERE $1 <> ''",
    ):
        assert await seen.fetch(query, f"%\\_{database_id}") == []


async def test_three_thousand_tables_are_dropped_while_the_name_is_free(
    small: Api, few_locks: Settings, seen: Truth, uid: str
) -> None:
    database_id = await small.create("large", uid=uid)
    await many(few_locks, database_id, uid, 3000, "CREATE TABLE t%s (id serial PRIMARY KEY)")
    begun = time.monotonic()
    dropping = asyncio.create_task(small.post("drop_database", database_id=database_id, uid=uid))
    free_after = None
    while not dropping.done():
        again = await small.post("create_database", database_name="large", uid=uid)
        if again.code == 0 and free_after is None:
            free_after = time.monotonic() - begun
            assert not dropping.done()
            assert (await small.get(f"databases/{database_id}")).code == 25013
        await asyncio.sleep(0.1)
    answer = await dropping
    took = time.monotonic() - begun
    assert answer.code == 0, answer.body
    assert free_after is not None
    print(f"\n3,000 tables dropped in {took:.1f} s, the name free after {free_after:.2f} s")
    await seen.becomes_clean(3 * LEASE)
    await assert_all_gone(seen, database_id)


async def test_all_sorts_of_objects_are_dropped_under_an_open_session(
    small: Api, few_locks: Settings, seen: Truth, uid: str
) -> None:
    database_id = await small.create("sorts", uid=uid)
    await everything(few_locks, database_id, uid)
    async with owner_session(few_locks, database_id, Environment.PROD, uid) as session:
        await session.execute("BEGIN; LOCK TABLE first; INSERT INTO mother DEFAULT VALUES")
        begun = time.monotonic()
        dropped = await small.post("drop_database", database_id=database_id, uid=uid)
        took = time.monotonic() - begun
        assert dropped.code == 0, dropped.body
        with pytest.raises(
            (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)
        ):
            await session.execute("SELECT 1")
    waited = await seen.becomes_clean(10)
    print(f"\nall sorts dropped in {took:.1f} s, clean {waited:.1f} s later")
    await assert_all_gone(seen, database_id)
    await small.create("sorts", uid=uid)


@pytest.mark.parametrize("killing", ["session", "worker"])
async def test_a_drop_that_was_killed_half_way_is_continued_by_another_worker(
    small: Api, few_locks: Settings, seen: Truth, uid: str, killing: str
) -> None:
    """The sweeper of one service takes over from another that is no more."""
    database_id = await small.create("large", uid=uid)
    await many(few_locks, database_id, uid, 1500, "CREATE TABLE t%s (id int)")
    schema = f"prod_{uid}_{database_id}"

    async def tables() -> int:
        query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace IN"
        [row] = await seen.fetch(
            f"{query} (SELECT oid FROM pg_namespace WHERE nspname = $1)", schema
        )
        return int(row[0])

    async with running(few_locks) as app:
        dead: Services = app.state.services
        api = await admin_api(app)
        async with seen.session() as blocker:
            # The drop gets to this table after some batches, and no further.
            await blocker.execute(f"BEGIN; LOCK TABLE {schema}.t1200 IN ACCESS SHARE MODE")
            dropping = asyncio.create_task(
                api.post("drop_database", database_id=database_id, uid=uid)
            )
            waiting = "FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
            while not await seen.fetch(f"SELECT {waiting}"):
                assert not dropping.done()
                await asyncio.sleep(0.01)
            if killing == "worker":
                await dead.runner.stop(0)
                await asyncio.gather(dropping, return_exceptions=True)
            else:
                await seen.fetch(f"SELECT pg_terminate_backend(pid) {waiting}")
                assert (await dropping).code == 0
        left = await tables()
        [row] = await seen.fetch(
            "SELECT id, state, done, total, attempts FROM pgtwin.operation WHERE database_id = $1",
            database_id,
        )
        print(f"\nkilled with {left} of 1500 tables left: {dict(row)}", end=" ")
        assert 0 < left < 1500
        assert row["state"] == "running"
        assert 0 < row["done"] < row["total"]
        # The name is free, though most of it is there.
        await small.create("large", uid=uid)
        await api.client.aclose()
    print(f"continued in {await seen.becomes_clean(5 * LEASE):.1f} s")
    told = (await small.get(f"operations/{row['id']}")).data
    assert (told["state"], told["attempts"]) == ("finished", 2)
    await assert_all_gone(seen, database_id)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Put what the folder holds on a disk of its own; the test is skipped where that can't be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    aside = folder.with_name("aside")
    owner = folder.stat()
    folder.rename(aside)
    folder.mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "pgtwin-tests"]
    if subprocess.run([*mount, folder], capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
        os.chown(folder, owner.st_uid, owner.st_gid)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def stopped_after(server: EmbeddedServer) -> Iterator[None]:
    try:
        yield
    finally:
        server.stop()


async def test_a_full_disk_fails_the_clone_alone() -> None:
    async with own_folder() as folder:
        server = EmbeddedServer(folder, settings={"fsync": "off"})
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.stop)
        with small_disk(folder / "postgres-18" / "base", 150), stopped_after(server):
            await asyncio.to_thread(server.start)
            async with (
                control_database(server.superuser_url) as settings,
                running(settings) as app,
            ):
                api = await admin_api(app)
                source = await api.create("orders", uid="u1")
                async with owner_session(settings, source, Environment.PROD, "u1") as session:
                    await session.execute(
                        "CREATE TABLE t AS SELECT repeat('x', 1000) AS note"
                        " FROM generate_series(1, 60000)"
                    )
                seen = truth(settings, server.superuser_url)
                for _ in range(2):
                    answer = await api.post(
                        "clone_database", database_id=source, uid="u1", new_database_name="copy"
                    )
                    assert (answer.code, answer.error["retryable"]) == (25010, True), answer.body
                    assert answer.error["sqlstate"] == "53100"
                assert await seen.remains() == []
                assert await seen.drift() == []
                await api.create("copy", uid="u1")
                dropped = await api.post("drop_database", database_id=source, uid="u1")
                assert dropped.code == 0
                await api.client.aclose()
