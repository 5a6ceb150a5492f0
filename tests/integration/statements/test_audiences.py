"""Who may run SQL in a database, and whose rows that shows."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from memory.caller import Scope
from tests.api import Answer, Api
from tests.integration.statements.conftest import Worker
from tests.sql import NOTES, Twin, as_user

ApiFor = Callable[..., Awaitable[Api]]
APP = "shop"
INSERT = "INSERT INTO notes (body) VALUES ('one')"


def assert_refused(answer: Answer, status: int, code: int) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


async def granted(twin: Twin, app_id: str = APP) -> None:
    given = await twin.api.post("grant_app", database_id=twin.id, uid=twin.uid, app_id=app_id)
    assert given.code == 0, given.body


async def revoked(twin: Twin, app_id: str = APP) -> None:
    taken = await twin.api.post("revoke_app", database_id=twin.id, uid=twin.uid, app_id=app_id)
    assert taken.code == 0, taken.body


async def test_the_owner_sees_all_rows_and_stamps_none(twin: Twin, api_for: ApiFor) -> None:
    mine = replace(twin, api=await api_for(twin.uid))
    for uid in ("alice", "bob"):
        await twin.rows(INSERT, **as_user(uid))
    rows = await mine.rows("SELECT uid FROM notes ORDER BY id")
    assert [row["uid"] for row in rows] == ["shop:alice", "shop:bob"]
    await mine.rows("INSERT INTO notes (id, uid, body) VALUES (7, 'anyone', 'two')")
    await mine.rows("UPDATE notes SET uid = 'shop:alice' WHERE id = 7")
    found = await twin.rows("SELECT id FROM notes ORDER BY id", **as_user("alice"))
    assert found[0] == {"id": 7}
    assert len(found) == 2
    assert await twin.value("SELECT count(*) FROM notes", **as_user("bob")) == 1


async def test_the_owner_may_ask_as_an_end_user(twin: Twin, api_for: ApiFor) -> None:
    mine = replace(twin, api=await api_for(twin.uid))
    await mine.rows("INSERT INTO notes (uid) VALUES ('another')")
    await mine.rows(INSERT, **{"as": "end_user"})
    assert await mine.rows("SELECT uid FROM notes", **{"as": "end_user"}) == [{"uid": twin.uid}]
    assert await mine.value("SELECT count(*) FROM notes", **{"as": "owner"}) == 2


async def test_an_end_user_is_not_found_in_anothers_database(twin: Twin, api_for: ApiFor) -> None:
    stranger = replace(twin, api=await api_for(f"{twin.uid}b"), uid=f"{twin.uid}b")
    for audience in ({}, {"as": "owner"}, {"as": "end_user"}, as_user(f"{twin.uid}b")):
        assert_refused(await stranger.dml("SELECT 1", **audience), 404, 25013)
    assert_refused(await stranger.ddl("DROP TABLE notes"), 404, 25013)
    assert_refused(await stranger.dml("SELECT 1", uid=twin.uid), 403, 25020)


async def test_a_member_of_the_space_is_an_owner(admin: Api, api_for: ApiFor, uid: str) -> None:
    space, member = f"s{secrets.token_hex(6)}", f"{uid}b"
    database = await admin.create("orders", uid=uid, space_id=space)
    theirs = Twin(await api_for(member, spaces=(space,)), database, member)
    await theirs.make(NOTES, space_id=space)
    await theirs.rows("INSERT INTO notes (uid) VALUES ('x')", space_id=space)
    # Which space it is need not be said.
    assert await theirs.rows("SELECT uid FROM notes") == [{"uid": "x"}]
    outsider = replace(theirs, api=await api_for(member))
    assert_refused(await outsider.dml("SELECT 1", space_id=space), 403, 25020)
    assert_refused(await outsider.dml("SELECT 1"), 404, 25013)
    assert_refused(await outsider.ddl("DROP TABLE notes", space_id=space), 403, 25020)


async def test_an_applications_key_needs_a_grant(twin: Twin, api_for: ApiFor) -> None:
    api = await api_for(None, Scope.SQL_DML, app_id=APP)
    app = replace(twin, api=api, uid="alice")
    assert_refused(await app.dml("SELECT 1"), 404, 25013)
    await granted(twin)
    await app.rows(INSERT)
    await app.rows(INSERT, uid="bob")
    assert await app.rows("SELECT uid FROM notes") == [{"uid": "shop:alice"}]
    assert_refused(await app.dml("SELECT 1", app_id="another"), 403, 25020)
    assert await app.rows("SELECT uid FROM notes", app_id=APP, uid="bob") == [{"uid": "shop:bob"}]
    for uid in ("alice", twin.uid):
        refused = await app.dml("SELECT * FROM notes", **{"as": "owner", "uid": uid})
        assert_refused(refused, 403, 25020)
    assert (await app.ddl("DROP TABLE notes", uid=twin.uid)).status in (403, 404)
    await revoked(twin)
    # A worker hears of it a moment later.
    for _ in range(100):
        if await app.code("SELECT 1") != 0:
            break
        await asyncio.sleep(0.05)
    assert_refused(await app.dml("SELECT 1"), 404, 25013)


async def test_an_applications_key_needs_its_user_named(twin: Twin, api_for: ApiFor) -> None:
    await granted(twin)
    app = replace(twin, api=await api_for(None, Scope.SQL_DML, app_id=APP))
    assert_refused(await app.dml("SELECT 1", uid=None), 422, 25000)


async def test_a_key_of_a_user_and_an_application(twin: Twin, api_for: ApiFor) -> None:
    await granted(twin)
    api = await api_for("alice", Scope.SQL_DML, app_id=APP)
    app = replace(twin, api=api, uid="alice")
    await app.rows(INSERT)
    assert await app.rows("SELECT uid FROM notes", uid=None) == [{"uid": "shop:alice"}]
    assert_refused(await app.dml("SELECT 1", uid="bob"), 403, 25020)
    owners = replace(twin, api=await api_for(twin.uid, Scope.SQL_DML, app_id=APP))
    assert await owners.rows("SELECT uid FROM notes") == []
    assert await owners.rows("SELECT uid FROM notes", **{"as": "owner"}) == [{"uid": "shop:alice"}]


async def test_a_grant_is_for_one_database_and_application(twin: Twin, api_for: ApiFor) -> None:
    await granted(twin)
    other = await twin.api.create("other", uid=twin.uid)
    app = replace(twin, api=await api_for(None, Scope.SQL_DML, app_id=APP), uid="alice")
    assert_refused(await app.dml("SELECT 1", database_id=other), 404, 25013)
    another = replace(app, api=await api_for(None, Scope.SQL_DML, app_id="other"))
    assert_refused(await another.dml("SELECT 1"), 404, 25013)


@pytest.mark.parametrize(
    ("scopes", "may_ddl", "may_dml"),
    [
        ((Scope.SQL_DDL,), True, False),
        ((Scope.SQL_DML,), False, True),
        ((Scope.SQL_DDL, Scope.SQL_DML), True, True),
        ((Scope.DATABASES_READ, Scope.DATABASES_WRITE), False, False),
        ((Scope.ADMIN,), True, True),
    ],
)
async def test_scopes(
    twin: Twin, api_for: ApiFor, scopes: tuple[Scope, ...], may_ddl: bool, may_dml: bool
) -> None:
    mine = replace(twin, api=await api_for(twin.uid, *scopes))
    ddl = await mine.ddl("CREATE TABLE x (n int)")
    assert (ddl.status, ddl.code) == ((200, 0) if may_ddl else (403, 25020))
    dml = await mine.dml("SELECT 1")
    assert (dml.status, dml.code) == ((200, 0) if may_dml else (403, 25020))


@pytest.mark.parametrize("env", ["prod", "test"])
async def test_ddl_in_one_environment(twin: Twin, env: str) -> None:
    await twin.make("CREATE TABLE x (n int)", env=env)
    for each in ("prod", "test"):
        expected = 0 if each == env else 25020
        assert await twin.code("SELECT * FROM x", env=each) == expected
        assert await twin.code("SELECT * FROM x", env=each, **as_user("alice")) == expected
    assert_refused(await twin.ddl("DROP TABLE x", env="staging"), 422, 25000)
    assert_refused(await twin.ddl("DROP TABLE x", env="both"), 422, 25041)
    assert await twin.code("SELECT * FROM x", env=env) == 0


@pytest.mark.parametrize("extra", [{"parameters": []}, {"as_": "owner"}, {"x": 1}])
async def test_unknown_fields_are_refused(twin: Twin, extra: dict[str, Any]) -> None:
    assert_refused(await twin.dml("SELECT 1", **extra), 422, 25000)
    assert_refused(await twin.ddl("DROP TABLE notes", **extra), 422, 25000)


async def until_refused(twin: Twin, code: int, **fields: Any) -> None:
    deadline = time.monotonic() + 5
    while (await twin.dml("SELECT 1", **fields)).code != code:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_another_worker_hears_of_a_revoked_grant(
    twin: Twin, worker: Worker, api_for: ApiFor
) -> None:
    await granted(twin)
    api = await api_for(None, Scope.SQL_DML, app_id=APP)
    async with worker() as (_, second):
        # The same key on the other worker.
        second.client.headers["Authorization"] = api.client.headers["Authorization"]
        app = replace(twin, api=second, uid="alice")
        await app.rows(INSERT)
        await revoked(twin)
        await until_refused(app, 25013)
        await granted(twin)
        await until_refused(app, 0)


async def test_another_worker_refuses_a_dropped_database(twin: Twin, worker: Worker) -> None:
    async with worker() as (_, second):
        theirs = replace(twin, api=second)
        for audience in ({}, as_user("alice")):
            assert await theirs.value("SELECT 1", **audience) == 1
        dropped = await twin.api.post("drop_database", database_id=twin.id, uid=twin.uid)
        assert dropped.code == 0
        # At once, though it has warm sessions and knows the database.
        for _ in range(2):
            assert_refused(await theirs.dml("SELECT 1", **as_user("alice")), 404, 25013)
            assert_refused(await theirs.dml("SELECT 1"), 404, 25013)
            assert_refused(await theirs.ddl("DROP TABLE notes"), 404, 25013)
