"""Clones whose source changes, whose worker stalls, or which lack what they need."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from core.postgres.embedded import bundled_binaries
from core.postgres.engine import Database, create_engine
from core.postgres.identifiers import Environment
from core.settings import Settings
from memory.caller import Caller, Scope
from memory.databases.handlers import CloneHandler
from memory.databases.schemas import CloneDatabase
from memory.operations.errors import Interrupted
from memory.operations.models import Operation
from memory.operations.repository import OperationRepository
from memory.services import Services
from tests.api import Answer, Api
from tests.conftest import MASTER_SECRET, running
from tests.integration.test_bad_days import Truth, truth
from tests.integration.test_clone import load, owner_session, read
from tests.integration.test_transactions import admin_api

ROWS = "CREATE TABLE t AS SELECT i, repeat('x', 100) AS note FROM generate_series(1, 3000) i"


@pytest.fixture
def seen(settings: Settings, admin_url: str) -> Truth:
    return truth(settings, admin_url)


async def clone(api: Api, source: int, uid: str, name: str) -> Answer:
    call = api.post("clone_database", database_id=source, uid=uid, new_database_name=name)
    return await asyncio.wait_for(call, 20)


async def assert_nothing_left(seen: Truth, api: Api, uid: str, name: str) -> None:
    """The failed clone holds neither rows nor roles nor its name."""
    assert await seen.remains() == []
    assert await seen.drift() == []
    await api.create(name, uid=uid)


@asynccontextmanager
async def holding(
    settings: Settings, database_id: int, uid: str, script: str
) -> AsyncIterator[Any]:
    """A session of the source's owner inside a transaction that has run the script."""
    async with owner_session(settings, database_id, Environment.PROD, uid) as session:
        await session.execute(f"BEGIN; {script}")
        yield session


async def until(seen: Truth, query: str, *arguments: Any) -> None:
    deadline = time.monotonic() + 20
    while not (await seen.fetch(query, *arguments))[0][0]:
        assert time.monotonic() < deadline, query
        await asyncio.sleep(0.02)


async def until_copy_waits(seen: Truth) -> None:
    """Until a copying session, or a reading one of pg_dump, waits for a lock on a table."""
    await until(
        seen,
        "SELECT count(*) > 0 FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE NOT granted"
        " AND datname = current_database() AND application_name IN ('pgtwin clone', 'pg_dump')"
        " AND locktype = 'relation'",
    )


# The source changes.


async def test_a_source_that_is_written_gives_one_moment_of_it(
    admin: Api, settings: Settings, uid: str
) -> None:
    source = await admin.create("orders", uid=uid)
    pair = "CREATE TABLE a (n serial, note text); CREATE TABLE b (n serial, note text);"
    await load(settings, source, uid, f"{pair} {ROWS}")
    took: list[float] = []
    over = False

    async def write() -> None:
        async with owner_session(settings, source, Environment.PROD, uid) as session:
            while not over:
                begun = time.monotonic()
                async with session.transaction():
                    await session.execute("INSERT INTO a (note) VALUES ('one')")
                    await session.execute("INSERT INTO b (note) VALUES ('two')")
                took.append(time.monotonic() - begun)

    writers = [asyncio.create_task(write()) for _ in range(3)]
    answers = [await clone(admin, source, uid, f"copy{number}") for number in range(5)]
    over = True
    await asyncio.gather(*writers)
    for answer in answers:
        assert answer.code == 0, answer.body
        copy, counts = answer.data["database_id"], []
        for table in ("a", "b"):
            counts.append(await read(settings, copy, uid, f"SELECT count(*) FROM {table}"))
            top = f"SELECT coalesce(max(n), 0) < nextval('{table}_n_seq') FROM {table}"
            assert await read(settings, copy, uid, top)
        assert counts[0] == counts[1]
    took.sort()
    print(
        f"\n{len(took)} writes during 5 clones: p50 {1000 * took[len(took) // 2]:.1f} ms,", end=""
    )
    print(f" p99 {1000 * took[len(took) * 99 // 100]:.1f} ms, most {1000 * took[-1]:.1f} ms")
    assert took[-1] < 5


async def test_a_source_that_is_altered_gives_a_whole_copy_or_an_error(
    admin: Api, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, "CREATE TABLE base (n int); INSERT INTO base VALUES (1)")
    over = False

    async def alter() -> None:
        async with owner_session(settings, source, Environment.PROD, uid) as session:
            number = 0
            while not over:
                number += 1
                # The second half waits for a copy that has locked its tables.
                await session.execute(
                    f"BEGIN; CREATE TABLE extra{number} (n int);"
                    f"ALTER TABLE base ADD column{number} int; COMMIT"
                )
                await asyncio.sleep(0.02)

    altering = asyncio.create_task(alter())
    try:
        answers = [await clone(admin, source, uid, f"copy{number}") for number in range(3)]
        over = True
        await asyncio.wait_for(altering, 10)
    finally:
        altering.cancel()
    print([(answer.code, answer.message) for answer in answers if answer.code])
    for answer in answers:
        if answer.code:
            assert (answer.code, answer.error["retryable"]) == (25011, True), answer.body
            continue
        columns, tables = (
            await seen.fetch(
                "SELECT count(*) FILTER (WHERE table_name = 'base') - 1,"
                " count(*) FILTER (WHERE starts_with(table_name, 'extra'))"
                " FROM information_schema.columns WHERE table_schema = $1",
                f"prod_{uid}_{answer.data['database_id']}",
            )
        )[0]
        assert columns == tables
    assert await seen.remains() == []
    assert await seen.drift() == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t ALTER i TYPE bigint",
        "TRUNCATE t; INSERT INTO t SELECT i, 'new' FROM generate_series(1, 3000) i",
    ],
)
async def test_rows_that_a_change_moved_away_are_not_lost(
    admin: Api, settings: Settings, uid: str, seen: Truth, change: str
) -> None:
    """What rewrites a table hides its rows from snapshots that were taken before its commit."""
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with holding(settings, source, uid, change) as session:
        cloning = asyncio.create_task(clone(admin, source, uid, "copy"))
        await until_copy_waits(seen)
        await session.execute("COMMIT")
        answer = await cloning
    if answer.code:
        assert (answer.code, answer.error["retryable"]) == (25011, True), answer.body
        await assert_nothing_left(seen, admin, uid, "copy")
    else:
        rows = await read(settings, answer.data["database_id"], uid, "SELECT count(*) FROM t")
        assert rows == 3000


async def test_a_source_that_is_dropped_midway_is_dropped_before_or_after(
    admin: Api, settings: Settings, uid: str, seen: Truth
) -> None:
    told = []
    for number in range(8):
        source = await admin.create(f"orders{number}", uid=uid)
        await load(settings, source, uid, ROWS)
        cloning = asyncio.create_task(clone(admin, source, uid, f"copy{number}"))
        await asyncio.sleep(secrets.randbelow(300) / 1000)
        dropped = await admin.post("drop_database", database_id=source, uid=uid)
        cloned = await cloning
        assert dropped.code == 0, dropped.body
        told.append((cloned.code, cloned.message))
        if cloned.code == 0:
            copy = cloned.data["database_id"]
            assert await read(settings, copy, uid, "SELECT count(*) FROM t") == 3000
        else:
            assert cloned.code in (25011, 25013), cloned.body
            assert cloned.status != 500, cloned.body
            await assert_nothing_left(seen, admin, uid, f"copy{number}")
    print(told)
    assert await seen.remains() == []
    assert await seen.drift() == []


async def test_the_name_of_a_running_clone_is_taken(
    admin: Api, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with holding(settings, source, uid, "LOCK TABLE t") as session:
        cloning = asyncio.create_task(clone(admin, source, uid, "copy"))
        await until_copy_waits(seen)
        for answer in (
            await admin.post("create_database", database_name="copy", uid=uid),
            await clone(admin, source, uid, "copy"),
        ):
            assert (answer.status, answer.code) == (409, 25010)
        # It is not there yet, for anybody.
        listed = await admin.get("databases", uid=uid)
        assert [each["name"] for each in listed.data["databases"]] == ["orders"]
        await session.execute("COMMIT")
        assert (await cloning).code == 0


# What a clone needs is not there.


@pytest.mark.parametrize("lacking", ["missing", "older"])
async def test_without_fitting_client_programs_a_clone_names_the_setting(
    settings: Settings, uid: str, seen: Truth, tmp_path: Path, lacking: str
) -> None:
    folder = tmp_path if lacking == "missing" else bundled_binaries(16).pg_dump.parent
    version = (await seen.fetch("SELECT current_setting('server_version_num')::int"))[0][0]
    if lacking == "older" and version < 170000:
        pytest.skip("pg_dump 16 is not older than this server")
    async with running(settings.model_copy(update={"pg_bin_dir": folder})) as app:
        api = await admin_api(app)
        source = await api.create("orders", uid=uid)
        await load(settings, source, uid, ROWS)
        answer = await clone(api, source, uid, "copy")
        assert answer.code == 25011
        assert "PGTWIN_PG_BIN_DIR" in answer.message
        assert len(answer.message.splitlines()) == 1
        await assert_nothing_left(seen, api, uid, "copy")
        await api.client.aclose()


# Operations and their workers.


async def test_an_operation_tells_its_starter_how_it_failed(
    admin: Api, settings: Settings, uid: str, seen: Truth, tmp_path: Path
) -> None:
    async with running(settings.model_copy(update={"pg_bin_dir": tmp_path})) as app:
        api = await admin_api(app)
        source = await api.create("orders", uid=uid)
        await load(settings, source, uid, ROWS)
        failed = await clone(api, source, uid, "copy")
        await api.client.aclose()
    [row] = await seen.fetch("SELECT id FROM pgtwin.operation WHERE uid = $1", uid)
    told = (await admin.get(f"operations/{row['id']}")).data
    assert (told["state"], told["kind"], told["attempts"]) == ("failed", "clone_database", 1)
    assert told["finished_at"] is not None
    assert told["error"]["code"] == failed.code == 25011
    assert told["error"]["message"] == failed.message
    assert told["error"]["type"] == "client_program_missing"


async def test_an_operation_is_nobody_elses_business(
    admin: Api, api_for: Any, settings: Settings, uid: str
) -> None:
    source = await admin.create("orders", uid=uid)
    done = await clone(admin, source, uid, "copy")
    path = f"operations/{done.data['operation_id']}"
    own, other = await api_for(uid), await api_for(f"{uid}x")
    assert (await own.get(path)).data["state"] == "finished"
    for refused in (await other.get(path), await admin.get("operations/123456789012345")):
        assert (refused.status, refused.code) == (404, 25016)
    assert (await other.get("operations")).data == {"operations": [], "next_cursor": None}


async def test_operations_are_listed_by_pages_and_state(api_for: Any, uid: str) -> None:
    own = await api_for(uid)
    source = await own.create("orders")
    made = [(await clone(own, source, uid, f"copy{n}")).data["operation_id"] for n in range(3)]
    first = (await own.get("operations", limit=2)).data
    assert [each["operation_id"] for each in first["operations"]] == made[:0:-1]
    rest = (await own.get("operations", limit=2, cursor=first["next_cursor"])).data
    assert [each["operation_id"] for each in rest["operations"]] == made[:1]
    assert rest["next_cursor"] is None
    finished = (await own.get("operations", state="finished")).data["operations"]
    assert len(finished) == 3
    assert (await own.get("operations", state="running")).data["operations"] == []
    assert (await own.get("operations", state="lost")).code == 25000


LEASE = 0.3


@asynccontextmanager
async def workers(
    services: Services, number: int, lease: float = LEASE
) -> AsyncIterator[list[Services]]:
    """Workers that beat and sweep only when they are told to."""
    settings = services.settings.model_copy(update={"operation_lease": lease})
    made = [
        Services(
            settings,
            Database(create_engine(settings.dsn or "", settings)),
            MASTER_SECRET,
            ids=services.ids,
        )
        for _ in range(number)
    ]
    try:
        yield made
    finally:
        for each in made:
            await each.runner.stop(5)
            await each.database.close()


async def begin(worker: Services, uid: str, source: int, name: str) -> Operation:
    """Commit a clone's first step."""
    body = CloneDatabase(database_id=source, new_database_name=name)
    caller = Caller(uid, frozenset({Scope.ADMIN}))
    return await worker.database.transaction(
        lambda session: worker.databases(session).clone(caller, body)
    )


async def waiting_copy(
    worker: Services, uid: str, source: int, seen: Truth
) -> tuple[Operation, asyncio.Task[None]]:
    """A clone that runs, and waits for a table that somebody has locked."""
    operation = await begin(worker, uid, source, "copy")
    running = asyncio.create_task(worker.runner.run(operation))
    await until_copy_waits(seen)
    return operation, running


async def test_a_stalled_worker_is_taken_over_and_publishes_no_more(
    admin: Api, services: Services, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with (
        workers(services, 2) as (first, second),
        holding(settings, source, uid, "LOCK TABLE t") as session,
    ):
        operation, stalled = await waiting_copy(first, uid, source, seen)
        await first.runner._beat()
        assert await second.runner.sweep() == 0
        await asyncio.sleep(2 * LEASE)
        assert await second.runner.sweep() == 1
        await session.execute("COMMIT")
        with pytest.raises(Interrupted):
            await stalled
    told = (await admin.get(f"operations/{operation.id}")).data
    assert (told["state"], told["attempts"], told["error"]["code"]) == ("failed", 2, 25010)
    assert told["error"]["retryable"] is True
    await assert_nothing_left(seen, admin, uid, "copy")


async def test_what_a_worker_has_not_begun_it_brings_to_an_end_soon(
    admin: Api, services: Services, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with workers(services, 2, lease=3600) as (first, second):
        # Its caller has left between the commit and this.
        operation = await begin(first, uid, source, "copy")
        assert [await each.runner.sweep() for each in (first, second)] == [0, 0]
        async with seen.session() as session:
            await session.execute(
                "UPDATE pgtwin.operation SET heartbeat_at = now() - interval '6 s' WHERE id = $1",
                operation.id,
            )
        assert [await each.runner.sweep() for each in (second, first)] == [0, 1]
        told = (await admin.get(f"operations/{operation.id}")).data
        assert told["attempts"] == 2
        assert told["state"] != "running"
    assert await seen.remains() == []


async def test_what_stops_all_workers_for_a_while_makes_none_of_them_dead(
    admin: Api, services: Services, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with (
        workers(services, 3, lease=1.0) as (first, *others),
        holding(settings, source, uid, "LOCK TABLE t") as session,
    ):
        operation, cloning = await waiting_copy(first, uid, source, seen)
        keeping = [asyncio.create_task(each.runner.keep()) for each in (*others, first)]
        for _ in range(4):
            await asyncio.sleep(0.6)
            # Longer than the lease; all workers of this test are in one thread.
            time.sleep(1.3)  # noqa: ASYNC251
        await asyncio.sleep(0.6)
        await session.execute("COMMIT")
        await cloning
        for each in keeping:
            each.cancel()
    told = (await admin.get(f"operations/{operation.id}")).data
    assert (told["state"], told["attempts"]) == ("finished", 1)


async def test_an_operation_that_is_locked_keeps_no_other_from_its_heartbeat(
    admin: Api, services: Services, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    async with workers(services, 2, lease=3600) as (worker, heir):
        begun = [await begin(worker, uid, source, f"copy{number}") for number in range(2)]
        first, second = [operation.id for operation in begun]
        running = {operation.id: asyncio.create_task(asyncio.sleep(60)) for operation in begun}
        worker.runner._running.update(running)
        before = await heartbeats(seen)
        async with seen.session() as other, other.transaction():
            await other.execute("SELECT FROM pgtwin.operation WHERE id = $1 FOR UPDATE", first)
            await asyncio.wait_for(worker.runner._beat(), 5)
            while_locked = await heartbeats(seen)
        assert while_locked[first] == before[first]
        assert while_locked[second] > before[second]
        # Whoever held it tells how far it is, and lives.
        await worker.database.transaction(
            lambda session: OperationRepository(session).progress(first, "removing", 1, 2)
        )
        assert (await heartbeats(seen))[first] > before[first]
        worker.runner._running.clear()
        for task in running.values():
            task.cancel()
        async with seen.session() as session:
            await session.execute(
                "UPDATE pgtwin.operation SET heartbeat_at = now() - interval '2 h'"
                " WHERE id = ANY ($1::bigint[])",
                list(running),
            )
        assert await heir.runner.sweep() == 2
    assert await seen.remains() == []


async def heartbeats(seen: Truth) -> dict[int, Any]:
    rows = await seen.fetch("SELECT id, heartbeat_at FROM pgtwin.operation")
    return {row["id"]: row["heartbeat_at"] for row in rows}


async def test_one_that_is_begun_late_is_done_once(
    admin: Api, services: Services, settings: Settings, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    async with workers(services, 1) as (worker,):
        operation = await begin(worker, uid, source, "copy")
        await asyncio.sleep(2 * LEASE)
        sweeping = asyncio.create_task(worker.runner.sweep())
        for _ in range(1000):
            if worker.runner.running:
                break
            await asyncio.sleep(0.001)
        with suppress(Interrupted):
            await worker.runner.run(operation)
        assert await sweeping == 1
    told = (await admin.get(f"operations/{operation.id}")).data
    assert told["attempts"] == 2
    assert await seen.remains() == []


async def test_a_copy_whose_worker_stalled_before_it_was_shown_is_shown_by_another(
    admin: Api,
    services: Services,
    settings: Settings,
    uid: str,
    seen: Truth,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    publish, stalls, may_go_on = CloneHandler._publish, asyncio.Event(), asyncio.Event()

    async def stalling(self: CloneHandler, operation: Operation) -> None:
        if not stalls.is_set():
            stalls.set()
            await may_go_on.wait()
        await publish(self, operation)

    monkeypatch.setattr(CloneHandler, "_publish", stalling)
    async with workers(services, 2) as (first, second):
        operation = await begin(first, uid, source, "copy")
        stalled = asyncio.create_task(first.runner.run(operation))
        await stalls.wait()
        await asyncio.sleep(2 * LEASE)
        assert await second.runner.sweep() == 1
        may_go_on.set()
        # The copy is there: saying that it was removed would be untrue.
        await stalled
    told = (await admin.get(f"operations/{operation.id}")).data
    assert (told["state"], told["attempts"]) == ("finished", 2)
    assert await read(settings, operation.database_id, uid, "SELECT count(*) FROM t") == 3000
    assert await seen.remains() == []


async def test_two_sweeps_at_once_take_each_operation_once(
    admin: Api, services: Services, uid: str, seen: Truth
) -> None:
    source = await admin.create("orders", uid=uid)
    async with workers(services, 3) as (dead, one, other):
        begun = [await begin(dead, uid, source, f"copy{number}") for number in range(6)]
        await asyncio.sleep(2 * LEASE)
        taken = await asyncio.gather(one.runner.sweep(), other.runner.sweep())
        assert sum(taken) == len(begun)
    rows = await seen.fetch(
        "SELECT state, attempts FROM pgtwin.operation WHERE uid = $1 AND database_id <> $2",
        uid,
        source,
    )
    assert [(row["state"], row["attempts"]) for row in rows] == [("failed", 2)] * 6
    assert await seen.remains() == []
    assert await seen.drift() == []
    for number in range(6):
        await admin.create(f"copy{number}", uid=uid)
