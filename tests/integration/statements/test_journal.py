"""The audit of SQL: each call, soon, without its values."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.statements.conftest import Worker
from tests.sql import Twin, as_user

ALICE = as_user("alice")
SECRET = "s3cret-value"


async def entries(connection: Any, twin: Twin, action: str, count: int) -> list[Any]:
    deadline = time.monotonic() + 3
    while True:
        rows = await connection.fetch(
            "SELECT *, details::text AS text FROM pgtwin.audit_entry"
            " WHERE database_id = $1 AND action = $2 ORDER BY id",
            twin.id,
            action,
        )
        if len(rows) >= count or time.monotonic() > deadline:
            assert len(rows) == count
            return list(rows)
        await asyncio.sleep(0.05)


async def test_each_call_is_written_down_within_a_second(twin: Twin, admin_connection: Any) -> None:
    begun = time.monotonic()
    answers = [
        await twin.dml(f"INSERT INTO notes (body) VALUES ('{SECRET}')", **ALICE),
        await twin.dml("INSERT INTO notes (body) VALUES ('another')", **ALICE),
        await twin.dml("SELECT $1::text", params=[SECRET]),
        await twin.dml(f"SELECT 1 / 0, '{SECRET}'", env="test"),
        await twin.dml(f"SELEC '{SECRET}'"),
    ]
    rows = await entries(admin_connection, twin, "exec_dml", 5)
    assert time.monotonic() - begun < 2
    assert [row["sid"] for row in rows] == [answer.body["sid"] for answer in answers]
    assert SECRET not in str(rows)
    details = [json.loads(row["text"]) for row in rows]
    assert details[0]["fingerprint"] == details[1]["fingerprint"] != details[2]["fingerprint"]
    assert [each["as"] for each in details] == ["end_user", "end_user", *["owner"] * 3]
    assert [each["env"] for each in details] == ["prod", "prod", "prod", "test", "prod"]
    failed = [each.get("failed") for each in details]
    assert failed == [None, None, None, "22012", "sql_unreadable"]
    assert all(0 < each["duration_ms"] < 60_000 for each in details)
    assert [(row["uid"], row["app_id"]) for row in rows] == [
        *[("alice", "shop")] * 2,
        *[(twin.uid, "")] * 3,
    ]
    assert all(row["key_id"] for row in rows)
    moments = [row["create_at"] for row in rows]
    assert moments == sorted(moments)


async def test_ddl_is_written_down(twin: Twin, admin_connection: Any) -> None:
    await twin.ddl(f"ALTER TABLE notes ADD COLUMN x TEXT DEFAULT '{SECRET}'", env="test")
    await twin.ddl("CREATE TABLE notes (n int)")
    rows = await entries(admin_connection, twin, "exec_ddl", 3)
    details = [json.loads(row["text"]) for row in rows]
    assert [(each["env"], each.get("failed")) for each in details] == [
        ("both", None),
        ("test", None),
        ("both", "42P07"),
    ]
    assert SECRET not in str(rows)


async def test_who_is_refused_before_leaves_nothing(twin: Twin, admin_connection: Any) -> None:
    assert await twin.code("SELECT 1", env="staging") == 25000
    assert await twin.code("SELECT 1", uid="stranger", **{"as": "owner"}) == 25013
    await twin.rows("SELECT 1")
    await entries(admin_connection, twin, "exec_dml", 1)


@pytest.mark.parametrize("calls", [1, 60])
async def test_a_worker_that_stops_has_written_all(
    twin: Twin, worker: Worker, admin_connection: Any, calls: int
) -> None:
    async with worker() as (_, api):
        mine = replace(twin, api=api)
        await asyncio.gather(*(mine.rows("SELECT 1", **ALICE) for _ in range(calls)))
    count = await admin_connection.fetchval(
        "SELECT count(*) FROM pgtwin.audit_entry WHERE database_id = $1 AND action = 'exec_dml'",
        twin.id,
    )
    assert count == calls
