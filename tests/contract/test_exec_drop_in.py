"""exec_ddl and exec_dml on the drop-in mount, with the SQL that its clients really send."""

import re
import secrets
from typing import Any

import pytest

from tests.api import Answer, Api
from tests.contract.test_drop_in import assert_refused
from tests.sql import Twin

APP = "app1"
TABLE = (
    'CREATE TABLE "t" ("id" BIGSERIAL PRIMARY KEY, "uid" VARCHAR(64) NOT NULL,'
    ' "create_time" TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, "c" VARCHAR)'
)
SECOND = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
async def empty(drop_in: Api, uid: str) -> Twin:
    return Twin(drop_in, await drop_in.create("orders", uid=uid), uid)


@pytest.fixture
async def twin(empty: Twin) -> Twin:
    """A database with the table that the console makes."""
    await empty.make(TABLE)
    return empty


def assert_done(answer: Answer) -> None:
    assert (answer.status, answer.code) == (200, 0), answer.body
    assert set(answer.body) == {"code", "message", "data", "sid"}
    assert set(answer.data) == {"exec_success", "exec_failure", "exec_time"}
    assert answer.data["exec_failure"] == []
    assert type(answer.data["exec_time"]) is float


# What the console sends.


@pytest.mark.parametrize(
    ("type_", "default", "sent", "answered"),
    [
        ("VARCHAR", "'none'", "'text'", "text"),
        ("BIGINT", "7", "9007199254740993", 9007199254740993),
        ("DECIMAL", "1.5", "12.50", 12.5),
        ("TIMESTAMP", "'2024-01-02 03:04:05'", "'2025-06-07 08:09:10.987'", "2025-06-07 08:09:10"),
        ("boolean", "true", "false", False),
    ],
)
@pytest.mark.parametrize("is_required", [False, True])
async def test_a_table_of_each_type(
    empty: Twin, type_: str, default: str, sent: str, answered: Any, is_required: bool
) -> None:
    column = f'"c" {type_}{" NOT NULL" if is_required else ""} DEFAULT {default}'
    made = await empty.ddl(TABLE.replace('"c" VARCHAR', column))
    assert (made.status, set(made.body)) == (200, {"code", "message", "sid"})
    assert made.code == 0, made.body
    for env in ("prod", "test"):
        inserted = await empty.dml(
            f'INSERT INTO "t" ("uid", "c") VALUES (\'{empty.uid}\', {sent});', env=env
        )
        assert_done(inserted)
        [new] = inserted.data["exec_success"]
        assert set(new) == {"id"}
        assert type(new["id"]) is int
        found = await empty.dml(
            'SELECT * FROM "t" ORDER BY "create_time" DESC, "id" DESC LIMIT 10 OFFSET 0', env=env
        )
        assert_done(found)
        [row] = found.data["exec_success"]
        assert re.fullmatch(SECOND, row.pop("create_time"))
        assert row == {"id": new["id"], "uid": empty.uid, "c": answered}
        await empty.rows("INSERT INTO t (uid) VALUES ('x')", env=env)
        assert await empty.value('SELECT COUNT(*) FROM "t"', env=env) == 2


async def test_the_consoles_life_of_a_table(twin: Twin) -> None:
    for ddl in (
        "COMMENT ON TABLE \"t\" IS 'a; table''s comment'",
        'COMMENT ON COLUMN "t"."c" IS \'注释 :word ;\'',
        'COMMENT ON COLUMN "t"."c" IS NULL',
        'ALTER TABLE "t" RENAME COLUMN "c" TO "d"',
        'ALTER TABLE "t" ADD COLUMN IF NOT EXISTS "n" BIGINT NOT NULL DEFAULT 5',
        'ALTER TABLE "t" ADD COLUMN IF NOT EXISTS "n" BIGINT NOT NULL DEFAULT 5',
        'ALTER TABLE "t" ALTER COLUMN "n" SET DATA TYPE DECIMAL, ALTER COLUMN "n" DROP NOT NULL,'
        ' ALTER COLUMN "n" SET DEFAULT 1.25',
        'ALTER TABLE "t" ALTER COLUMN "d" SET NOT NULL',
        'ALTER TABLE "t" DROP COLUMN IF EXISTS "absent"',
        'ALTER TABLE "t" RENAME TO "u"',
    ):
        await twin.make(ddl)
    await twin.rows('INSERT INTO "u" ("uid", "d") VALUES (\'x\', \'one\');')
    await twin.make('CREATE TABLE "u_copy" AS SELECT * FROM "u"')
    await twin.make('ALTER TABLE "u" DROP COLUMN IF EXISTS "d"')
    [row] = await twin.rows('SELECT * FROM "u" LIMIT 1000 OFFSET 0')
    assert set(row) == {"id", "uid", "create_time", "n"}
    assert row["n"] == 1.25
    [copied] = await twin.rows('SELECT * FROM "u_copy" LIMIT 1000 OFFSET 0')
    assert (copied["id"], copied["uid"], copied["d"]) == (row["id"], twin.uid, "one")
    await twin.make('DROP TABLE IF EXISTS "u"; DROP TABLE IF EXISTS "u"')
    assert_refused(await twin.dml('SELECT * FROM "u"'), 25020)


async def test_the_consoles_life_of_rows(twin: Twin) -> None:
    ids = [
        (await twin.rows(f'INSERT INTO "t" ("uid", "c") VALUES (\'{twin.uid}\', \'{n}\');'))[0][
            "id"
        ]
        for n in range(3)
    ]
    changed = await twin.dml(
        f'UPDATE "t" SET "uid" = \'{twin.uid}\', "c" = \'x\' WHERE "id" = {ids[0]};'
    )
    assert_done(changed)
    assert changed.data["exec_success"] == []
    deleted = await twin.dml(f'DELETE FROM "t" WHERE "id" = {ids[1]};')
    assert_done(deleted)
    assert deleted.data["exec_success"] == []
    found = await twin.rows(f'SELECT * FROM "t" WHERE "id" IN ({ids[0]},{ids[1]})')
    assert [(row["id"], row["c"]) for row in found] == [(ids[0], "x")]
    assert await twin.rows('SELECT COUNT(*) FROM "t"') == [{"count": 2}]


async def test_the_workflow_engines_insert(empty: Twin) -> None:
    await empty.make(TABLE.replace('"c" VARCHAR', '"c" VARCHAR, "at" TIMESTAMP'))
    [new] = await empty.rows(
        "insert into t (uid, c, at) values ('u', 'it''s', timestamp '2024-01-02 03:04:05.0')",
        app_id=APP,
    )
    [row] = await empty.rows("SELECT * FROM t", app_id=APP)
    assert (row["id"], row["uid"]) == (new["id"], f"{APP}:{empty.uid}")
    assert (row["c"], row["at"]) == ("it's", "2024-01-02 03:04:05")


# Codes.


@pytest.mark.parametrize(
    "wrong",
    [
        {"uid": ""},
        {"uid": "a" * 65},
        {"uid": "用户"},
        {"uid": None},
        {"database_id": 0},
        {"space_id": 7},
        {"app_id": "a:b"},
        {"app_id": "a" * 65},
        {"env": "both"},
        {"env": None},
        {"dml": None},
    ],
)
async def test_fields_are_checked(twin: Twin, wrong: dict[str, Any]) -> None:
    assert_refused(await twin.dml("SELECT 1", **wrong), 25000)
    if not {"app_id", "env", "dml"} & set(wrong):
        assert_refused(await twin.ddl("DROP TABLE t", **wrong), 25000)


async def test_an_empty_ddl_is_refused(twin: Twin) -> None:
    assert_refused(await twin.ddl(""), 25000)


async def test_a_uid_that_is_too_long_with_its_application_is_refused(twin: Twin) -> None:
    insert = "INSERT INTO t (c) VALUES ('x')"
    exact = "u" * (64 - len("app1:"))
    assert await twin.code(insert, app_id=APP, uid=exact) == 0
    [row] = await twin.rows("SELECT uid FROM t", app_id=APP, uid=exact)
    assert row["uid"] == f"{APP}:{exact}"
    refused = await twin.dml(insert, app_id=APP, uid=f"{exact}u")
    assert_refused(refused, 25000)
    assert "65 characters" in refused.message
    assert await twin.rows("SELECT * FROM t", app_id=APP, uid=f"{exact}u") == []


@pytest.mark.parametrize(
    "dml",
    [
        "SELECT 1 / 0",
        "SELECT CAST('x' AS int)",
        "SELECT no_such_column FROM t",
        "INSERT INTO t (c) VALUES (NULL), (1, 2)",
        "INSERT INTO t (no_such_column) VALUES (1)",
    ],
)
async def test_a_statement_that_fails(twin: Twin, dml: str) -> None:
    assert_refused(await twin.dml(dml), 25010)


async def test_a_constraint_is_kept(twin: Twin) -> None:
    await twin.make('ALTER TABLE t ADD COLUMN "k" int UNIQUE; ALTER TABLE t ALTER c SET NOT NULL')
    assert await twin.code("INSERT INTO t (c, k) VALUES ('x', 1)") == 0
    assert_refused(await twin.dml("INSERT INTO t (c, k) VALUES ('x', 1)"), 25010)
    assert_refused(await twin.dml("INSERT INTO t (c) VALUES (NULL)"), 25010)


async def test_a_database_must_exist(twin: Twin) -> None:
    assert_refused(await twin.dml("SELECT 1", database_id=2**62), 25013)
    assert_refused(await twin.ddl("DROP TABLE t", database_id=2**62), 25013)
    assert_refused(await twin.ddl("DROP TABLE t", uid=f"{twin.uid}b"), 25013)
    dropped = await twin.api.post("drop_database", database_id=twin.id, uid=twin.uid)
    assert dropped.code == 0
    assert_refused(await twin.dml("SELECT 1"), 25013)
    assert_refused(await twin.ddl("DROP TABLE t"), 25013)


@pytest.mark.parametrize(
    "dml", ["SELEC 1", "SELECT FROM WHERE", "SELECT 'x", "insert t", "SELECT $"]
)
async def test_what_does_not_parse(twin: Twin, dml: str) -> None:
    assert_refused(await twin.dml(dml), 25030)
    assert_refused(await twin.ddl(dml), 25030)


@pytest.mark.parametrize("dml", ["DROP TABLE t", "CREATE TABLE x (n int)", "TRUNCATE t"])
async def test_other_kinds_are_no_dml(twin: Twin, dml: str) -> None:
    assert_refused(await twin.dml(dml), 25050)
    assert_refused(await twin.dml(f"SELECT 1; {dml}"), 25050)
    assert await twin.code("SELECT * FROM t") == 0


async def test_an_unknown_table_is_said_before_anything_else(twin: Twin) -> None:
    for dml in ("SELECT * FROM nowhere", "INSERT INTO nowhere VALUES (1)", "DELETE FROM nowhere"):
        assert_refused(await twin.dml(dml), 25020)


@pytest.mark.parametrize(
    "ddl",
    [
        "DROP TABLE nowhere",
        "CREATE TABLE t (n int)",
        "ALTER TABLE t ADD COLUMN c int",
        "ALTER TABLE nowhere ADD COLUMN c int",
        "ALTER TABLE t ALTER COLUMN c SET DATA TYPE int USING c::no_such_type",
    ],
)
async def test_ddl_that_fails(twin: Twin, ddl: str) -> None:
    assert_refused(await twin.ddl(ddl), 25041)


async def test_ddl_is_all_or_nothing_in_both_environments(twin: Twin) -> None:
    # It succeeds in prod and fails in test.
    await twin.rows("INSERT INTO t (c) VALUES ('7')")
    await twin.rows("INSERT INTO t (c) VALUES ('seven')", env="test")
    assert_refused(
        await twin.ddl(
            'CREATE TABLE "new" (n int); ALTER TABLE t ALTER c SET DATA TYPE int USING c::int'
        ),
        25041,
    )
    for env, kept in (("prod", "7"), ("test", "seven")):
        assert await twin.rows("SELECT c FROM t", env=env) == [{"c": kept}]
        assert_refused(await twin.dml('SELECT * FROM "new"', env=env), 25020)


# Several statements.


async def test_statements_run_in_order_and_answer_together(twin: Twin) -> None:
    done = await twin.dml(
        "INSERT INTO t (c) VALUES ('a'); SELECT c FROM t; UPDATE t SET c = 'b';"
        " SELECT c FROM t; DELETE FROM t; SELECT count(*) FROM t;"
    )
    assert_done(done)
    [new, *rest] = done.data["exec_success"]
    assert set(new) == {"id"}
    assert rest == [{"c": "a"}, {"c": "b"}, {"count": 0}]


async def test_statements_are_done_all_or_none(twin: Twin) -> None:
    assert_refused(await twin.dml("INSERT INTO t (c) VALUES ('a'); SELECT 1 / 0"), 25010)
    assert_refused(await twin.dml("INSERT INTO t (c) VALUES ('a'); SELECT * FROM x"), 25020)
    assert await twin.rows("SELECT * FROM t") == []


async def test_later_statements_stay_in_the_database(twin: Twin, uid: str) -> None:
    other = Twin(twin.api, await twin.api.create("other", uid=f"{uid}b"), f"{uid}b")
    await other.make(TABLE)
    await twin.rows("INSERT INTO t (c) VALUES ('a'); INSERT INTO t (c) VALUES ('b')", app_id=APP)
    assert await other.rows("SELECT 1 AS n; SELECT * FROM t", app_id=APP) == [{"n": 1}]
    assert len(await twin.rows("SELECT c FROM t; SELECT c FROM t", app_id=APP)) == 4


# Spaces.


async def test_any_member_runs_ddl_in_a_space(drop_in: Api, uid: str) -> None:
    space, member = f"s{secrets.token_hex(6)}", f"{uid}b"
    first = Twin(drop_in, await drop_in.create("first", uid=uid, space_id=space), uid)
    second = Twin(drop_in, await drop_in.create("second", uid=member, space_id=space), member)
    for twin in (first, second):
        for acting in (uid, member):
            await twin.make(f'CREATE TABLE "{acting}" (n int)', uid=acting, space_id=space)
            await twin.make(f'DROP TABLE "{acting}"', uid=acting, space_id=space)
    await first.make(TABLE, uid=member, space_id=space)
    await first.rows("INSERT INTO t (c) VALUES ('mine')", space_id=space)
    assert await first.rows("SELECT * FROM t", uid=member, space_id=space) == []
    for wrong in (f"{space}x", "no such"):
        assert_refused(await first.dml("SELECT 1", space_id=wrong), 25015)
        assert_refused(await first.ddl("DROP TABLE t", space_id=wrong), 25015)
    assert_refused(await first.dml("SELECT 1", database_id=2**62, space_id=space), 25015)
    assert_refused(await second.ddl("DROP TABLE t"), 25013)


async def test_fields_that_the_clients_do_not_know_are_ignored(twin: Twin) -> None:
    await twin.rows("INSERT INTO t (c) VALUES ('a')")
    ignored = {"as": "owner", "as_": "owner", "params": [1], "dry_run": True, "read_only": True}
    more = {"explain": True, "rows": "arrays", "stream": True, "anything": None}
    done = await twin.dml("UPDATE t SET c = 'b'; SELECT c FROM t", **ignored, **more)
    assert_done(done)
    assert done.data["exec_success"] == [{"c": "b"}]
    made = await twin.ddl('CREATE TABLE "v" (n int)', env="prod", dry_run=True, x=1)
    assert set(made.body) == {"code", "message", "sid"}
    assert await twin.rows('SELECT * FROM "v"', env="test") == []
