"""Rows as NDJSON: as many as there are, with an end that says whether it is one."""

from typing import Any

import orjson
import pytest

from tests.sql import Twin

ALICE: dict[str, Any] = {"uid": "alice", "app_id": "shop", "as": "end_user"}


async def lines(twin: Twin, dml: str, **fields: Any) -> list[Any]:
    body = {"database_id": twin.id, "uid": twin.uid, "env": "prod", "dml": dml, "stream": True}
    response = await twin.api.client.post("/v1/exec_dml", json=body | fields)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.text.splitlines()]


async def test_all_rows_are_streamed_beyond_every_limit_of_an_answer(twin: Twin) -> None:
    dml = "SELECT n, repeat('x', 2000) AS text FROM generate_series(1, $1::int) AS n"
    head, *rows, end = await lines(twin, dml, params=[20_000])
    assert head == {"columns": [{"name": "n", "type": "integer"}, {"name": "text", "type": "text"}]}
    assert [row["n"] for row in rows] == list(range(1, 20_001))
    assert end == {"rows": 20_000, "complete": True}


async def test_no_rows_are_a_head_and_an_end(twin: Twin) -> None:
    found = await lines(twin, "SELECT * FROM notes WHERE false")
    assert [column["name"] for column in found[0]["columns"]][:2] == ["id", "uid"]
    assert found[1:] == [{"rows": 0, "complete": True}]


async def test_rows_are_arrays_where_that_is_asked(twin: Twin) -> None:
    found = await lines(twin, "SELECT 1 AS a, 2 AS a", rows="arrays")
    assert found[1] == [1, 2]


async def test_an_end_user_streams_his_own_rows(twin: Twin) -> None:
    await twin.rows("INSERT INTO notes (body) VALUES ('hers')", **ALICE)
    await twin.rows("INSERT INTO notes (body, uid) VALUES ('his', 'bob')")
    found = await lines(twin, "SELECT body FROM notes", **ALICE)
    assert found[1:-1] == [{"body": "hers"}]


async def test_what_fails_on_the_way_is_the_last_line(twin: Twin) -> None:
    found = await lines(twin, "SELECT 1 / (5000 - n) AS q FROM generate_series(1, 9000) AS n")
    assert len(found) > 2
    error = found[-1]["error"]
    assert (error["code"], error["sqlstate"]) == (25010, "22012")
    # The session is used again.
    assert await twin.value("SELECT 1") == 1


@pytest.mark.parametrize(
    ("dml", "code"),
    [
        ("SELECT nothing FROM notes", 25010),
        ("SELECT * FROM unknown", 25020),
        ("INSERT INTO notes (body) VALUES ('x')", 25000),
        ("SELECT 1; SELECT 2", 25000),
        ("SELECT pg_sleep(1)", 25020),
        ("DROP TABLE notes", 25050),
    ],
)
async def test_what_fails_before_the_first_row_is_an_envelope(
    twin: Twin, dml: str, code: int
) -> None:
    body = {"database_id": twin.id, "uid": twin.uid, "env": "prod", "dml": dml, "stream": True}
    response = await twin.api.client.post("/v1/exec_dml", json=body)
    assert response.json()["code"] == code
    assert response.status_code != 200


async def test_a_reader_that_leaves_frees_the_session(twin: Twin, admin_connection: Any) -> None:
    body = {
        "database_id": twin.id,
        "uid": twin.uid,
        "env": "prod",
        "dml": "SELECT repeat('x', 1000) FROM generate_series(1, 100000)",
        "stream": True,
    }
    request = twin.api.client.stream("POST", "/v1/exec_dml", json=body)
    async with request as response:
        async for _ in response.aiter_bytes():
            break
    left = await admin_connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtwin sql'"
        " AND state LIKE 'idle in transaction%' AND usename = $1",
        f"d{twin.id}_ddl",
    )
    assert left == 0
    assert await twin.value("SELECT 1") == 1
