"""Statements that come again: run in one round trip, and right whatever has changed meanwhile."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.postgres.tenant_connection import TenantConnection
from tests.integration.statements.conftest import Owner, Plant, Worker
from tests.integration.statements.test_endings import backends
from tests.integration.statements.test_one_trip import LOG
from tests.sql import Twin, as_user

ALICE, BOB = as_user("alice"), as_user("bob")


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were described before they were executed."""
    found: list[str] = []
    prepare = TenantConnection._prepare_statement

    async def watched(self: TenantConnection, statement: str, deadline: float | None) -> Any:
        found.append(statement)
        return await prepare(self, statement, deadline)

    monkeypatch.setattr(TenantConnection, "_prepare_statement", watched)
    return found


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_what_comes_again_is_not_described_again(
    twin: Twin, prepared: list[str], audience: dict[str, str]
) -> None:
    insert = "INSERT INTO notes (uid, body, n) VALUES ('alice', $1, $2)"
    first = (await twin.rows(insert, params=["a", 1], **audience))[0]["id"]
    assert len(prepared) == 1
    for n in range(2, 5):
        [added] = await twin.rows(insert, params=["a", n], **audience)
        assert added["id"] > first
    batch = [["b", 5], ["b", 6]]
    assert len(await twin.rows(insert, params=batch, **audience)) == 2
    assert len(prepared) == 1
    for n in range(1, 7):
        # Of one text but for what they ask for.
        found = await twin.rows(f"SELECT n, body FROM notes WHERE n = {n}", **audience)
        assert found == [{"n": n, "body": "a" if n < 5 else "b"}]
    assert len(prepared) == 2
    for n in range(3):
        assert await twin.code(f"UPDATE notes SET n = {n + 10} WHERE n = {n}", **audience) == 0
    assert len(prepared) == 3


async def test_a_table_that_has_changed_is_described_again(twin: Twin, prepared: list[str]) -> None:
    await twin.make("CREATE TABLE t (id int PRIMARY KEY, v int)", env="prod")
    every, one = "SELECT * FROM t", "SELECT v FROM t WHERE v = $1"
    insert = "INSERT INTO t VALUES ($1, $2)"
    await twin.rows(insert, params=[1, 7])
    assert await twin.rows(every) == [{"id": 1, "v": 7}]
    assert await twin.rows(one, params=[7]) == [{"v": 7}]
    for change, value in (
        ("ALTER TABLE t ALTER v TYPE text", "7"),
        ("ALTER TABLE t ALTER v TYPE jsonb USING jsonb_build_object('a', v)", {"a": "7"}),
        ("ALTER TABLE t ALTER v TYPE text[] USING ARRAY[v::text]", ['{"a": "7"}']),
        ("ALTER TABLE t ALTER v TYPE json USING to_json(v)", ['{"a": "7"}']),
    ):
        await twin.make(change, env="prod")
        assert await twin.rows(every) == [{"id": 1, "v": value}]
        if "json USING" not in change:
            assert await twin.rows(one, params=[value]) == [{"v": value}]
        assert await twin.code(insert, params=[2, value]) == 0
        assert (await twin.rows(every))[1]["v"] == value
        await twin.rows("DELETE FROM t WHERE id = 2")
    await twin.make("ALTER TABLE t DROP v; ALTER TABLE t ADD w bool DEFAULT true", env="prod")
    assert await twin.rows(every) == [{"id": 1, "w": True}]
    await twin.make("ALTER TABLE t ADD x date", env="prod")
    assert await twin.rows(every) == [{"id": 1, "w": True, "x": None}]
    refused = await twin.dml(one, params=[7])
    assert refused.error["sqlstate"] == "42703"
    await twin.make("DROP TABLE t", env="prod")
    refused = await twin.dml(every)
    assert refused.error["type"] == "unknown_table", refused.body
    await twin.make("CREATE TABLE t (name text)", env="prod")
    assert await twin.code(every) == 0
    assert len(prepared) > 6


@pytest.mark.parametrize(
    ("old", "new", "first", "then", "text"),
    [
        ("timestamp", "timestamptz", "2024-01-01", "2024-01-01T10:00+05", "2024-01-01 05:00:00+00"),
        ("int", "bigint", 1, 3_000_000_000, "3000000000"),
        ("int", "text", 1, "abc", "abc"),
        ("float8", "numeric", 1, "1.00000000000000000001", "1.00000000000000000001"),
        ("date", "timestamp", "2024-01-01", "2024-01-01 10:30", "2024-01-01 10:30:00"),
        ("text", "jsonb", "a", {"a": [1]}, '{"a": [1]}'),
        ("json", "int[]", [1], [1, 2], "{1,2}"),
        ("int[]", "json", [1], [[1, 2], {}], "[[1, 2], {}]"),
        ("bool", "text", True, "yes", "yes"),
    ],
)
@pytest.mark.parametrize("returning", ["", " RETURNING v"])
async def test_a_parameter_is_read_as_what_its_column_is_now(
    twin: Twin, old: str, new: str, first: Any, then: Any, text: str, returning: str
) -> None:
    insert = f"INSERT INTO t (v) VALUES ($1){returning}"
    await twin.make(f"CREATE TABLE t (v {old})", env="prod")
    assert await twin.code(insert, params=[first]) == 0
    await twin.make(f"DROP TABLE t; CREATE TABLE t (v {new})", env="prod")
    for _ in range(2):
        assert await twin.code(insert, params=[then]) == 0
    assert await twin.rows("SELECT v::text FROM t", rows="arrays") == [[text]] * 2


async def test_what_does_not_fit_its_column_now_is_refused(twin: Twin) -> None:
    insert = "INSERT INTO t (v) VALUES ($1)"
    await twin.make("CREATE TABLE t (v numeric)", env="prod")
    assert await twin.code(insert, params=["1.5"]) == 0
    await twin.make("ALTER TABLE t ALTER v TYPE int", env="prod")
    for _ in range(2):
        assert (await twin.dml(insert, params=["1.5"])).error["sqlstate"] == "22P02"
    await twin.make("ALTER TABLE t ALTER v TYPE jsonb USING to_jsonb(v)", env="prod")
    assert await twin.code(insert, params=[{"a": 1}]) == 0
    await twin.make("ALTER TABLE t ALTER v TYPE text", env="prod")
    assert (await twin.dml(insert, params=[{"a": 1}])).error["type"] == "invalid_parameter"
    assert await twin.value("SELECT count(*) FROM t") == 2


async def test_a_batch_over_a_table_that_has_changed(twin: Twin) -> None:
    await twin.make("CREATE TABLE t (a int)", env="prod")
    await twin.rows("INSERT INTO t VALUES ($1)", params=[[1], [2], [3]])
    both, params = "SELECT * FROM t WHERE a = $1", [[1], [2], [4]]
    assert await twin.rows(both, params=params) == [{"a": 1}, {"a": 2}]
    await twin.make("ALTER TABLE t ADD b int DEFAULT 7", env="prod")
    assert await twin.rows(both, params=params) == [{"a": 1, "b": 7}, {"a": 2, "b": 7}]
    change = "UPDATE t SET b = $1 WHERE a = 1"
    await twin.rows(change, params=[[1], [2]])
    await twin.make("ALTER TABLE t ALTER b TYPE text", env="prod")
    await twin.rows(change, params=[["x"], ["y"]])
    assert await twin.value("SELECT b FROM t WHERE a = 1") == "y"


async def test_ddl_after_a_remembered_statement_is_run_once(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute("CREATE SEQUENCE s")
    for _ in range(2):
        await twin.rows("SELECT 1")
    refused = await twin.ddl(
        "CREATE TABLE t (id int DEFAULT 1, CHECK (id > 0)); ALTER TABLE notes ADD COLUMN x"
        " int DEFAULT nextval('s'); CREATE TABLE notes (id int)",
        env="prod",
        **{"as": "owner"},
    )
    assert refused.error["sqlstate"] == "42P07", refused.body
    assert await twin.value("SELECT nextval('s')") <= 2


async def test_rows_that_are_dropped_count_too(twin: Twin, worker: Worker) -> None:
    """Of two statements that differ in literals only, the second has other columns."""
    await twin.rows("INSERT INTO notes (uid, body) VALUES ('x', repeat('y', 200000))")
    async with worker(sql_byte_limit=65_536) as (_, api):
        small = replace(twin, api=api)
        assert await small.code("SELECT body, 1 AS a FROM notes WHERE n = 5") == 0
        for _ in range(2):
            refused = await small.dml("SELECT body, '1' AS a FROM notes WHERE n IS NULL")
            assert refused.error["type"] == "result_too_large", refused.body
            assert "kept" not in refused.body["message"]


async def test_an_answer_that_is_too_large_for_a_change_that_is_kept(
    twin: Twin, worker: Worker
) -> None:
    await twin.make("CREATE TABLE t (id text DEFAULT repeat('x', 100000), n int)", env="prod")
    async with worker(sql_byte_limit=65_536) as (_, api):
        small = replace(twin, api=api)
        for n in range(3):
            before = await twin.value("SELECT count(*) FROM t")
            refused = await small.dml("INSERT INTO t (n) VALUES ($1)", params=[n])
            assert refused.error["type"] == "result_too_large", refused.body
            if await twin.value("SELECT count(*) FROM t") > before:
                assert "kept" in refused.body["message"]


async def test_literals_of_other_types_are_what_they_are(twin: Twin) -> None:
    for _ in range(2):
        for literal, value in (("1", 1), ("'a'", "a"), ("1.5", 1.5), ("NULL", None), ("'1'", "1")):
            assert await twin.value(f"SELECT {literal}") == value
    for literal, kind in (("1", "integer"), ("'a'", "text"), ("2", "integer")):
        answer = await twin.dml(f"SELECT {literal} AS x")
        assert answer.data["statements"][0]["columns"] == [{"name": "x", "type": kind}]


async def test_each_environment_and_user_has_his_own(twin: Twin, worker: Worker) -> None:
    await twin.make("CREATE TABLE t (v int)", env="prod")
    await twin.make("CREATE TABLE t (w text, x int)", env="test")
    for _ in range(3):
        await twin.rows("INSERT INTO t VALUES (1)", env="prod")
        await twin.rows("INSERT INTO t VALUES ('1')", env="test")
        assert await twin.value("SELECT * FROM t LIMIT 1", env="prod") == 1
        assert (await twin.rows("SELECT * FROM t LIMIT 1", env="test"))[0] == {"w": "1", "x": None}
    async with worker(sql_sessions_per_login=1) as (_, api):
        shared = replace(twin, api=api)
        for n in range(3):
            for user, name in ((ALICE, "alice"), (BOB, "bob")):
                body = f"{name} {n}"
                insert = "INSERT INTO notes (body) VALUES ($1)"
                await shared.rows(insert, params=[body], **user)
                seen = await shared.rows("SELECT uid, body FROM notes ORDER BY id", **user)
                assert seen == [
                    {"uid": f"shop:{name}", "body": f"{name} {each}"} for each in range(n + 1)
                ]


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_session_that_was_ended_while_idle_writes_once(
    twin: Twin, admin_connection: Any, audience: dict[str, str]
) -> None:
    insert = "INSERT INTO notes (uid, n) VALUES ('alice', $1)"
    for n in range(6):
        pids = await backends(admin_connection, twin)
        for pid in pids:
            await admin_connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        assert pids
        assert await twin.code(insert, params=[n], **audience) == 0
    found = await twin.rows("SELECT n FROM notes ORDER BY n", rows="arrays")
    assert found == [[n] for n in range(6)]


async def test_read_only_and_rehearsed_calls_are_so_the_second_time_too(
    twin: Twin, owner: Owner
) -> None:
    async with owner(twin) as session:
        await session.execute(LOG)
    for _ in range(3):
        refused = await twin.dml("SELECT log_it()", read_only=True)
        assert refused.error["sqlstate"] == "25006", refused.body
        insert = "INSERT INTO notes (uid) VALUES ('alice')"
        assert await twin.code(insert, dry_run=True) == 0
        assert await twin.value("SELECT count(*) FROM notes") == 0
    assert await twin.value("SELECT log_it()") == 1
    refused = await twin.dml("SELECT log_it()", read_only=True)
    assert refused.error["sqlstate"] == "25006", refused.body
    assert await twin.value("SELECT count(*) FROM notes") == 1


async def test_a_page_is_cut_and_limits_hold_the_second_time_too(
    twin: Twin, worker: Worker
) -> None:
    many = "SELECT g FROM generate_series(1, 150) AS g"
    for _ in range(3):
        answer = await twin.dml(many)
        assert len(answer.data["exec_success"]) == 100
        assert answer.data["statements"][0]["truncated"] is True
    async with worker(sql_row_limit=120) as (_, api):
        small = replace(twin, api=api)
        for _ in range(3):
            assert (await small.dml(f"{many} LIMIT 140")).error["type"] == "too_many_rows"
            assert len(await small.rows(f"{many} LIMIT 110")) == 110


async def test_values_of_the_databases_own_types(twin: Twin) -> None:
    await twin.make("CREATE TYPE mood AS ENUM ('sad', 'ok')", env="prod", **{"as": "owner"})
    await twin.make("CREATE TABLE t (m mood, moods mood[])", env="prod")
    for mood in ("sad", "ok", "sad"):
        await twin.rows("INSERT INTO t VALUES ($1, $2)", params=[mood, [mood, "ok"]])
        found = await twin.rows("SELECT * FROM t WHERE m = $1", params=[mood])
        assert found[-1] == {"m": mood, "moods": [mood, "ok"]}
    refused = await twin.dml("SELECT * FROM t WHERE m = $1", params=["glad"])
    assert refused.error["sqlstate"] == "22P02"


async def test_what_one_session_has_learned_all_of_its_login_know(
    twin: Twin, worker: Worker, prepared: list[str]
) -> None:
    every = "SELECT $1::int AS n, body FROM notes"
    async with worker(sql_sessions=3) as (app, api):
        here = replace(twin, api=api)
        await here.rows("INSERT INTO notes (uid, body) VALUES ('a', 'b')")
        await here.rows(every, params=[0])
        assert len(prepared) == 2
        # Of one statement at once, in three sessions, two of them new.
        calls = [here.rows(every, params=[n]) for n in range(3)]
        found = await asyncio.gather(*calls)
        assert found == [[{"n": n, "body": "b"}] for n in range(3)]
        assert len(prepared) == 2
        assert app.state.services.sessions.total == 3
        # The old sessions are gone, and what they have learned is not.
        app.state.services.sessions.close_idle()
        assert await here.rows(every, params=[7]) == [{"n": 7, "body": "b"}]
        assert len(prepared) == 2
        # An end user's login is another.
        await here.rows("SELECT body FROM notes WHERE n = $1", params=[1])
        await here.rows("SELECT body FROM notes WHERE n = $1", params=[1], **ALICE)
        assert len(prepared) == 4


@pytest.mark.parametrize("is_local", [True, False])
async def test_what_a_session_makes_of_its_encoding_no_other_reads_by(
    twin: Twin, plant: Plant, is_local: bool
) -> None:
    await plant(twin, "encs", "client_encoding", "LATIN1", is_local=is_local)
    insert, every = (
        "INSERT INTO notes (uid, body) VALUES ($1, 'x')",
        "SELECT uid FROM notes LIMIT 9",
    )
    for n in range(1, 4):
        assert await twin.code(insert, params=["zoë"]) == 0
        assert await twin.rows(every) == [{"uid": "zoë"}] * n
        await twin.dml("SELECT * FROM encs")


async def test_a_limit_that_a_call_leaves_is_lifted_when_it_ends(
    twin: Twin, plant: Plant, worker: Worker
) -> None:
    await plant(twin, "hurried", "statement_timeout", "901", is_local=False)
    async with worker(sql_sessions=1) as (app, api):
        here = replace(twin, api=api)
        for dml in (
            "SELECT * FROM hurried",
            "INSERT INTO notes (uid, n) SELECT 'a', n FROM hurried",
        ):
            await here.rows(dml)
            login = f"d{twin.id}_ddl"
            async with app.state.services.sessions.session(login) as idle:
                assert idle.uses > 0
                assert (await idle.run("SHOW statement_timeout")).rows != [("901ms",)]


async def test_types_that_a_new_session_has_not_met_are_described_again(
    twin: Twin, worker: Worker, prepared: list[str]
) -> None:
    await twin.make("CREATE TYPE mood AS ENUM ('sad', 'ok')", env="prod", **{"as": "owner"})
    await twin.make("CREATE TABLE t (m mood)", env="prod")
    async with worker() as (app, api):
        here = replace(twin, api=api)
        for n in range(1, 4):
            assert await here.code("INSERT INTO t VALUES ($1)", params=["ok"]) == 0
            assert await here.rows("SELECT m FROM t LIMIT $1", params=[1]) == [{"m": "ok"}]
            assert len(prepared) == 1 + n
            app.state.services.sessions.close_idle()


async def test_a_later_statement_of_a_call(twin: Twin, prepared: list[str]) -> None:
    for n in range(3):
        call = f"INSERT INTO notes (uid, n) VALUES ('a', {n}); SELECT count(*) AS n FROM notes"
        assert (await twin.rows(call))[-1] == {"n": n + 1}
    assert len(prepared) == 2
    refused = await twin.dml("INSERT INTO notes (uid, n) VALUES ('a', 1); SELECT 1 / 0")
    assert refused.error["details"][0]["statement"] == 2
    assert await twin.value("SELECT count(*) FROM notes") == 3


async def test_many_at_once_while_the_table_changes(twin: Twin) -> None:
    await twin.make("CREATE TABLE t (id int, v int)", env="prod")
    is_over = False

    async def change() -> None:
        for n in range(12):
            kind = ("text", "int")[n % 2]
            await twin.make(f"ALTER TABLE t ALTER v TYPE {kind} USING v::{kind}", env="prod")
            await twin.make(f"ALTER TABLE t ADD c{n} int DEFAULT {n}", env="prod")

    async def call(number: int) -> int:
        done = 0
        while not is_over:
            added = await twin.dml("INSERT INTO t (id, v) VALUES ($1, $2)", params=[number, "7"])
            if added.code == 0:
                done += 1
            else:
                # Its value did not fit the column that there was at the moment.
                assert added.error["type"] == "invalid_parameter", added.body
            for row in await twin.rows("SELECT * FROM t LIMIT 20"):
                assert row["v"] in (7, "7"), row
                assert all(row[f"c{n}"] == n for n in range(12) if f"c{n}" in row)
        return done

    callers = [asyncio.create_task(call(number)) for number in range(6)]
    try:
        await change()
    finally:
        is_over = True
        done = await asyncio.gather(*callers)
    assert await twin.value("SELECT count(*) FROM t") == sum(done) > 0
