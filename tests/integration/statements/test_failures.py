"""What a caller is told of a statement that fails, and of results that are too large."""

from dataclasses import replace
from typing import Any

import pytest

from core.sqlguard import DmlNotAllowed, Relation, Ruleset
from tests.api import Answer, Api
from tests.integration.statements.conftest import Worker
from tests.sql import Twin, as_user

ALICE = as_user("alice")
KIB_64 = 65_536


def assert_failed(answer: Answer, status: int, code: int, kind: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body
    assert (answer.error["type"], "data" in answer.body) == (kind, False)


@pytest.mark.parametrize("before", ["", "SELECT 1; ", "SELECT '日本語;', 'é'; -- ;\n/*;*/ "])
@pytest.mark.parametrize("options", [{}, {"explain": True}, {"explain": "analyze"}, ALICE])
@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("SELECT '日本' || nowhere FROM notes", "nowhere"),
        ("  SELECT * FROM absent WHERE 'é' = 'é'", "absent"),
        ("INSERT INTO notes (body, 列) VALUES ('é', 1)", "列"),
        ("UPDATE notes SET body = nowhere()", "nowhere"),
    ],
)
async def test_the_position_is_in_the_callers_text(
    twin: Twin, before: str, options: dict[str, Any], statement: str, wrong: str
) -> None:
    dml = f"{before}{statement}"
    refused = await twin.dml(dml, **options)
    assert refused.code in (25010, 25020)
    assert dml[refused.error["position"] - 1 :].startswith(wrong)
    [detail] = refused.error["details"]
    assert (detail["statement"], detail["env"]) == (1 + before.count("; "), "prod")


@pytest.mark.parametrize(
    "before", ["", "CREATE TABLE x (n int); ", "COMMENT ON TABLE notes IS 'é;'; "]
)
async def test_the_position_in_ddl(twin: Twin, before: str) -> None:
    ddl = f"{before}ALTER TABLE notes ADD COLUMN 列 no_such_type"
    refused = await twin.ddl(ddl)
    assert_failed(refused, 422, 25041, "ddl_failed")
    assert ddl[refused.error["position"] - 1 :] == "no_such_type"
    assert refused.error["details"] == [{"statement": 1 + bool(before), "env": "prod"}]


async def test_no_position_in_a_text_that_was_changed(twin: Twin) -> None:
    await twin.make("CREATE TABLE g (id BIGINT GENERATED ALWAYS AS IDENTITY, uid TEXT, n INT)")
    refused = await twin.dml(
        "INSERT INTO g (id, n) VALUES (1, 1); SELECT n FROM g; SELECT nowhere", **ALICE
    )
    assert (refused.error["position"], refused.error["details"][0]["statement"]) == (62, 3)


async def test_a_changed_insert_stands_among_others(twin: Twin) -> None:
    await twin.make("CREATE TABLE g (id BIGINT GENERATED ALWAYS AS IDENTITY, uid TEXT, n INT)")
    rows = await twin.rows(
        "UPDATE g SET n = 0; INSERT INTO g (id, n) VALUES (1, 7); SELECT n FROM g", **ALICE
    )
    assert rows[1:] == [{"n": 7}]


async def test_a_hint_of_postgresql_is_passed_on(twin: Twin) -> None:
    refused = await twin.dml("SELECT bod FROM notes")
    assert "notes.body" in refused.error["hint"]
    assert refused.error["sqlstate"] == "42703"


@pytest.mark.parametrize(
    ("dml", "state"),
    [
        ("INSERT INTO notes (body, n, uid) VALUES ('secret', 1, 'x')", "23505"),
        ("INSERT INTO notes (body, n, uid) VALUES ('secret', -1, 'x')", "23514"),
    ],
)
async def test_the_values_of_rows_are_for_owners(twin: Twin, dml: str, state: str) -> None:
    await twin.make("ALTER TABLE notes ADD UNIQUE (body), ADD CHECK (n > 0)")
    await twin.rows("INSERT INTO notes (body, n, uid) VALUES ('secret', 1, 'bob')")
    told = await twin.dml(dml)
    assert_failed(told, 409, 25010, "constraint_violated")
    assert (told.error["sqlstate"], told.error["retryable"]) == (state, False)
    assert "secret" in told.error["details"][0]["detail"]
    refused = await twin.dml(dml, **ALICE)
    assert_failed(refused, 409, 25010, "constraint_violated")
    assert "secret" not in str(refused.body)


async def test_errors_have_types(twin: Twin) -> None:
    assert_failed(await twin.dml("SELECT 1 / 0"), 422, 25010, "statement_failed")
    assert_failed(await twin.dml("SELECT * FROM absent"), 404, 25020, "unknown_table")
    assert_failed(await twin.dml("SELECT * FROM"), 400, 25030, "sql_unreadable")
    assert_failed(await twin.ddl("DROP TABLE absent"), 422, 25041, "ddl_failed")
    own = as_user("a" * 64)
    refused = await twin.dml("INSERT INTO notes (n) VALUES (1)", **own)
    assert_failed(refused, 422, 25000, "invalid_request")
    await twin.rows("INSERT INTO notes (n) VALUES (1)", **ALICE)
    refused = await twin.dml("UPDATE notes SET uid = 'bob'", **ALICE)
    assert_failed(refused, 403, 25020, "not_authorized")


async def test_a_schema_that_is_lost(admin: Api, admin_connection: Any, uid: str) -> None:
    twin = Twin(admin, await admin.create("orders", uid=uid), uid)
    [lost] = await admin_connection.fetch(
        "DELETE FROM pgtwin.schema_meta WHERE database_id = $1 AND env = 'test' RETURNING *",
        twin.id,
    )
    for refused in (
        await twin.dml("SELECT 1", env="test"),
        await twin.dml("SELECT 1", env="test", **ALICE),
        await twin.ddl("CREATE TABLE x (n int)"),
    ):
        assert_failed(refused, 404, 25021, "schema_missing")
    assert await twin.value("SELECT 1") == 1
    await admin_connection.copy_records_to_table(
        "schema_meta", schema_name="pgtwin", records=[tuple(lost)], columns=list(lost.keys())
    )
    assert await twin.value("SELECT 1", env="test") == 1


async def test_an_unknown_table_is_said_before_the_statements_kind(
    twin: Twin, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(sql: str, _ruleset: Ruleset, _own_schema: str | None) -> Any:
        refusal = DmlNotAllowed("no", details=[{"statement": 1}])
        found = Relation(sql.split('"')[1], None, sql.index('"') + 1)
        monkeypatch.setattr(refusal, "relations", (found,))
        raise refusal

    async with worker() as (app, api):
        mine = replace(twin, api=api)
        monkeypatch.setattr(app.state.services.statements, "_judge", refuse)
        refused = await mine.dml('DROP TABLE "Absent"', **ALICE)
        assert_failed(refused, 404, 25020, "unknown_table")
        assert refused.error["position"] == 12
        refused = await mine.dml('DROP TABLE "notes"', **ALICE)
        assert_failed(refused, 403, 25050, "dml_not_allowed")


# Limits.


async def test_too_many_rows_are_no_answer(twin: Twin, worker: Worker) -> None:
    async with worker(sql_row_limit=20) as (_, api):
        small = Twin(api, twin.id, twin.uid)
        select = "SELECT n FROM generate_series(1, {}) n LIMIT 1000"
        assert len(await small.rows(select.format(20))) == 20
        refused = await small.dml(select.format(21))
        assert_failed(refused, 422, 25051, "too_many_rows")
        assert "20 rows" in refused.message
        assert refused.error["details"] == [{"statement": 1, "env": "prod"}]
        write = "INSERT INTO notes (uid) SELECT 'x' FROM generate_series(1, 30)"
        assert_failed(await small.dml(f"{write} RETURNING id"), 422, 25051, "too_many_rows")
        assert await small.rows("SELECT * FROM notes") == []
        # The ids of all that was inserted are answered, however many they are.
        assert len(await small.rows(write)) == 30
        assert await small.value("SELECT count(*) FROM notes") == 30


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_too_many_bytes_are_no_answer(
    twin: Twin, worker: Worker, audience: dict[str, str]
) -> None:
    async with worker(sql_byte_limit=KIB_64) as (_, api):
        small = Twin(api, twin.id, twin.uid)
        pid = await small.value("SELECT pg_backend_pid()", **audience)
        assert await small.value("SELECT length(repeat('x', 70000))", **audience) == 70_000
        for dml in (
            f"SELECT repeat('x', {KIB_64})",
            "SELECT repeat('x', 1000) FROM generate_series(1, 100)",
            "INSERT INTO notes (uid) VALUES ('x'); SELECT repeat('x', 100000)",
        ):
            refused = await small.dml(dml, **audience)
            assert_failed(refused, 422, 25018, "result_too_large")
        assert await small.rows("SELECT * FROM notes") == []
        assert await small.value("SELECT pg_backend_pid()", **audience) != pid


async def test_a_large_result_is_whole(twin: Twin) -> None:
    rows = await twin.rows(
        "SELECT n, repeat('x', 1000) AS x, now() AS t, ARRAY[n, n] AS a"
        " FROM generate_series(1, 1000) n LIMIT 1000"
    )
    assert [row["n"] for row in rows] == list(range(1, 1001))
    assert {(len(row["x"]), len(row["a"])) for row in rows} == {(1000, 2)}
