"""The same request twice under one Idempotency-Key is done once and answered twice."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from core.ids import IdsUnavailable
from memory.services import Services
from tests.api import Answer, Api
from tests.conftest import MakeKey, http_client
from tests.integration.test_transactions import run

REPLAYED = "Idempotency-Replayed"
ApiFor = Callable[..., Awaitable[Api]]


async def keyed(api: Api, key: str | bytes, action: str, /, **fields: Any) -> Answer:
    headers = [(b"Idempotency-Key", key.encode() if isinstance(key, str) else key)]
    return await api.send("POST", action, json=fields, headers=headers)


def assert_again(first: Answer, again: Answer) -> None:
    """The answer is the first one, under this request's own sid."""
    assert first.code == 0, first.body
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.status == first.status
    assert list(again.body) == list(first.body)
    assert again.body | {"sid": ""} == first.body | {"sid": ""}
    assert again.body["sid"] == again.headers["X-Request-ID"] != first.body["sid"]


def assert_in_flight(found: Answer) -> None:
    assert (found.status, found.code) == (409, 25017), found.body
    assert (found.error["type"], found.error["retryable"]) == ("request_in_flight", True)
    assert found.headers["Retry-After"] == "1"


@pytest.fixture
async def key(services: Services) -> str:
    """A key that no other test uses; ids can be made again, after tests that blocked the loop."""
    async with asyncio.timeout(30):
        while True:
            try:
                services.ids.next()
            except IdsUnavailable:
                await asyncio.sleep(0.05)
            else:
                return f"key-{secrets.token_hex(8)}"


async def live(admin_connection: Any, uid: str) -> list[int]:
    rows = await admin_connection.fetch(
        "SELECT id FROM pgtwin.database_meta WHERE uid = $1 AND deleted_at IS NULL ORDER BY id", uid
    )
    return [row["id"] for row in rows]


# Replays.


async def test_a_create_is_done_once_and_answered_again(
    admin: Api, admin_connection: Any, uid: str, key: str
) -> None:
    first = await keyed(admin, key, "create_database", database_name="orders", uid=uid)
    for _ in range(2):
        assert_again(
            first, await keyed(admin, key, "create_database", database_name="orders", uid=uid)
        )
    assert await live(admin_connection, uid) == [first.data["database_id"]]


async def test_every_other_write_is_done_once(
    admin: Api, admin_connection: Any, uid: str, key: str
) -> None:
    source = await admin.create("orders", uid=uid)
    for action, fields in (
        ("modify_db_description", {"description": "once"}),
        ("clone_database", {"new_database_name": "copy"}),
        ("drop_database", {}),
    ):
        body = {"database_id": source, "uid": uid, **fields}
        first = await keyed(admin, f"{key}-{action}", action, **body)
        assert_again(first, await keyed(admin, f"{key}-{action}", action, **body))
        actions = "SELECT count(*) FROM pgtwin.audit_entry WHERE uid = $1 AND action = $2"
        assert await admin_connection.fetchval(actions, uid, action) == 1


async def test_without_a_key_a_write_is_done_each_time(admin: Api, uid: str) -> None:
    for code in (0, 25010):
        again = await admin.post("create_database", database_name="orders", uid=uid)
        assert again.code == code
        assert REPLAYED not in again.headers


async def test_an_error_is_not_stored(admin: Api, uid: str, key: str) -> None:
    taken = await admin.create("orders", uid=uid)
    fields = {"database_name": "orders", "uid": uid}
    for _ in range(2):
        failed = await keyed(admin, key, "create_database", **fields)
        assert (failed.status, failed.code) == (409, 25010)
        assert failed.error["type"] == "name_taken"
    await admin.post("drop_database", database_id=taken, uid=uid)
    assert_again(
        await keyed(admin, key, "create_database", **fields),
        await keyed(admin, key, "create_database", **fields),
    )


async def test_a_body_that_is_not_valid_uses_no_key_up(admin: Api, uid: str, key: str) -> None:
    refused = await keyed(admin, key, "create_database", database_name="1orders", uid=uid)
    assert (refused.status, refused.code) == (422, 25000)
    assert (await keyed(admin, key, "create_database", database_name="orders", uid=uid)).code == 0


# Another request under the same key.


async def test_another_body_or_action_is_refused(admin: Api, uid: str, key: str) -> None:
    fields = {"database_name": "orders", "uid": uid}
    first = await keyed(admin, key, "create_database", **fields)
    database_id = first.data["database_id"]
    for refused in (
        await keyed(admin, key, "create_database", database_name="other", uid=uid),
        await keyed(admin, key, "create_database", database_name="1other", uid=uid),
        await keyed(admin, key, "create_database?x=1", **fields),
        await keyed(admin, key, "drop_database", **fields),
        await keyed(admin, key, "drop_database", database_id=database_id, uid=uid),
    ):
        assert (refused.status, refused.code) == (422, 25003), refused.body
        assert refused.error["type"] == "idempotency_key_reused"
        assert refused.error["retryable"] is False
    assert_again(first, await keyed(admin, key, "create_database", **fields))


@pytest.mark.parametrize(
    "bad", [b"", b"a b", b"a\tb", "é".encode(), b"\xe9", b"a\x7f", b"k" * 256, b"a, b"]
)
async def test_a_key_that_is_none_is_refused_by_its_name(admin: Api, uid: str, bad: bytes) -> None:
    refused = await keyed(admin, bad, "create_database", database_name="orders", uid=uid)
    assert (refused.status, refused.code) == (422, 25000), refused.body
    assert refused.error["type"] == "invalid_request"
    assert refused.error["details"][0]["field"] == "Idempotency-Key"
    listed = await admin.send("GET", "databases", headers=[(b"Idempotency-Key", bad)])
    assert listed.code == 0


async def test_two_keys_are_refused(admin: Api, uid: str) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    body = {"database_name": "orders", "uid": uid}
    refused = await admin.send("POST", "create_database", json=body, headers=headers)
    assert (refused.status, refused.code) == (422, 25000)
    assert "Idempotency-Key" in refused.message


@pytest.mark.parametrize("good", ["!", "~", "k" * 255, '"quoted"', "a'b\\c%s:x"])
async def test_every_visible_character_is_taken(admin: Api, uid: str, good: str) -> None:
    own = good if len(good) == 255 else f"{good}{uid}"
    fields = {"database_name": "orders", "uid": uid}
    assert_again(
        await keyed(admin, own, "create_database", **fields),
        await keyed(admin, own, "create_database", **fields),
    )


# Whose answer it is.


async def test_a_key_of_another_caller_is_another_key(api_for: ApiFor, uid: str, key: str) -> None:
    one, other, stranger = await api_for(uid), await api_for(uid), await api_for(f"{uid}x")
    fields = {"database_name": "orders"}
    first = await keyed(one, key, "create_database", **fields)
    assert first.code == 0
    again = await keyed(other, key, "create_database", **fields)
    assert (again.code, again.error["type"]) == (25010, "name_taken")
    theirs = await keyed(stranger, key, "create_database", **fields)
    assert REPLAYED not in theirs.headers
    assert theirs.data["database_id"] != first.data["database_id"]


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
async def test_a_key_that_has_ended_gets_no_answer_again(
    app: FastAPI, make_key: MakeKey, admin_connection: Any, uid: str, key: str, end: str
) -> None:
    token = await make_key(uid)
    async with http_client(app, Authorization=f"Bearer {token}") as client:
        api = Api(client)
        assert (await keyed(api, key, "create_database", database_name="orders")).code == 0
        await admin_connection.execute(
            f"UPDATE pgtwin.api_key SET {end} = now() WHERE prefix = $1", token.split("_")[1]
        )
        refused = await keyed(api, key, "create_database", database_name="orders")
        assert (refused.status, refused.code) == (401, 25020)
        assert REPLAYED not in refused.headers


async def test_on_the_drop_in_mount_a_key_belongs_to_the_applications_user(
    drop_in: Api, uid: str, key: str
) -> None:
    fields = {"database_name": "orders", "uid": uid}
    first = await keyed(drop_in, key, "create_database", **fields)
    assert_again(first, await keyed(drop_in, key, "create_database", **fields))
    reused = await keyed(drop_in, key, "create_database", database_name="other", uid=uid)
    assert (reused.status, reused.code) == (200, 25003)
    assert set(reused.body) == {"code", "message", "sid"}
    theirs = await keyed(drop_in, key, "create_database", database_name="orders", uid=f"{uid}x")
    assert theirs.code == 0
    assert REPLAYED not in theirs.headers
    headers = {"Idempotency-Key": key, "X-Consumer-Username": "app2"}
    other = await drop_in.send("POST", "create_database", json=fields, headers=headers)
    assert other.code == 25010
    bad = await keyed(drop_in, b"a b", "create_database", **fields)
    assert (bad.status, bad.code) == (200, 25000)


@pytest.mark.parametrize("uid_sent", ["a\x00b", "\ud800", "x" * 100_000, 7, None, ["u"]])
async def test_a_user_that_can_not_be_is_refused_with_a_key_too(
    drop_in: Api, key: str, uid_sent: Any
) -> None:
    body = json.dumps({"database_name": "orders", "uid": uid_sent})
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    refused = await drop_in.send("POST", "create_database", content=body, headers=headers)
    assert (refused.status, refused.code) == (200, 25000)


# At the same time.


async def test_twenty_creates_at_once_make_one_database(
    admin: Api, admin_connection: Any, uid: str, key: str
) -> None:
    fields = {"database_name": "orders", "uid": uid}
    answers = await asyncio.gather(
        *(keyed(admin, key, "create_database", **fields) for _ in range(20))
    )
    done = [each for each in answers if each.code == 0]
    for each in answers:
        if each.code:
            assert_in_flight(each)
    [database_id] = await live(admin_connection, uid)
    assert {each.data["database_id"] for each in done} == {database_id}
    assert [REPLAYED in each.headers for each in done].count(False) == 1
    [first] = [each for each in done if REPLAYED not in each.headers]
    for _ in range(3):
        assert_again(first, await keyed(admin, key, "create_database", **fields))


@asynccontextmanager
async def locked(admin_connection: Any, database_id: int) -> AsyncIterator[None]:
    """The database's row, which whoever changes it waits for."""
    async with admin_connection.transaction():
        await admin_connection.execute(
            "SELECT FROM pgtwin.database_meta WHERE id = $1 FOR UPDATE", database_id
        )
        yield


async def until(services: Services, query: str) -> None:
    while True:
        if await services.database.transaction(lambda session: run(session, query)):
            return
        await asyncio.sleep(0.01)


async def until_waiting(services: Services) -> None:
    """Until a session waits for another one's transaction to end."""
    await until(
        services, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    )


@pytest.mark.parametrize("mount", ["v1", "drop-in"])
async def test_while_the_first_is_in_flight_the_second_is_turned_away_at_once(
    admin: Api,
    drop_in: Api,
    services: Services,
    admin_connection: Any,
    uid: str,
    key: str,
    mount: str,
) -> None:
    api = admin if mount == "v1" else drop_in
    database_id = await api.create("orders", uid=uid)
    fields = {"database_id": database_id, "uid": uid, "description": "d"}
    async with locked(admin_connection, database_id):
        running = asyncio.create_task(keyed(api, key, "modify_db_description", **fields))
        await until_waiting(services)
        second = await keyed(api, key, "modify_db_description", **fields)
        assert not running.done()
    if mount == "v1":
        assert_in_flight(second)
    else:
        assert (second.status, second.code) == (200, 25017)
    assert_again(await running, await keyed(api, key, "modify_db_description", **fields))


async def test_what_was_committed_just_before_the_lock_is_seen(
    admin: Api, services: Services, admin_connection: Any, uid: str, key: str
) -> None:
    """A look-up that began before the first answer's commit, and came to the lock after it."""
    gate, caller = secrets.randbits(60), "SELECT caller FROM pgtwin.idempotency WHERE key = $1"
    # The same caller's, to learn its name.
    await keyed(admin, f"{key}x", "create_database", database_name="before", uid=uid)
    name = await admin_connection.fetchval(caller, f"{key}x")
    behind_the_gate = (
        f"SELECT f.body FROM (SELECT pg_advisory_xact_lock({gate})::text AS passed OFFSET 0) g,"
        f" LATERAL pgtwin.lock_idempotency_key(1, '{name}', '{key}' || g.passed) f"
    )
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
    await admin_connection.execute(f"SELECT pg_advisory_lock({gate})")
    looking = asyncio.create_task(
        services.database.transaction(lambda session: run(session, behind_the_gate))
    )
    try:
        await until(services, waits)
        first = await keyed(admin, key, "create_database", database_name="orders", uid=uid)
    finally:
        await admin_connection.execute(f"SELECT pg_advisory_unlock({gate})")
    assert str(first.data["database_id"]).encode() in (await looking or b"")


@pytest.mark.parametrize("kind", ["BEFORE INSERT", "CONSTRAINT"])
async def test_a_conflict_runs_the_request_again_with_its_key(
    admin: Api, admin_connection: Any, uid: str, key: str, kind: str
) -> None:
    """A serialization failure, when the answer is stored or at the commit."""
    trigger = (
        "CREATE TRIGGER conflict BEFORE INSERT ON pgtwin.idempotency"
        if kind == "BEFORE INSERT"
        else "CREATE CONSTRAINT TRIGGER conflict AFTER INSERT ON pgtwin.idempotency"
        " DEFERRABLE INITIALLY DEFERRED"
    )
    await admin_connection.execute(
        "CREATE SEQUENCE pgtwin_ext.runs; GRANT USAGE ON SEQUENCE pgtwin_ext.runs TO PUBLIC;"
        "CREATE FUNCTION pgtwin_ext.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('pgtwin_ext.runs') < 3 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;"
        " RETURN NEW; END $$;"
        f"{trigger} FOR EACH ROW EXECUTE FUNCTION pgtwin_ext.conflict()"
    )
    fields = {"database_name": "orders", "uid": uid}
    try:
        first = await keyed(admin, key, "create_database", **fields)
        assert await admin_connection.fetchval("SELECT last_value FROM pgtwin_ext.runs") == 3
    finally:
        await admin_connection.execute(
            "DROP FUNCTION pgtwin_ext.conflict() CASCADE; DROP SEQUENCE pgtwin_ext.runs"
        )
    assert_again(first, await keyed(admin, key, "create_database", **fields))
    assert await live(admin_connection, uid) == [first.data["database_id"]]
