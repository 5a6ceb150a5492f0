"""Sessions of databases: how many there are, and that none remembers its last user."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from memory.services import Services
from tests.api import Api
from tests.integration.statements.conftest import Owner, Worker
from tests.integration.statements.test_endings import ENDLESS, PAUSE, until
from tests.sql import NOTES, Twin, as_user

ALICE, BOB = as_user("alice"), as_user("bob")
SEED = 20_260_101


async def count(connection: Any, twins: list[Twin], login: str = "") -> int:
    """The backends of databases' logins."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtwin sql'"
        " AND substring(usename FROM '^d(\\d+)') = ANY ($1) AND usename LIKE '%' || $2",
        [str(twin.id) for twin in twins],
        login,
    )
    return found


async def test_fifty_calls_at_once_share_eight_sessions(twin: Twin, admin_connection: Any) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, await count(admin_connection, [twin], "_prod_app"))

    watching = asyncio.create_task(watch())
    insert = "INSERT INTO notes (body) VALUES ('x'); SELECT body FROM notes"
    users = [as_user(f"user{n}") for n in range(50)]
    found = await asyncio.gather(*(twin.rows(insert, **user) for user in users))
    watching.cancel()
    assert [len(rows) for rows in found] == [2] * 50
    assert 1 < most <= 8
    assert await twin.value("SELECT count(DISTINCT uid) FROM notes") == 50


@pytest.fixture
async def twins(admin: Api, uid: str) -> list[Twin]:
    made = []
    for number in range(30):
        made.append(Twin(admin, await admin.create(f"db{number}", uid=uid), uid))
        await made[-1].make(NOTES, env="prod")
        await made[-1].rows(f"INSERT INTO notes (uid, n) VALUES ('all', {number})")
    return made


async def test_few_sessions_serve_many_databases_and_nothing_mixes(
    twins: list[Twin], worker: Worker, services: Services, admin_connection: Any
) -> None:
    chance = random.Random(SEED)  # noqa: S311
    most = 0

    async def none_left() -> bool:
        return await count(admin_connection, twins) == 0

    services.sessions.close_idle()
    await until(none_left)

    async def call(api: Api, number: int, user: str) -> None:
        nonlocal most
        twin = replace(twins[number], api=api)
        if chance.random() < 0.3:
            assert await twin.rows("SELECT n FROM notes WHERE uid = 'all'") == [{"n": number}]
            return
        rows = await twin.rows(
            f"INSERT INTO notes (body) VALUES ('{number} {user}') RETURNING uid;"
            " SELECT DISTINCT body, uid FROM notes",
            **as_user(user),
        )
        assert rows[0] == {"uid": f"shop:{user}"}
        assert rows[1:] == [{"body": f"{number} {user}", "uid": f"shop:{user}"}]

    async with worker(sql_sessions=5, sql_session_idle=1.0) as (app, api):
        sessions = app.state.services.sessions
        for _ in range(20):
            picked = [(chance.randrange(30), chance.choice("abc")) for _ in range(15)]
            await asyncio.gather(*(call(api, number, user) for number, user in picked))
            assert sessions.total <= 5
            most = max(most, await count(admin_connection, twins))
        # One that is closed takes a moment to end.
        assert 1 < most <= 10

        await until(none_left)
        assert sessions.total == 0


@pytest.mark.parametrize("limits", [{"sql_sessions": 1}, {"sql_sessions_per_login": 1}])
async def test_waiting_for_a_session_ends(
    twin: Twin, worker: Worker, limits: dict[str, int]
) -> None:
    async with worker(**limits, pool_timeout=0.4, sql_timeout=3.0) as (app, api):
        mine = replace(twin, api=api)
        busy = asyncio.create_task(mine.dml(ENDLESS, **ALICE))
        await asyncio.sleep(0.2)
        refused = await mine.dml("SELECT 1", **BOB)
        assert (refused.status, refused.code) == (503, 25010)
        assert (refused.error["type"], refused.error["retryable"]) == ("sessions_exhausted", True)
        # Another login is another matter, where the worker may have more sessions.
        code = await mine.code("SELECT 1")
        assert code == (25010 if "sql_sessions" in limits else 0)
        assert (await busy).code == 25019
        assert await mine.value("SELECT 1", **BOB) == 1
        assert app.state.services.sessions.total <= 2


async def test_one_login_leaves_others_some(
    twin: Twin, admin: Api, worker: Worker, owner: Owner
) -> None:
    other = Twin(admin, await admin.create("other", uid=twin.uid), twin.uid)
    async with owner(twin) as session:
        await session.execute(PAUSE)
    async with worker(sql_sessions=3, sql_sessions_per_login=2) as (_, api):
        busy = [
            asyncio.create_task(replace(twin, api=api).dml("SELECT pause(0.5)", **ALICE))
            for _ in range(6)
        ]
        await asyncio.sleep(0.1)
        assert await replace(other, api=api).value("SELECT 1", **ALICE) == 1
        assert not any(call.done() for call in busy)
        assert [answer.code for answer in await asyncio.gather(*busy)] == [0] * 6


# What code of the owner leaves in a session.

POISONS = {
    "search_path": "PERFORM set_config('search_path', 'planted, pg_catalog', false)",
    "context": "PERFORM set_config('pgtwin.ctx', current_setting('pgtwin.ctx'), false)",
    "role": "BEGIN EXECUTE 'SET ROLE ' || quote_ident(session_user); END",
    "authorization": "EXECUTE 'SET SESSION AUTHORIZATION ' || quote_ident(session_user)",
    "listen": "EXECUTE 'LISTEN planted'",
    "cursor": "EXECUTE 'DECLARE planted CURSOR WITH HOLD FOR SELECT * FROM notes'",
    "prepared": "EXECUTE 'PREPARE planted AS SELECT 1'",
    "lock": "PERFORM pg_advisory_lock(4711)",
    "row_security": "PERFORM set_config('row_security', 'off', false)",
    "read_only": "PERFORM set_config('default_transaction_read_only', 'on', false)",
    "timeout": "PERFORM set_config('statement_timeout', '1', false)",
    "encoding": "PERFORM set_config('bytea_output', 'escape', false)",
    "strings": "PERFORM set_config('standard_conforming_strings', 'off', false)",
    "datestyle": "PERFORM set_config('datestyle', 'German', false)",
    "sequence": "PERFORM nextval('notes_id_seq')",
}
LOOK = (
    "SELECT current_user = session_user AS same, current_schema() AS schema,"
    " current_setting('search_path') AS path, (SELECT count(*) FROM notes) AS notes,"
    " current_setting('statement_timeout') AS timeout, current_setting('row_security') AS rs,"
    " current_setting('default_transaction_read_only') AS ro, '\\n' AS text,"
    " DATE '2024-01-02' AS date, '\\xde'::bytea AS bytes, pg_my_temp_schema() AS temp,"
    " (SELECT count(*) FROM pg_cursors) AS cursors, (SELECT count(*) FROM pg_prepared_statements"
    " WHERE name = 'planted') AS prepared, (SELECT count(*) FROM pg_listening_channels()) AS heard"
)
# What the guard would refuse, looked at by code of the owner's.
LOOKING = (
    "CREATE FUNCTION look() RETURNS jsonb LANGUAGE plpgsql AS $look$ BEGIN"
    f" RETURN (SELECT to_jsonb(x) FROM ({LOOK}) AS x); END $look$;"
    "CREATE FUNCTION backend() RETURNS int LANGUAGE plpgsql AS"
    " $look$ BEGIN RETURN pg_backend_pid(); END $look$"
)


@pytest.mark.parametrize("poison", POISONS)
async def test_the_next_user_of_a_session_finds_it_clean(
    twin: Twin, owner: Owner, worker: Worker, poison: str
) -> None:
    async with owner(twin) as session:
        await session.execute(LOOKING)
        await session.execute(
            "CREATE FUNCTION planted() RETURNS int LANGUAGE plpgsql AS $$"
            f" BEGIN {POISONS[poison]}; RETURN 1; END $$"
        )
    async with worker(sql_sessions_per_login=1) as (_, api):
        mine = replace(twin, api=api)
        clean, pid = await mine.value("SELECT look()", **BOB), "SELECT backend()"
        before = await mine.value(pid, **BOB)
        await mine.rows("INSERT INTO notes (body) VALUES ('hers')", **ALICE)
        for dml in ("SELECT planted()", "SELECT planted(); SELECT 1 / 0"):
            await mine.dml(dml, **ALICE)
            # That nothing is listened to any more holds from the end of a call on.
            await mine.rows("SELECT 1", **BOB)
            assert await mine.value("SELECT look()", **BOB) == clean, poison
            assert await mine.rows("SELECT * FROM notes", **BOB) == []
        # A session in which no call can begin is not used any more.
        is_same = await mine.value(pid, **BOB) == before
        assert is_same or poison == "read_only"
        await mine.rows("INSERT INTO notes (body) VALUES ('his')", **BOB)
        assert await mine.rows("SELECT uid, body FROM notes", **BOB) == [
            {"uid": "shop:bob", "body": "his"}
        ]


async def test_a_lock_of_a_session_is_not_kept(
    twin: Twin, owner: Owner, admin_connection: Any
) -> None:
    async with owner(twin) as session:
        await session.execute(
            "CREATE FUNCTION planted() RETURNS int LANGUAGE plpgsql AS $$"
            f" BEGIN {POISONS['lock']}; RETURN 1; END $$"
        )
    await twin.dml("SELECT planted()", **ALICE)
    await twin.rows("SELECT 1", **BOB)
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
    assert await admin_connection.fetchval(held) == 0


async def test_a_context_is_of_one_session_and_one_user(twin: Twin, owner: Owner) -> None:
    """What planted code has seen of another's context opens nothing."""
    async with owner(twin) as session:
        await session.execute(
            "CREATE TABLE stolen (context text, pid int);"
            "CREATE FUNCTION backend() RETURNS int LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN pg_backend_pid(); END $$;"
            "CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO stolen SELECT current_setting('pgtwin.ctx'), pg_backend_pid();"
            " RETURN NEW; END $$;"
            "CREATE TRIGGER steal BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION steal();"
            "CREATE FUNCTION forge(c text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM set_config('pgtwin.ctx', c, true); RETURN 1; END $$"
        )
    await twin.rows("INSERT INTO notes (body) VALUES ('hers')", **ALICE)
    [stolen] = await twin.rows("SELECT context, pid FROM stolen")
    forged = (
        stolen["context"].replace("alice", "bob"),
        stolen["context"][:64] + ":shop:" + "alice",
        "0" * 64 + ":shop:alice",
        "",
        "x",
    )
    for context in forged:
        answered = await twin.rows("SELECT forge($1) AS n", params=[context], **BOB)
        assert answered == [{"n": 1}]
    # Within one transaction, which is where a forged context would count.
    async with owner(twin) as session:
        await session.execute(
            "CREATE FUNCTION peek(c text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM set_config('pgtwin.ctx', c, true); RETURN (SELECT count(*) FROM notes);"
            " END $$"
        )
    for context in forged[2:]:
        assert await twin.value("SELECT peek($1)", params=[context], **BOB) == 0
    # Signed for her, and for the moment at which her call began: it opens nothing later on, in
    # her very session either.
    assert await twin.value("SELECT backend()", **BOB) == stolen["pid"]
    assert await twin.value("SELECT peek($1)", params=[stolen["context"]], **BOB) == 0
