"""Idempotency-Key on exec_ddl and exec_dml: the answer is kept in the tenant's transaction."""

import asyncio
import secrets
import signal
import sys
from typing import Any

import httpx
import pytest

from tests.acceptance.test_commands import new_place
from tests.api import Answer, Api
from tests.conftest import MASTER_SECRET, control_database
from tests.integration.statements.conftest import Owner
from tests.integration.statements.test_endings import PAUSE
from tests.integration.test_bad_days import truth
from tests.integration.test_idempotency import REPLAYED, assert_again, assert_in_flight, keyed
from tests.integration.test_idempotent_operations import (
    LEASE,
    Wire,
    another_service,
    once_decided,
)
from tests.integration.test_operations import until
from tests.sql import NOTES, Twin, as_user

ALICE = as_user("alice")
INSERT = "INSERT INTO notes (body, uid) VALUES ('x', 'y')"


@pytest.fixture
def key() -> str:
    return f"key-{secrets.token_hex(8)}"


async def dml(twin: Twin, key: str, dml: str, **fields: Any) -> Answer:
    body = {"database_id": twin.id, "uid": twin.uid, "env": "prod", "dml": dml, **fields}
    return await keyed(twin.api, key, "exec_dml", **body)


async def ddl(twin: Twin, key: str, ddl: str, **fields: Any) -> Answer:
    body = {"database_id": twin.id, "uid": twin.uid, "ddl": ddl, **fields}
    return await keyed(twin.api, key, "exec_ddl", **body)


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_dml_is_done_once(twin: Twin, key: str, audience: dict[str, str]) -> None:
    select = "SELECT 123456789012345678901234567890.50 AS v, '日本' AS t"
    first = await dml(twin, key, f"{INSERT}; {select}", **audience)
    for _ in range(3):
        again = await dml(twin, key, f"{INSERT}; {select}", **audience)
        assert_again(first, again)
    assert await twin.value("SELECT count(*) FROM notes") == 1


async def test_ddl_is_done_once(twin: Twin, key: str) -> None:
    create = "CREATE TABLE x (n int)"
    first = await ddl(twin, key, create)
    assert_again(first, await ddl(twin, key, create))
    rehearsed = await ddl(twin, f"{key}-dry", "DROP TABLE x", dry_run=True)
    assert rehearsed.code == 0, rehearsed.body
    again = await ddl(twin, f"{key}-dry", "DROP TABLE x", dry_run=True)
    assert again.data["changes"] == rehearsed.data["changes"]
    assert await twin.code("SELECT * FROM x") == 0


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_twenty_at_once_insert_once(twin: Twin, key: str, audience: dict[str, str]) -> None:
    answers = await asyncio.gather(*(dml(twin, key, INSERT, **audience) for _ in range(20)))
    [first] = [each for each in answers if each.code == 0 and REPLAYED not in each.headers]
    for each in answers:
        if each.code:
            assert_in_flight(each)
        elif each is not first:
            assert_again(first, each)
    assert await twin.value("SELECT count(*) FROM notes") == 1
    assert_again(first, await dml(twin, key, INSERT, **audience))


async def test_a_key_is_for_one_request(twin: Twin, key: str) -> None:
    assert (await dml(twin, key, INSERT)).code == 0
    for other in (
        await dml(twin, key, "SELECT 1"),
        await dml(twin, key, INSERT, env="test"),
        await ddl(twin, key, "CREATE TABLE x (n int)"),
    ):
        assert (other.status, other.code) == (422, 25003)


async def test_a_call_that_failed_may_be_made_again(twin: Twin, key: str) -> None:
    select = "INSERT INTO late (n) VALUES (1)"
    for _ in range(2):
        failed = await dml(twin, key, select, **ALICE)
        assert (failed.status, failed.code) == (404, 25020)
        assert REPLAYED not in failed.headers
    await twin.make("CREATE TABLE late (n int)")
    first = await dml(twin, key, select, **ALICE)
    assert_again(first, await dml(twin, key, select, **ALICE))
    assert await twin.value("SELECT count(*) FROM late") == 1


@pytest.mark.parametrize("options", [{"dry_run": True}, {"read_only": True}, {"explain": True}])
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_call_that_keeps_nothing_is_made_anew(
    twin: Twin, key: str, options: dict[str, Any], audience: dict[str, str]
) -> None:
    query = "SELECT 1" if "read_only" in options else INSERT
    for _ in range(2):
        done = await dml(twin, key, query, **options, **audience)
        assert done.code == 0, done.body
        assert REPLAYED not in done.headers
    assert await twin.rows("SELECT * FROM notes") == []


async def test_reads_are_answered_again_too(twin: Twin, key: str) -> None:
    first = await dml(twin, key, "SELECT count(*) FROM notes", **ALICE)
    await twin.rows(INSERT, **ALICE)
    assert_again(first, await dml(twin, key, "SELECT count(*) FROM notes", **ALICE))


async def test_a_table_that_is_opened_meanwhile(twin: Twin, owner: Owner, key: str) -> None:
    async with owner(twin) as session:
        await session.execute("CREATE TABLE direct (id BIGINT PRIMARY KEY, uid TEXT, body TEXT)")
    insert = "INSERT INTO direct (body) VALUES ('x')"
    first = await dml(twin, key, insert, **ALICE)
    assert_again(first, await dml(twin, key, insert, **ALICE))
    assert await twin.value("SELECT count(*) FROM direct") == 1


async def test_while_it_runs_its_key_is_in_flight(twin: Twin, owner: Owner, key: str) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
    slow = f"{INSERT}; SELECT pause(0.6)"
    running = asyncio.create_task(dml(twin, key, slow))
    await asyncio.sleep(0.2)
    assert_in_flight(await dml(twin, key, slow))
    first = await running
    assert_again(first, await dml(twin, key, slow))


async def test_the_answer_of_a_call_is_kept_by_no_one_else(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        with pytest.raises(Exception, match="no such answer"):
            await session.execute(
                "SELECT pgtwin_rt.keep_answer('x', 'key:1', 'k', '\\x00', 200, '\\x00', 60)"
            )


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_service_killed_between_commit_and_answer_has_answered(
    admin_url: str, uid: str, key: str, audience: dict[str, str]
) -> None:
    async with (
        control_database(admin_url, operation_lease=LEASE) as settings,
        Wire(settings.dsn or "", b"pgtwin_rt.keep_answer") as wire,
    ):
        seen = truth(settings, admin_url)
        variables = {"DATABASE_URL": wire.dsn, "PGTWIN_MASTER_SECRET": MASTER_SECRET}
        with new_place(**variables) as place, place.serving() as service:
            token = (await asyncio.to_thread(service.ready)).key
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
                api = Api(client)
                twin = Twin(api, await api.create("orders", uid=uid), uid)
                await twin.make(NOTES)
                asked = asyncio.create_task(dml(twin, key, INSERT, **audience))
                await asyncio.wait_for(wire.cut.wait(), 30)
                await until(seen, "SELECT count(*) > 0 FROM pgtwin.idempotency")
                assert not asked.done()
                await asyncio.to_thread(service.stop, signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asked
        async with another_service(settings, token) as (_, heir):
            mine = Twin(heir, twin.id, uid)
            found = await once_decided(lambda: dml(mine, key, INSERT, **audience))
            assert (found.code, found.headers.get(REPLAYED)) == (0, "true")
            [row] = await mine.rows("SELECT id FROM notes")
            assert found.data["exec_success"] == [row]
