"""Statements that take too long, wait for others, or lose their session or their client."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api import Answer, Api
from tests.integration.statements.conftest import Owner, Worker
from tests.sql import Twin, as_user

ALICE = as_user("alice")
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
ENDLESS_RUNS = "state = 'active' AND query LIKE '%generate_series%'"
FUNCTION = "CREATE FUNCTION {} LANGUAGE plpgsql AS $$ BEGIN {}; END $$"
PAUSE = FUNCTION.format(
    "pause(seconds float) RETURNS int",
    "DECLARE over timestamptz := clock_timestamp() + seconds * interval '1 s'; BEGIN"
    " LOOP EXIT WHEN clock_timestamp() > over; END LOOP; RETURN 1; END",
)


def assert_timed_out(answer: Answer) -> None:
    assert (answer.status, answer.code) == (422, 25019), answer.body
    assert (answer.error["type"], answer.error["retryable"]) == ("statement_timeout", False)


def assert_retryable(answer: Answer, kind: str) -> None:
    assert (answer.status, answer.code) == (503, 25010), answer.body
    assert (answer.error["type"], answer.error["retryable"]) == (kind, True)


async def backends(connection: Any, twin: Twin, condition: str = "true") -> list[int]:
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgtwin sql'"
        f" AND usename ~ ('^d' || $1) AND {condition}",
        str(twin.id),
    )
    return [row["pid"] for row in rows]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def idle(connection: Any, twin: Twin) -> None:
    async def holds() -> bool:
        return await backends(connection, twin, "state <> 'idle'") == []

    await until(holds)


# Time.


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_statement_that_takes_too_long_is_ended_and_others_go_on(
    twin: Twin, worker: Worker, admin_connection: Any, audience: dict[str, str]
) -> None:
    async with worker(sql_timeout=0.5) as (_, api):
        slow = replace(twin, api=api)
        begun = time.monotonic()
        endless = asyncio.create_task(
            slow.dml(f"INSERT INTO notes (uid) VALUES ('x'); {ENDLESS}", **audience)
        )
        quick = [await slow.value("SELECT 1", **audience) for _ in range(20)]
        assert not endless.done() or time.monotonic() - begun > 0.5
        assert quick == [1] * 20
        assert_timed_out(await endless)
        assert time.monotonic() - begun < 3
        await idle(admin_connection, twin)
        assert await slow.rows("SELECT * FROM notes") == []


async def test_ddl_that_takes_too_long(twin: Twin, worker: Worker, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
    async with worker(sql_timeout=0.5) as (_, api):
        slow = replace(twin, api=api)
        await slow.rows("INSERT INTO notes (uid) VALUES ('x')")
        refused = await slow.ddl(
            "ALTER TABLE notes ALTER n SET DATA TYPE int USING pause(60)", env="prod"
        )
        assert_timed_out(refused)
        assert await slow.code("SELECT * FROM notes") == 0


LIFT = "PERFORM set_config('statement_timeout', '0', false)"
CATCH = (
    "LOOP BEGIN PERFORM pause(3600); EXCEPTION WHEN query_canceled THEN"
    " PERFORM set_config('client_connection_check_interval', '0', false); END; END LOOP"
)


@pytest.mark.parametrize("body", [f"{LIFT}; RETURN 1", f"{LIFT}; {CATCH}", CATCH])
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_who_lifts_his_limit_is_cancelled_from_outside(
    twin: Twin,
    worker: Worker,
    owner: Owner,
    admin_connection: Any,
    body: str,
    audience: dict[str, str],
) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
        await session.execute(FUNCTION.format("lift() RETURNS int", body))
    async with worker(sql_timeout=0.5) as (_, api):
        slow = replace(twin, api=api)
        begun = time.monotonic()
        assert_timed_out(await slow.dml(f"SELECT lift(); {ENDLESS}", **audience))
        assert time.monotonic() - begun < 6
        await idle(admin_connection, twin)
        assert await slow.value("SELECT 1", **audience) == 1


async def test_all_statements_of_a_call_share_a_limit(
    twin: Twin, worker: Worker, owner: Owner
) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
    async with worker(sql_timeout=5, sql_transaction_timeout=0.6) as (_, api):
        slow = replace(twin, api=api)
        assert_timed_out(await slow.dml("; ".join(["SELECT pause(0.25)"] * 4)))
        assert await slow.value("SELECT pause(0.25)") == 1


# Locks.


async def test_a_lock_is_not_waited_for_too_long(twin: Twin, worker: Worker, owner: Owner) -> None:
    async with worker(sql_lock_timeout=0.3) as (_, api), owner(twin) as session:
        async with session.transaction():
            await session.execute("LOCK TABLE notes")
            begun = time.monotonic()
            assert_retryable(
                await replace(twin, api=api).dml("SELECT * FROM notes"), "lock_timeout"
            )
            refused = await replace(twin, api=api).ddl("ALTER TABLE notes ADD COLUMN x int")
            assert_retryable(refused, "lock_timeout")
            assert time.monotonic() - begun < 3
        assert await replace(twin, api=api).rows("SELECT * FROM notes") == []


async def test_a_deadlock_is_run_again(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
    await twin.rows("INSERT INTO notes (uid, body, n) VALUES ('x', 'a', 0), ('x', 'b', 0)")
    step = "UPDATE notes SET n = n + 1 WHERE body = '{}'"
    both = [
        f"{step.format(first)}; SELECT pause(0.4); {step.format(second)}"
        for first, second in ("ab", "ba")
    ]
    answers = await asyncio.gather(*(twin.dml(dml) for dml in both))
    assert [answer.code for answer in answers] == [0, 0], [answer.body for answer in answers]
    assert await twin.rows("SELECT n FROM notes", rows="arrays") == [[2], [2]]


# Lost sessions and clients.


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_session_that_was_ended_while_idle_is_missed_by_nobody(
    twin: Twin, admin_connection: Any, audience: dict[str, str]
) -> None:
    calls = [twin.value("SELECT 1", **audience) for _ in range(4)]
    assert await asyncio.gather(*calls) == [1] * 4
    for _ in range(3):
        pids = await backends(admin_connection, twin)
        assert pids
        for pid in pids:
            await admin_connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        calls = [twin.value("SELECT 1", **audience) for _ in range(4)]
        assert await asyncio.gather(*calls) == [1] * 4


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_session_that_is_ended_while_it_runs_is_one_error(
    twin: Twin, admin_connection: Any, audience: dict[str, str]
) -> None:
    running = asyncio.create_task(
        twin.dml(f"INSERT INTO notes (uid) VALUES ('x'); {ENDLESS}", **audience)
    )

    async def is_running() -> bool:
        return bool(await backends(admin_connection, twin, ENDLESS_RUNS))

    await until(is_running)
    [pid] = await backends(admin_connection, twin, ENDLESS_RUNS)
    await admin_connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    assert_retryable(await running, "database_unavailable")
    assert await twin.rows("SELECT * FROM notes", **audience) == []


async def ask_and_leave(app: FastAPI, api: Api, body: dict[str, Any], leave: asyncio.Event) -> Any:
    """A request whose client goes away; gives what was sent to it."""
    content = json.dumps(body).encode()
    headers = {**api.client.headers, "content-type": "application/json"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/exec_dml",
        "raw_path": b"/v1/exec_dml",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages = iter([{"type": "http.request", "body": content, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        for message in messages:
            return message
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_client_that_goes_takes_its_statement_with_it(
    app: FastAPI, twin: Twin, admin_connection: Any, audience: dict[str, str]
) -> None:
    body = {"database_id": twin.id, "uid": twin.uid, "env": "prod", **audience}
    body["dml"] = f"INSERT INTO notes (uid) VALUES ('x'); {ENDLESS}"
    leave = asyncio.Event()
    asking = asyncio.create_task(ask_and_leave(app, twin.api, body, leave))

    async def is_running() -> bool:
        return bool(await backends(admin_connection, twin, ENDLESS_RUNS))

    await until(is_running)
    begun = time.monotonic()
    leave.set()
    sent = await asking
    assert time.monotonic() - begun < 3
    assert [each.get("status") for each in sent if "status" in each] in ([], [499])
    await idle(admin_connection, twin)
    assert await twin.rows("SELECT * FROM notes", **audience) == []
