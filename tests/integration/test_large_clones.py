"""Clones of databases whose objects one transaction can't lock, on a server with few locks."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from core.postgres.embedded import EmbeddedServer
from core.postgres.identifiers import Environment
from core.settings import Settings
from tests.acceptance.clone.files import CorpusFile
from tests.acceptance.clone.proof import fill_both, prove
from tests.acceptance.clone.twins import Bench, new_twin
from tests.api import Answer, Api
from tests.conftest import control_database, running
from tests.integration.test_bad_days import Truth, own_folder, started, truth
from tests.integration.test_clone import owner_session, read
from tests.integration.test_large_drops import FEW_LOCKS, LEASE, many
from tests.integration.test_transactions import admin_api

# Half of the room, 64 x 100 locks, is about what this many tables need.
STAGED = 280

EACH = """
DO $do$ BEGIN FOR i IN {first}..{last} LOOP
    EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, other int, note text)', i);
    EXECUTE format('INSERT INTO t%s (other, note) SELECT g, g FROM generate_series(1, 3) g', i);
END LOOP; END $do$;
-- commit
"""
KEYS = """
DO $do$ BEGIN FOR i IN {first}..{last} LOOP
    EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (other) REFERENCES t%s',
                   i, 1 + (i + 199) % {tables});
    EXECUTE format('CREATE INDEX i%s ON t%s (note)', i, i);
END LOOP; END $do$;
-- commit
"""
REST = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE SEQUENCE apart START 7;
SELECT nextval('apart'), nextval('apart');
CREATE TABLE moods (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, feels mood, class regclass, role regrole
);
INSERT INTO moods (feels, class, role) VALUES ('happy', 't1', '{role}'), (NULL, 't{tables}', NULL);
CREATE TABLE hidden (id int, doubled int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO hidden VALUES (1), (2);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY none ON hidden USING (false);
CREATE FUNCTION {schema}.known(wanted int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN EXISTS (SELECT FROM {schema}.t1 WHERE id = wanted); END $$;
CREATE TABLE checked (id int CHECK ({schema}.known(id)));
INSERT INTO checked VALUES (1), (2);
CREATE TABLE parts (k int, v text) PARTITION BY HASH (k);
CREATE TABLE parts0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT g, repeat('x', g) FROM generate_series(1, 200) g;
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE VIEW seen AS SELECT a.id, b.note FROM t1 a JOIN t{tables} b ON a.other = b.id;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM seen;
CREATE INDEX ON kept (n);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO {schema}.t2 (note) VALUES (TG_TABLE_SCHEMA); RETURN NEW; END $$;
CREATE TRIGGER told AFTER INSERT ON t3 FOR EACH ROW EXECUTE FUNCTION tell();
COMMENT ON TABLE t{tables} IS 'the last';
GRANT SELECT ON t1 TO {app};
-- then: INSERT INTO t3 (note) VALUES ('more') RETURNING id
-- then: SELECT count(*) FROM t2
-- then: INSERT INTO t4 (other) VALUES (99)
-- then: INSERT INTO checked VALUES (99)
-- then: SELECT nextval('apart')
"""


@dataclass(frozen=True)
class Place:
    server: EmbeddedServer
    settings: Settings
    app: FastAPI
    api: Api
    seen: Truth


@asynccontextmanager
async def place_of(**server_settings: str) -> AsyncIterator[Place]:
    async with (
        own_folder() as folder,
        started(EmbeddedServer(folder, settings=server_settings)) as server,
        control_database(
            server.superuser_url, operation_lease=LEASE, connect_timeout=2
        ) as settings,
        running(settings) as app,
    ):
        api = await admin_api(app)
        yield Place(server, settings, app, api, truth(settings, server.superuser_url))
        await api.client.aclose()


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.postgres.embedded.server.LONGEST_PAUSE_SECONDS", 0.1)
        async with place_of(**FEW_LOCKS) as made:
            yield made


@pytest.fixture(scope="module")
async def large(place: Place) -> AsyncIterator[int]:
    """A database just too large for one transaction, of the uid `large`."""
    source = await place.api.create("large", uid="large")
    await many(
        place.settings,
        source,
        "large",
        STAGED,
        "CREATE TABLE t%s (id serial PRIMARY KEY, note text)",
    )
    async with owner_session(place.settings, source, Environment.PROD, "large") as session:
        await session.execute("CREATE VIEW rows AS SELECT id FROM t1 UNION ALL SELECT id FROM t2")
    yield source
    await dropped(place, source, "large")


async def dropped(place: Place, database_id: int, uid: str) -> None:
    answer = await place.api.post("drop_database", database_id=database_id, uid=uid)
    assert answer.code == 0, answer.body


def clone(place: Place, source: int, name: str, api: Api | None = None) -> asyncio.Task[Answer]:
    fields = {"database_id": source, "uid": "large", "new_database_name": name}
    return asyncio.create_task((api or place.api).post("clone_database", fields))


async def operation(place: Place) -> Any:
    """The clone that was started last, as a superuser sees it."""
    rows = await place.seen.fetch(
        "SELECT id, database_id, state, done, total FROM pgtwin.operation"
        " WHERE kind = 'clone_database' ORDER BY id DESC LIMIT 1"
    )
    return rows[0] if rows else {"state": "none", "done": 0, "total": 0}


async def until(cloning: asyncio.Task[Answer], met: Callable[[], Awaitable[Any]]) -> None:
    """Wait for something to come while a clone is made."""
    while not await met():
        assert not cloning.done(), cloning.result().body
        await asyncio.sleep(0.01)


async def until_done(place: Place, cloning: asyncio.Task[Answer], part: float) -> None:
    """Until so much of the clone's transactions are done."""

    async def is_there() -> bool:
        found = await operation(place)
        far = bool(found["done"] > part * max(found["total"], 1))
        return found["state"] == "running" and far

    await until(cloning, is_there)


def large_file(folder: Path, tables: int) -> CorpusFile:
    text = "-- More tables than one transaction can lock.\n"
    for script in (EACH, KEYS):
        for first in range(1, tables + 1, 150):
            last = min(first + 149, tables)
            text += script.format(first=first, last=last, tables=tables)
    path = folder / "large.sql"
    path.write_text(text + REST.replace("{tables}", str(tables)))
    return CorpusFile(path)


async def test_twelve_hundred_tables_are_copied_whole(place: Place, tmp_path: Path) -> None:
    file = large_file(tmp_path, 600)
    catalog = await asyncpg.connect(place.seen.url)
    # The catalog has grown since its statistics were made.
    await catalog.execute("SET enable_nestloop = off")
    bench = Bench(place.api, place.app.state.services, catalog, 18, frozenset())
    source = await new_twin(bench, "source", "u1")
    filled = await fill_both(source, file, file)
    begun = time.monotonic()
    copy = await source.clone("copy")
    print(f"\n1,200 tables cloned in {time.monotonic() - begun:.1f} s", end=" ")
    made = await operation(place)
    told = (await place.api.get(f"operations/{made['id']}")).data
    print(f"in {told['total']} transactions")
    assert (told["state"], told["step"], told["done"]) == ("finished", "copying", told["total"])
    assert told["total"] > 2 * 600 / 100 * 3
    await place.seen.becomes_clean(LEASE)
    await prove(source, copy, filled)
    await copy.drop()
    await catalog.close()
    await place.seen.becomes_clean(3 * LEASE)


async def test_a_half_made_copy_is_invisible_while_its_progress_is_told(
    place: Place, large: int
) -> None:
    cloning = clone(place, large, "copy")
    heard: list[int] = []
    while not cloning.done():
        made = await operation(place)
        if made["state"] == "running":
            told = (await place.api.get(f"operations/{made['id']}")).data
            if told["state"] == "running":
                heard.append(told["done"])
                hidden = await place.api.get(f"databases/{made['database_id']}")
                listed = await place.api.get("databases", uid="large")
                # Between the question and these answers the copy may have been finished.
                if (await operation(place))["state"] == "running":
                    assert hidden.code == 25013
                    assert [d["name"] for d in listed.data["databases"]] == ["large"]
        await asyncio.sleep(0.02)
    answer = await cloning
    assert answer.code == 0, answer.body
    assert heard == sorted(heard)
    assert len(set(heard)) > 2
    await dropped(place, answer.data["database_id"], "large")


SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND"
WRITER = f"{SESSIONS} application_name = 'pgtwin clone' AND usename <> 'd{{source}}_ddl'"
READER = f"{SESSIONS} application_name = 'pgtwin clone' AND usename = 'd{{source}}_ddl'"


@pytest.mark.parametrize(
    ("killed", "part"),
    [(WRITER, 0.0), (READER, 0.2), (WRITER, 0.4), (WRITER, 0.6)],
    ids=["writer-first", "reader", "writer-half", "writer-late"],
)
async def test_a_clone_whose_session_is_killed_leaves_nothing(
    place: Place, large: int, killed: str, part: float
) -> None:
    cloning = clone(place, large, "copy")
    await until_done(place, cloning, part)
    pids = killed.format(source=large)
    found = await place.seen.fetch(f"SELECT pg_terminate_backend(pid) FROM ({pids}) AS s (pid)")
    assert len(found) == 1
    answer = await cloning
    assert (answer.code, answer.error["retryable"]) == (25010, True), answer.body
    assert await place.seen.remains() == []
    await assert_only_source(place, large)


async def assert_only_source(place: Place, source: int) -> None:
    await place.seen.becomes_clean(8 * LEASE)
    schemas = await place.seen.fetch(
        "SELECT nspname FROM pg_namespace WHERE strpos(nspname, '_large_') > 0 ORDER BY 1"
    )
    assert [row[0] for row in schemas] == [f"prod_large_{source}", f"test_large_{source}"]
    await dropped(place, await place.api.create("copy", uid="large"), "large")


@pytest.mark.parametrize("part", [0.1, 0.6])
async def test_a_clone_whose_worker_dies_is_removed_by_another(
    place: Place, large: int, part: float
) -> None:
    async with running(place.settings) as app:
        api = await admin_api(app)
        cloning = clone(place, large, "copy", api)
        await until_done(place, cloning, part)
        await app.state.services.runner.stop(0)
        await asyncio.gather(cloning, return_exceptions=True)
        await api.client.aclose()
    await assert_only_source(place, large)
    made = await operation(place)
    told = (await place.api.get(f"operations/{made['id']}")).data
    assert (told["state"], told["error"]["code"]) == ("failed", 25010)


async def test_a_removal_that_was_interrupted_is_continued(place: Place, large: int) -> None:
    async with running(place.settings) as app, place.seen.session() as blocker:
        api = await admin_api(app)
        cloning = clone(place, large, "copy", api)
        await until_done(place, cloning, 0.6)
        made = await operation(place)
        async with place.seen.session() as other, other.transaction():
            # The clone stops where it tells how far it is.
            await other.execute("SELECT FROM pgtwin.operation WHERE id = $1 FOR UPDATE", made["id"])
            schema = f"prod_large_{made['database_id']}"
            # The removal gets to this table after some batches, and no further.
            await blocker.execute(f"BEGIN; LOCK TABLE {schema}.t250 IN ACCESS SHARE MODE")
            await place.seen.fetch(
                f"SELECT pg_terminate_backend(pid) FROM ({WRITER.format(source=large)}) AS s (pid)"
            )
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        await until(cloning, lambda: place.seen.fetch(waiting))
        await app.state.services.runner.stop(0)
        await asyncio.gather(cloning, return_exceptions=True)
        await api.client.aclose()
        left = await place.seen.fetch("SELECT FROM pg_tables WHERE schemaname = $1", schema)
        assert 0 < len(left) < STAGED
    await assert_only_source(place, large)


async def test_a_clone_whose_server_dies_leaves_nothing(place: Place, large: int) -> None:
    cloning = clone(place, large, "copy")
    await until_done(place, cloning, 0.4)
    before = place.server.restarts
    os.kill(place.server.pid, signal.SIGKILL)
    answer = await cloning
    assert (answer.code, answer.error["retryable"]) == (25010, True), answer.body
    while place.server.restarts == before:  # noqa: ASYNC110  a thread counts them
        await asyncio.sleep(0.02)
    await assert_only_source(place, large)


async def test_two_clones_at_once_give_one_moment_each_of_a_source_that_is_written(
    place: Place, large: int
) -> None:
    cloning = [clone(place, large, f"copy{number}") for number in range(2)]
    async with owner_session(place.settings, large, Environment.PROD, "large") as session:
        while not all(each.done() for each in cloning):
            async with session.transaction():
                await session.execute("INSERT INTO t1 (note) VALUES ('one')")
                await session.execute(f"INSERT INTO t{STAGED} (note) VALUES ('two')")
            await asyncio.sleep(0.01)
    for each in cloning:
        answer = await each
        assert answer.code == 0, answer.body
        copy = answer.data["database_id"]
        both = f"SELECT (SELECT count(*) FROM t1) - (SELECT count(*) FROM t{STAGED})"
        assert await read(place.settings, copy, "large", both) == 0
        following = "SELECT coalesce(max(id), 0) < nextval('t1_id_seq') FROM t1"
        assert await read(place.settings, copy, "large", following)
        await dropped(place, copy, "large")


async def test_who_alters_the_source_waits_and_the_clone_does_not(place: Place, large: int) -> None:
    cloning = clone(place, large, "copy")
    await until_done(place, cloning, 0.0)
    async with owner_session(place.settings, large, Environment.PROD, "large") as session:
        altering = asyncio.create_task(session.execute(f"ALTER TABLE t{STAGED} ADD added int"))
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        await until(cloning, lambda: place.seen.fetch(waiting))
        answer = await cloning
        assert answer.code == 0, answer.body
        await altering
        await session.execute(f"ALTER TABLE t{STAGED} DROP added")
    copy = answer.data["database_id"]
    columns = (
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute"
        f" WHERE attrelid = 't{STAGED}'::regclass AND attnum > 0"
    )
    assert await read(place.settings, copy, "large", columns) == ["id", "note"]
    await dropped(place, copy, "large")


async def test_a_source_whose_owners_are_apart_is_read_by_a_login_of_each(
    place: Place, uid: str
) -> None:
    source = await place.api.create("apart", uid=uid)
    await many(place.settings, source, uid, STAGED, "CREATE TABLE t%s (id serial PRIMARY KEY)")
    async with owner_session(place.settings, source, Environment.TEST, uid) as session:
        await session.execute("CREATE TABLE here (n int); INSERT INTO here VALUES (1), (2)")
    fields = {"database_id": source, "uid": uid}
    made = await place.api.post("create_connection", {**fields, "env": "test"})
    assert made.code == 0, made.body
    answer = await place.api.post("clone_database", {**fields, "new_database_name": "copy"})
    assert answer.code == 0, answer.body
    told = await place.api.get(f"operations/{answer.data['operation_id']}")
    assert told.data["total"] > 0
    copy = answer.data["database_id"]
    rows = {"database_id": copy, "uid": uid, "env": "test", "dml": "SELECT sum(n) AS n FROM here"}
    assert (await place.api.post("exec_dml", rows)).data["exec_success"] == [{"n": 3}]
    counted = await place.seen.fetch(
        "SELECT count(*) AS n FROM pg_tables WHERE schemaname LIKE $1", f"prod%{copy}"
    )
    assert counted[0]["n"] == STAGED
    apart = await place.seen.fetch("SELECT FROM pg_roles WHERE rolname = $1", f"d{copy}_test_own")
    assert len(apart) == 1
    for database_id in (source, copy):
        await dropped(place, database_id, uid)
    await place.seen.becomes_clean(3 * LEASE)


async def test_what_one_transaction_can_lock_is_cloned_in_one(place: Place, uid: str) -> None:
    source = await place.api.create("fits", uid=uid)
    await many(place.settings, source, uid, 260, "CREATE TABLE t%s (id int)")
    answer = await place.api.post(
        "clone_database", database_id=source, uid=uid, new_database_name="copy"
    )
    assert answer.code == 0, answer.body
    told = await place.api.get(f"operations/{answer.data['operation_id']}")
    assert told.data["total"] == 0
    for database_id in (source, answer.data["database_id"]):
        await dropped(place, database_id, uid)
    await place.seen.becomes_clean(3 * LEASE)


async def test_a_source_with_more_tables_than_locks_is_refused_before_anything_is_made() -> None:
    async with place_of(max_locks_per_transaction="10", max_connections="30", fsync="off") as small:
        source = await small.api.create("large", uid="large")
        async with owner_session(small.settings, source, Environment.PROD, "large") as session:
            for number in range(160):
                await session.execute(f"CREATE TABLE t{number} ()")
        answer = await clone(small, source, "copy")
        assert (answer.status, answer.code) == (422, 25011), answer.body
        assert answer.error["type"] == "too_large_to_clone"
        assert "160 tables" in answer.message
        assert "max_locks_per_transaction" in answer.message
        assert (await operation(small))["total"] == 0
        await assert_only_source(small, source)
        await dropped(small, source, "large")
