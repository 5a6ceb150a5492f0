"""Transactions that end along with their last statement: kept whole, or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import TenantServer
from memory.services import Services
from tests.integration.statements.conftest import Owner, Plant, Worker
from tests.integration.statements.test_endings import FUNCTION, PAUSE, assert_timed_out
from tests.sql import Twin, as_user

ALICE = as_user("alice")
LOG = FUNCTION.format(
    "log_it() RETURNS int", "INSERT INTO notes (uid, body) VALUES ('alice', 'seen'); RETURN 1"
)
COUNT = "SELECT count(*) FROM notes"


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages with which transactions ended by themselves."""
    found: list[str] = []
    execute = TenantConnection.execute

    async def watched(self: TenantConnection, query: str, *given: Any, **options: Any) -> str:
        if "COMMIT" in query or "ROLLBACK" in query:
            found.append(query)
        return await execute(self, query, *given, **options)

    monkeypatch.setattr(TenantConnection, "execute", watched)
    return found


@pytest.mark.parametrize("audience", [{}, ALICE])
@pytest.mark.parametrize(
    "dml",
    [
        "SELECT lower('A'), count(*) FROM notes",
        "SELECT body FROM notes; SELECT 1 WHERE false",
        "INSERT INTO notes (uid, body) VALUES ('alice', 'a'), ('alice', 'b')",
        "UPDATE notes SET n = 1",
        "DELETE FROM notes WHERE n = 1",
    ],
)
async def test_what_can_be_refused_no_more_ends_along(
    twin: Twin, ends: list[str], dml: str, audience: dict[str, str]
) -> None:
    for _ in range(3):
        assert await twin.code(dml, **audience) == 0
    assert ends == []


@pytest.mark.parametrize(
    "dml",
    [
        "SELECT n FROM notes FOR UPDATE",
        "INSERT INTO notes (uid) VALUES ('alice') RETURNING id",
        "INSERT INTO notes (uid) SELECT 'alice' FROM generate_series(1, 3)",
        "INSERT INTO notes (uid) VALUES ('alice'); SELECT 1",
        "WITH gone AS (DELETE FROM notes RETURNING 1) SELECT count(*) FROM gone",
    ],
)
async def test_what_may_be_refused_yet_is_ended_apart(
    twin: Twin, ends: list[str], dml: str
) -> None:
    assert await twin.code(dml) == 0
    assert len(ends) == 1


async def test_ddl_ends_along_with_the_last_of_both(twin: Twin, ends: list[str]) -> None:
    await twin.make("CREATE TABLE a (id int); CREATE TABLE b (id int, uid VARCHAR(64))")
    assert ends == []
    for env in ("prod", "test"):
        assert await twin.rows("INSERT INTO b (id) VALUES (1)", env=env, **ALICE) == [{"id": 1}]
    refused = await twin.ddl("CREATE TABLE c (id int); CREATE TABLE a (id int)")
    assert refused.code == 25011 or refused.error["sqlstate"] == "42P07", refused.body
    assert await twin.code("SELECT * FROM c") != 0


async def test_ddl_of_both_environments_is_one_trip(
    twin: Twin, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    send = TenantConnection.run_utilities

    async def watched(self: TenantConnection, utilities: Any, **options: Any) -> Any:
        assert self.awaits_beginning
        trips.append(len(utilities))
        return await send(self, utilities, **options)

    monkeypatch.setattr(TenantConnection, "run_utilities", watched)
    made = await twin.ddl("CREATE TABLE a (id int); ALTER TABLE a ADD n int; DROP TABLE a")
    assert (made.code, trips, ends) == (0, [6], []), made.body
    assert (await twin.ddl("CREATE TABLE a (id int)", env="test")).code == 0
    assert (trips, ends) == ([6, 1], [])


@pytest.mark.parametrize("encoding", ["LATIN1", "SJIS"])
async def test_ddl_is_read_as_it_was_judged_whatever_ran_before(
    twin: Twin, owner: Owner, plant: Plant, encoding: str
) -> None:
    await plant(twin, "encs", "client_encoding", encoding, is_local=False)
    # One literal, whose end a byte of the letter would take with it in SJIS.
    default = "E'Á\\' || now() --'"
    await twin.make(
        "CREATE TABLE t1 AS SELECT * FROM encs; COMMENT ON TABLE notes IS 'zoë';"
        f" CREATE TABLE t2 AS SELECT * FROM encs; CREATE TABLE t3 (a text DEFAULT {default}\n)",
        env="prod",
    )
    async with owner(twin) as session:
        assert await session.fetchval("SELECT obj_description('notes'::regclass)") == "zoë"
        kept = await session.fetchval(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't3'::regclass"
        )
    assert kept == "'Á'' || now() --'::text"
    # What the session was left in is nobody's.
    assert await twin.code(COUNT) == 0


@pytest.mark.parametrize(
    ("ddl", "env", "statement", "state"),
    [
        ("DROP TABLE here", "test", 2, "42P01"),
        ("DROP TABLE there", "prod", 2, "42P01"),
        ("CREATE TABLE b (id nothing)", "prod", 2, "42704"),
    ],
)
async def test_ddl_that_fails_on_its_way_is_located_and_undone(
    twin: Twin, ddl: str, env: str, statement: int, state: str
) -> None:
    assert (await twin.ddl("CREATE TABLE here (id int)", env="prod")).code == 0
    assert (await twin.ddl("CREATE TABLE there (id int)", env="test")).code == 0
    whole = f"CREATE TABLE a (id int); {ddl}; CREATE TABLE c (id int)"
    for _ in range(2):
        refused = await twin.ddl(whole)
        assert refused.error["sqlstate"] == state, refused.body
        told = refused.error["details"][0]
        assert (told["statement"], told["env"]) == (statement, env)
        if state == "42704":
            assert refused.error["position"] == whole.index("nothing") + 1
    for env in ("prod", "test"):
        for name in "abc":
            assert await twin.code(f"SELECT * FROM {name}", env=env) != 0
    assert await twin.code("SELECT * FROM here") == 0


@pytest.mark.parametrize("dml", ["SELECT log_it()", "SELECT * FROM logging"])
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_select_that_writes_is_kept_once(
    twin: Twin, owner: Owner, dml: str, audience: dict[str, str]
) -> None:
    async with owner(twin) as session:
        await session.execute(LOG)
        await session.execute("CREATE VIEW logging WITH (security_invoker) AS SELECT log_it()")
    for times in (1, 2):
        assert await twin.value(dml, **audience) == 1
        assert await twin.value(COUNT, **audience) == times


async def test_a_select_that_writes_and_gives_too_much_keeps_nothing(
    twin: Twin, owner: Owner, worker: Worker
) -> None:
    async with owner(twin) as session:
        await session.execute(LOG)
        await session.execute(
            "CREATE VIEW logging AS SELECT log_it(), repeat('x', 1000) FROM generate_series(1, 200)"
        )
    async with worker(sql_byte_limit=65_536, sql_row_limit=150) as (_, api):
        small = replace(twin, api=api)
        for dml in ("SELECT * FROM logging", "SELECT log_it FROM logging LIMIT 160"):
            assert await small.code(dml) != 0
    assert await twin.value(COUNT) == 0


async def test_a_sequence_is_not_asked_twice(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute("CREATE SEQUENCE s")
        await session.execute(FUNCTION.format("next() RETURNS int", "RETURN nextval('s')"))
    given = [await twin.value(f"SELECT {call}") for call in ("nextval('s')", "next()") * 20]
    assert given == list(range(1, 41))


DEFERRED = (
    "CREATE TABLE part (id int PRIMARY KEY, whole int,"
    " FOREIGN KEY (whole) REFERENCES part (id) DEFERRABLE INITIALLY DEFERRED)"
)


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_what_is_found_at_the_end_undoes_all(
    twin: Twin, ends: list[str], audience: dict[str, str]
) -> None:
    await twin.make(DEFERRED)
    for dml in ("INSERT INTO part VALUES (1, 2)", "INSERT INTO part VALUES (3, 3), (1, 2)"):
        refused = await twin.dml(dml, **audience)
        assert refused.error["type"] == "constraint_violated", refused.body
        assert refused.error["sqlstate"] == "23503"
        assert "statement" not in (refused.error.get("details") or [{}])[0]
        assert await twin.rows("SELECT * FROM part", **audience) == []
    assert await twin.rows("INSERT INTO part VALUES (1, 1)", **audience) == [{"id": 1}]
    assert ends == []


@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_one_that_is_refused_leaves_its_session_as_new(
    twin: Twin, admin_connection: Any, audience: dict[str, str]
) -> None:
    await twin.make("CREATE TABLE t (n int PRIMARY KEY)")
    insert = "INSERT INTO t VALUES ($1)"
    assert await twin.code(insert, params=[1], **audience) == 0
    sessions = "SELECT array_agg(pid) FROM pg_stat_activity WHERE usename ~ ('^d' || $1)"
    before = await admin_connection.fetchval(sessions, str(twin.id))
    for params in ([1], [[2], [3], [1]], [[1], [4]]):
        refused = await twin.dml(insert, params=params, **audience)
        assert refused.error["sqlstate"] == "23505", refused.body
        assert refused.error["details"][0]["statement"] == 1
    assert await twin.code("SELECT 1 / n FROM (SELECT 0 AS n) AS z", **audience) != 0
    assert await twin.rows("SELECT * FROM t", **audience) == [{"n": 1}]
    assert await admin_connection.fetchval(sessions, str(twin.id)) == before


async def test_what_takes_too_long_at_the_end_keeps_nothing(
    twin: Twin, owner: Owner, worker: Worker
) -> None:
    async with owner(twin) as session:
        await session.execute(PAUSE)
        await session.execute(
            FUNCTION.format("slow() RETURNS trigger", "PERFORM pause(30); RETURN NULL")
        )
        await session.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON notes"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    async with worker(sql_timeout=0.5) as (_, api):
        hurried = replace(twin, api=api)
        assert_timed_out(await hurried.dml("INSERT INTO notes (uid) VALUES ('x')"))
        assert await hurried.value(COUNT) == 0


async def test_a_new_session_begins_along_with_its_login(
    twin: Twin, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for an end user, for whom the session has to be known, nor for DDL."""
    begun: list[str] = []
    log_in = TenantServer.log_in

    async def watched(self: TenantServer, *given: Any, beginning: str = "") -> TenantConnection:
        begun.append(beginning[:5])
        return await log_in(self, *given, beginning=beginning)

    monkeypatch.setattr(TenantServer, "log_in", watched)
    calls: dict[str, Any] = {
        "DML": twin.code("INSERT INTO notes (uid) VALUES ('alice'); SELECT 1"),
        "read": twin.code("SELECT * FROM notes", read_only=True),
        "end user": twin.code("SELECT * FROM notes", **ALICE),
        "refused by PostgreSQL": twin.code("SELECT * FROM nowhere"),
        "again": twin.code(COUNT),
    }
    found = {}
    for name, call in calls.items():
        if name != "again":
            services.sessions.close_idle()
        found[name] = (await call, begun.copy())
        begun.clear()
    services.sessions.close_idle()
    found["DDL"] = ((await twin.ddl("CREATE TABLE a (id int)")).code, begun.copy())
    assert {name: (code == 0, *begun) for name, (code, begun) in found.items()} == {
        "DML": (True, "BEGIN"),
        "read": (True, "BEGIN"),
        "end user": (True, ""),
        "refused by PostgreSQL": (False, "BEGIN"),
        "again": (True,),
        "DDL": (True, ""),
    }
    assert await twin.value(COUNT) == 1
