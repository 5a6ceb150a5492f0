"""Parameters, read_only, dry_run, explain and the forms of rows on `/v1`."""

import json
from typing import Any

import pytest

from tests.integration.statements.conftest import Owner
from tests.sql import NOTES, Twin, as_user

ALICE = as_user("alice")


async def statements(twin: Twin, dml: str, **fields: Any) -> list[dict[str, Any]]:
    done = await twin.dml(dml, **fields)
    assert done.code == 0, done.body
    found: list[dict[str, Any]] = done.data["statements"]
    return found


# Parameters.


async def test_parameters_are_values(twin: Twin) -> None:
    text = "'; DROP TABLE notes; -- $1 :word %s"
    await twin.rows("INSERT INTO notes (body, n) VALUES ($1, $2)", params=[text, 7], **ALICE)
    found = await twin.rows("SELECT body, n FROM notes WHERE body = $1", params=[text], **ALICE)
    assert found == [{"body": text, "n": 7}]


@pytest.mark.parametrize(
    ("type_", "value", "answered"),
    [
        ("int", "7", 7),
        ("bigint", 2**63 - 1, 2**63 - 1),
        ("numeric", 1.25, 1.25),
        ("float8", "Infinity", "Infinity"),
        ("boolean", True, True),
        ("text", None, None),
        ("text", "é\n'", "é\n'"),
        ("jsonb", {"a": [1, None]}, {"a": [1, None]}),
        ("int[]", [1, None, 3], [1, None, 3]),
        ("text[]", ["a,b", '"'], ["a,b", '"']),
        ("timestamp", "2024-01-02 03:04:05.5", "2024-01-02 03:04:05.5"),
        ("bytea", "\\xdead", "\\xdead"),
        ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ],
)
async def test_parameters_of_types(twin: Twin, type_: str, value: Any, answered: Any) -> None:
    assert await twin.value(f"SELECT $1::{type_} AS v", params=[value]) == answered
    assert await twin.rows(f"SELECT $1::{type_} AS v, $2::int AS n", params=[value, 1]) == [
        {"v": answered, "n": 1}
    ]


async def test_a_list_of_lists_runs_once_for_each(twin: Twin) -> None:
    given = [["a", 1], ["b", 2], ["c", None]]
    done = await twin.dml("INSERT INTO notes (body, n) VALUES ($1, $2)", params=given, **ALICE)
    assert len({row["id"] for row in done.data["exec_success"]}) == 3
    detail = done.data["statements"]
    assert [(each["item"], each["affected"], each["first_row"]) for each in detail] == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 2),
    ]
    rows = await twin.rows("SELECT body, n FROM notes ORDER BY id", rows="arrays", **ALICE)
    assert rows == given


async def test_a_batch_is_all_or_nothing(twin: Twin) -> None:
    await twin.make("ALTER TABLE notes ADD CONSTRAINT k UNIQUE (n)")
    refused = await twin.dml("INSERT INTO notes (n) VALUES ($1)", params=[[1], [2], [1]], **ALICE)
    assert (refused.status, refused.code) == (409, 25010)
    assert await twin.rows("SELECT * FROM notes") == []


@pytest.mark.parametrize(
    ("dml", "params", "said"),
    [
        ("SELECT $1::int", [], "number of parameters is 0"),
        ("SELECT $1::int", [1, 2], "number of parameters is 2"),
        ("SELECT 1", [1], "number of parameters is 1"),
        ("SELECT $1::int", [{"a": 1}], "$1 (integer)"),
        ("SELECT $1::boolean", [1.5], None),
        ("SELECT $1::int", [[1], [1, 2]], "number of parameters is 2"),
        ("SELECT $1::text", ["\0"], "NUL"),
        ("SELECT $1::int; SELECT 1", [1], "one statement"),
    ],
)
async def test_parameters_that_do_not_fit(
    twin: Twin, dml: str, params: list[Any], said: str | None
) -> None:
    refused = await twin.dml(dml, params=params)
    assert refused.status == 422
    if said is not None:
        assert refused.code == 25000
        assert said in refused.message


@pytest.mark.parametrize("value", ["seven", "", "99999999999"])
async def test_a_parameter_that_the_type_does_not_read(twin: Twin, value: str) -> None:
    refused = await twin.dml("SELECT $1::int", params=[value])
    assert (refused.status, refused.code) == (422, 25010), refused.body
    assert refused.error["sqlstate"] in ("22P02", "22003")


# Read only.


@pytest.mark.parametrize(
    "dml",
    [
        "INSERT INTO notes (body) VALUES ('x')",
        "SELECT 1; UPDATE notes SET body = 'x'",
        "DELETE FROM notes",
    ],
)
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_read_only_call_refuses_writes(
    twin: Twin, dml: str, audience: dict[str, str]
) -> None:
    refused = await twin.dml(dml, read_only=True, **audience)
    assert refused.status == 403, refused.body
    assert "read_only" in refused.message
    assert await twin.code("SELECT * FROM notes", read_only=True, **audience) == 0


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("INSERT INTO notes (body, uid) VALUES ('planted', 'x')", "25006"),
        ("PERFORM set_config('transaction_read_only', 'off', true)", "25001"),
        ("SET TRANSACTION READ WRITE", "25001"),
        ("CREATE TABLE planted (n int)", "25006"),
    ],
)
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_no_code_writes_in_a_read_only_call(
    twin: Twin, owner: Owner, body: str, state: str, audience: dict[str, str]
) -> None:
    async with owner(twin) as session:
        await session.execute(
            f"CREATE FUNCTION planted() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {body};"
            " RETURN 1; END $$"
        )
    refused = await twin.dml("SELECT planted()", read_only=True, **audience)
    assert refused.code != 0
    assert (refused.status, refused.error["sqlstate"]) == (422, state)
    assert await twin.rows("SELECT * FROM notes") == []
    # Neither is the session left so that the next call can't write.
    assert await twin.code("INSERT INTO notes (uid) VALUES ('x')", **audience) == 0


# Rehearsals.


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_dml_is_rehearsed(twin: Twin, audience: dict[str, str]) -> None:
    done = await twin.dml(
        "INSERT INTO notes (body, uid) VALUES ('x', 'y'); SELECT body FROM notes",
        dry_run=True,
        **audience,
    )
    assert done.code == 0
    assert done.data["exec_success"][1:] == [{"body": "x"}]
    assert done.data["statements"][0]["affected"] == 1
    assert await twin.rows("SELECT * FROM notes") == []


async def test_ddl_is_rehearsed(twin: Twin) -> None:
    done = await twin.ddl(
        "ALTER TABLE notes ADD COLUMN extra int NOT NULL DEFAULT 5; CREATE TABLE x (uid text)",
        dry_run=True,
    )
    assert done.code == 0, done.body
    assert set(done.data) == {"changes", "locks", "exec_time"}
    for env in ("prod", "test"):
        changes = {
            (each["change"], each["kind"], each["name"])
            for each in done.data["changes"]
            if each["env"] == env
        }
        assert changes == {
            ("added", "column", "notes.extra"),
            ("added", "table", "x"),
            ("added", "column", "x.uid"),
        }
        locks = [each for each in done.data["locks"] if each["env"] == env]
        assert {"env": env, "relation": "notes", "mode": "AccessExclusiveLock"} in locks
        assert await twin.code("SELECT * FROM x", env=env) == 25020
        assert await twin.code("SELECT extra FROM notes", env=env) == 25010
    removed = await twin.ddl("DROP TABLE notes", dry_run=True, env="test")
    [table] = [each for each in removed.data["changes"] if each["kind"] == "table"]
    assert (table["env"], table["change"], table["after"]) == ("test", "removed", None)
    assert await twin.code("SELECT * FROM notes", env="test") == 0


async def test_ddl_that_fails_in_rehearsal(twin: Twin) -> None:
    refused = await twin.ddl(f"CREATE TABLE x (n int); {NOTES}", dry_run=True)
    assert (refused.status, refused.code) == (422, 25041)


async def test_ddl_that_changes_nothing(twin: Twin) -> None:
    done = await twin.ddl("DROP TABLE IF EXISTS absent", dry_run=True)
    assert done.data["changes"] == []


# Plans.


@pytest.mark.parametrize("explain", [True, "plan", "analyze"])
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_plan_instead_of_rows(twin: Twin, explain: Any, audience: dict[str, str]) -> None:
    done = await twin.dml(
        "INSERT INTO notes (body, uid) VALUES ('x', 'x'); SELECT * FROM notes",
        explain=explain,
        **audience,
    )
    assert done.code == 0, done.body
    plans = done.data["exec_success"]
    assert len(plans) == 2
    [[plan]] = plans[0].values()
    assert plan["Plan"]["Node Type"] == "ModifyTable"
    assert ("Execution Time" in plan) == (explain == "analyze")
    assert await twin.rows("SELECT * FROM notes") == []


async def test_a_plan_with_parameters(twin: Twin) -> None:
    done = await twin.dml("SELECT * FROM notes WHERE n = $1", explain=True, params=[7])
    assert done.code == 0, done.body
    assert "7" in json.dumps(done.data["exec_success"])


async def test_no_plan(twin: Twin) -> None:
    await twin.rows("INSERT INTO notes (body, uid) VALUES ('x', 'x')", explain=False)
    assert await twin.value("SELECT count(*) FROM notes") == 1


@pytest.mark.parametrize(
    "options",
    [
        {"explain": True, "dry_run": True},
        {"stream": True, "dry_run": True},
        {"stream": True, "explain": "plan"},
        {"stream": True, "params": [[1], [2]]},
        {"explain": "all"},
        {"rows": "lists"},
        {"params": {"a": 1}},
    ],
)
async def test_options_that_exclude_each_other(twin: Twin, options: dict[str, Any]) -> None:
    refused = await twin.dml("SELECT $1::int", **options)
    assert (refused.status, refused.code) == (422, 25000)


# Rows.


async def test_columns_of_the_same_name(twin: Twin) -> None:
    select = "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a"
    assert await twin.rows(select) == [{"a": 1, "a_2": 2, "a_2_2": 3, "a_3": 4}]
    assert await twin.rows(select, rows="arrays") == [[1, 2, 3, 4]]
    [detail] = await statements(twin, select, rows="arrays")
    assert [column["name"] for column in detail["columns"]] == ["a", "a", "a_2", "a"]


async def test_what_each_statement_did(twin: Twin) -> None:
    found = await statements(
        twin,
        "INSERT INTO notes (body, n) VALUES ('a', 1), ('b', 2); UPDATE notes SET n = n + 1;"
        " SELECT body, n FROM notes; DELETE FROM notes WHERE n = 3;"
        " UPDATE notes SET n = 0 WHERE false; DELETE FROM notes RETURNING n",
        **ALICE,
    )
    shown = [(each["statement"], each["command"], each["affected"]) for each in found]
    assert shown == [
        (1, "INSERT", 2),
        (2, "UPDATE", 2),
        (3, "SELECT", None),
        (4, "DELETE", 1),
        (5, "UPDATE", 0),
        (6, "DELETE", 1),
    ]
    assert [(each["first_row"], each["row_count"]) for each in found] == [
        (0, 2),
        (2, 0),
        (2, 2),
        (4, 0),
        (4, 0),
        (4, 1),
    ]
    assert found[2]["columns"] == [
        {"name": "body", "type": "text"},
        {"name": "n", "type": "integer"},
    ]
    assert {each["item"] for each in found} == {None}


async def test_a_default_limit_is_said(twin: Twin) -> None:
    numbers = "SELECT n FROM generate_series(1, {}) n{}"
    for rows, limit, truncated, count in (
        (100, "", False, 100),
        (101, "", True, 100),
        (500, " LIMIT 500", False, 500),
    ):
        [detail] = await statements(twin, numbers.format(rows, limit))
        assert (detail["truncated"], detail["row_count"]) == (truncated, count)


async def test_times_are_whole_on_v1(twin: Twin) -> None:
    moment = "2024-01-02 03:04:05.123456"
    assert await twin.value(f"SELECT TIMESTAMP '{moment}'") == moment


async def test_a_row_without_columns(twin: Twin) -> None:
    assert await twin.rows("SELECT FROM generate_series(1, 2)") == [{}, {}]
    assert await twin.rows("SELECT FROM generate_series(1, 2)", rows="arrays") == [[], []]
