"""Uploads that are repeated, broken off, many at once, or cut off from PostgreSQL."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from tests.conftest import MakeKey
from tests.integration.statements.conftest import Owner, Worker
from tests.integration.statements.test_endings import (
    PAUSE,
    assert_retryable,
    backends,
    idle,
    until,
)
from tests.integration.statements.test_upload import sheet
from tests.integration.test_idempotency import assert_again
from tests.sql import Twin, as_user
from tests.uploads import upload

ALICE = as_user("alice")
AUDIENCES = pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
BOUNDARY = "x-the-boundary"


async def slowed(twin: Twin, owner: Owner) -> None:
    """Make each row of `notes` take its time."""
    async with owner(twin) as session:
        await session.execute(PAUSE)
        await session.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pause(0.02); RETURN NEW; END $$;"
            "CREATE TRIGGER slow BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION slow()"
        )


def form(twin: Twin, content: str) -> bytes:
    fields = {
        "database_id": str(twin.id),
        "uid": twin.uid,
        "env": "prod",
        "table_name": "notes",
    }
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="a.csv"'
    parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n")
    return "".join(parts).encode()


# Again.


@AUDIENCES
async def test_the_same_file_is_taken_in_once(twin: Twin, fields: dict[str, str]) -> None:
    headers = {"Idempotency-Key": f"key-{secrets.token_hex(8)}"}
    first = await upload(twin, "body\nx\n", headers=headers, **fields)
    assert first.code == 0, first.body
    # The client draws another boundary each time.
    assert_again(first, await upload(twin, "body\nx\n", headers=headers, **fields))
    assert await twin.value("SELECT count(*) FROM notes") == 1
    for changed in (
        await upload(twin, "body\ny\n", headers=headers, **fields),
        await upload(twin, "body\nx\n", name="b.csv", headers=headers, **fields),
        await upload(twin, "body\nx\n", headers=headers, **fields, on_error="skip"),
    ):
        assert (changed.status, changed.code) == (422, 25003), changed.body


async def test_a_file_that_failed_may_be_sent_again(twin: Twin) -> None:
    headers = {"Idempotency-Key": f"key-{secrets.token_hex(8)}"}
    assert (await upload(twin, "n\nx\n", headers=headers)).code == 25202
    assert (await upload(twin, "n\n1\n", headers=headers)).code == 0


# Broken off.


async def test_a_client_that_goes_away_while_it_sends_leaves_nothing(
    twin: Twin, app: FastAPI, make_key: MakeKey, admin_connection: Any
) -> None:
    token, body = await make_key(), form(twin, "body\n" + "x\n" * 10_000)
    async with app_address(app) as (host, port):
        _, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /v1/upload_data HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[: len(body) // 2])
        await writer.drain()
        await asyncio.sleep(0.2)
        # No session waits for what does not come.
        assert await backends(admin_connection, twin, "state <> 'idle'") == []
        writer.close()
        await asyncio.sleep(0.2)
    assert await twin.rows("SELECT * FROM notes") == []


async def test_a_client_that_goes_away_while_it_waits_undoes_it(
    twin: Twin, owner: Owner, app: FastAPI, make_key: MakeKey, admin_connection: Any
) -> None:
    await slowed(twin, owner)
    token = await make_key()
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    body = form(twin, "body\n" + "x\n" * 500)
    async with app_address(app) as (host, port), httpx.AsyncClient() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                f"http://{host}:{port}/v1/upload_data", headers=headers, content=body, timeout=1
            )
        await idle(admin_connection, twin)
    assert await twin.rows("SELECT * FROM notes") == []
    assert (await upload(twin, "body\nx\n")).code == 0


class app_address:  # noqa: N801
    """A server for the application that runs, on a loop of its own beside it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __aenter__(self) -> tuple[str, int]:
        config = uvicorn.Config(self._app, log_config=None, lifespan="off", port=0)
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())

        async def started() -> bool:
            return self._server.started

        await until(started)
        address: tuple[str, int] = self._server.servers[0].sockets[0].getsockname()
        return address

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving


@AUDIENCES
async def test_a_lost_backend_is_one_retryable_error(
    twin: Twin, owner: Owner, admin_connection: Any, fields: dict[str, str]
) -> None:
    await slowed(twin, owner)
    going = asyncio.create_task(upload(twin, "body\n" + "x\n" * 500, **fields))

    async def is_ended() -> bool:
        pids = await backends(admin_connection, twin, "state = 'active' AND query ~ '^INSERT'")
        for pid in pids:
            await admin_connection.execute("SELECT pg_terminate_backend($1)", pid)
        return pids != []

    await until(is_ended)
    assert_retryable(await going, "database_unavailable")
    assert await twin.rows("SELECT * FROM notes") == []


# Many.


async def test_twenty_at_once(twin: Twin) -> None:
    def content(number: int) -> tuple[str, bytes]:
        rows = [[f"f{number}", n] for n in range(1_500)]
        if number % 4 == 0:
            return "a.xlsx", sheet(["body", "n"], *rows)
        lines = "".join(f"{body},{n}\n" for body, n in rows)
        return "a.csv", f"body,n\n{lines}".encode()

    async def one(number: int) -> Any:
        name, data = content(number)
        return await upload(twin, data, name, **(ALICE if number % 2 else {}))

    async def other() -> int:
        return int(await twin.value("SELECT count(*) FROM notes WHERE false"))

    going = [asyncio.create_task(one(number)) for number in range(20)]
    while not all(task.done() for task in going):
        assert await asyncio.wait_for(other(), 5) == 0
        await asyncio.sleep(0.05)
    assert [(await task).code for task in going] == [0] * 20
    [row] = await twin.rows("SELECT count(*), count(DISTINCT body) AS files FROM notes")
    assert row == {"count": 30_000, "files": 20}


async def test_a_database_with_many_files_leaves_others_their_turn(
    twin: Twin, owner: Owner, admin_connection: Any, uid: str
) -> None:
    await slowed(twin, owner)
    id_ = await twin.api.create("quick", uid=uid)
    quick = Twin(twin.api, id_, uid)
    await quick.make("CREATE TABLE notes (body TEXT)")
    going = [asyncio.create_task(upload(twin, "body\n" + "x\n" * 100)) for _ in range(6)]
    await asyncio.sleep(0.3)
    assert len(await backends(admin_connection, twin, "state = 'active'")) <= 2
    done = await asyncio.wait_for(upload(quick, "body\nx\n"), 5)
    assert done.code == 0
    assert not all(task.done() for task in going)
    assert {(await task).code for task in going} == {0}


async def test_more_bodies_than_a_worker_takes_are_refused(
    twin: Twin, monkeypatch: pytest.MonkeyPatch, owner: Owner, admin_connection: Any
) -> None:
    await slowed(twin, owner)
    monkeypatch.setattr("memory.transfer.upload.MOST_PRESENT", 1)
    first = asyncio.create_task(upload(twin, "body\n" + "x\n" * 50))

    async def works() -> bool:
        return await backends(admin_connection, twin, "state = 'active'") != []

    await until(works)
    assert_retryable(await upload(twin, "body\nx\n"), "uploads_busy")
    assert (await first).code == 0
    assert (await upload(twin, "body\nx\n")).code == 0


async def test_a_body_has_to_come_in_time(twin: Twin, worker: Worker, make_key: MakeKey) -> None:
    token = await make_key()
    async with worker(upload_timeout=0.3) as (app, _), app_address(app) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST /v1/upload_data HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            "Content-Length: 1000\r\n\r\n"
        )
        writer.write(head.encode() + f"--{BOUNDARY}".encode())
        await writer.drain()
        answered = await asyncio.wait_for(reader.read(4096), 5)
        assert b" 400 " in answered.splitlines()[0]
        assert b"did not come within" in answered
        writer.close()


# Who it was.


async def test_uploads_are_audited(twin: Twin, worker: Worker, admin_connection: Any) -> None:
    async with worker() as (_, api):
        audited = Twin(api, twin.id, twin.uid)
        assert (await upload(audited, "body\nsecret\n", **ALICE)).code == 0
        assert (await upload(audited, "n\nsecret\n")).code == 25202
    rows = await admin_connection.fetch(
        "SELECT uid, details::text FROM pgtwin.audit_entry WHERE database_id = $1"
        " AND action = 'upload_data' ORDER BY id",
        twin.id,
    )
    assert len(rows) == 2
    assert "end_user" in rows[0]["details"]
    assert "22P02" in rows[1]["details"]
    assert all("secret" not in row["details"] for row in rows)


async def test_a_body_comes_in_only_from_those_who_may_call(app: FastAPI) -> None:
    async with app_address(app) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        head = (
            "POST /v1/upload_data HTTP/1.1\r\nHost: x\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            "Content-Length: 10000000\r\n\r\n"
        )
        writer.write(head.encode())
        await writer.drain()
        # The answer comes though nothing of the body has.
        line = await asyncio.wait_for(reader.readline(), 5)
        assert b" 401 " in line
        writer.close()
