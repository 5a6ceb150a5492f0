"""The connection of tenants' SQL: what it sends, what it takes, and how it ends."""

import asyncio
import resource
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from core.errors import (
    DatabaseUnavailable,
    InvalidParameter,
    InvalidRequest,
    ResultTooLarge,
    StatementTimeout,
)
from core.postgres.outcomes import RefusedAhead, Utility
from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import TenantServer, connect_tenant
from tests.tenants import BYTE_LIMIT, connected, empty_database


@pytest.fixture(scope="module")
async def url(admin_url: str) -> AsyncIterator[str]:
    async with empty_database(admin_url) as url:
        admin = await asyncpg.connect(url)
        await admin.execute("CREATE TYPE mood AS ENUM ('a', 'b')")
        await admin.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        await admin.close()
        yield url


@pytest.fixture
async def tenant(url: str) -> AsyncIterator[TenantConnection]:
    async with connected(url) as connection:
        yield connection


@pytest.fixture
async def admin(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


class Tap:
    """Stands between client and server and writes down what the client sends."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self._started = False

    @property
    def messages(self) -> list[tuple[str, bytes]]:
        """Those since the last time, without the login."""
        taken, self.bytes = bytes(self.bytes), bytearray()
        if not self._started:
            self._started = True
            taken = taken[int.from_bytes(taken[:4], "big") :]
        found = []
        while taken:
            end = 1 + int.from_bytes(taken[1:5], "big")
            found.append((chr(taken[0]), taken[5:end]))
            taken = taken[end:]
        return [message for message in found if message[0] != "p"]

    @property
    def kinds(self) -> str:
        return "".join(kind for kind, _ in self.messages)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.bytes += data
            writer.write(data)
        writer.close()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def tapped(url: str) -> AsyncIterator[tuple[TenantConnection, Tap]]:
    tap, parts, tasks = Tap(), urlsplit(url), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        tasks.append(asyncio.create_task(tap.carry(reader, back)))
        tasks.append(asyncio.create_task(carry(there, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    through = urlunsplit(
        parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable")
    )
    async with connected(through) as connection:
        yield connection, tap
    await asyncio.gather(*tasks)
    server.close()
    await server.wait_closed()


# What is sent


async def test_a_statement_is_described_and_then_executed(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        assert tap.messages == []
        await tenant.run("SELECT $1::int, 'x'::varchar, now(), ARRAY[1.5]", [1])
        assert tap.kinds == "PDHBES"
        await tenant.run_many("SELECT $1::int", [[1], [2], [3]])
        assert tap.kinds == "PDHBESBESBES"
        await tenant.close()
        assert tap.kinds == "X"


async def test_a_statement_that_gives_nothing_is_one_round_trip(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        assert tap.messages == []
        (outcome,) = await tenant.run_utilities([Utility("CREATE TABLE made (id int)")])
        assert tap.kinds == "PBES"
        assert (outcome.tag, outcome.columns, list(outcome.rows)) == ("CREATE TABLE", (), [])
        with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
            await tenant.run_utilities([Utility("DROP TABLE made; DROP TABLE item")])
        with pytest.raises(StatementTimeout):
            await tenant.run_utilities(
                [Utility("DO $$BEGIN PERFORM pg_sleep(60); END$$")], timeout=0.1
            )
        await tenant.run_utilities([Utility("DROP TABLE made")])
        assert (await tenant.run("SELECT 1")).rows[0][0] == "1"
        await tenant.close()


ENDED = (asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)


class Counted:
    """A transport whose writes are counted."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.writes = inner, 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.inner.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def test_what_goes_ahead_costs_no_write_of_its_own(tenant: TenantConnection) -> None:
    transport = tenant._transport
    transport.inner = counted = Counted(transport.inner)
    tenant.begin_with("BEGIN")
    await tenant.run("SELECT 1")
    assert counted.writes == 2
    await tenant.run_utilities(
        [Utility("CREATE TABLE ahead ()", "SET LOCAL timezone = 'Asia/Tokyo'")]
    )
    assert counted.writes == 2 + 1
    await tenant.execute("ROLLBACK")
    assert counted.writes == 2 + 1 + 1
    tenant.begin_with("BEGIN")
    wanted = [Utility(f"CREATE TABLE wanted{n} ()", "SELECT 1" if n else "") for n in range(3)]
    await tenant.run_utilities(wanted, behind="ROLLBACK")
    assert counted.writes == 2 + 1 + 1 + 1


REFUSED_AHEAD = Utility("CREATE TABLE b ()", "SET LOCAL ROLE nobody_there")


@pytest.mark.parametrize(
    ("middle", "raised", "done"),
    [
        (Utility("CREATE TABLE a ()"), asyncpg.DuplicateTableError, 1),
        (Utility("CREATE TABLE b ()", "SELECT 1; SELECT 2"), None, 3),
        (REFUSED_AHEAD, RefusedAhead, 1),
        (Utility("CREATE TABLE b (); COMMIT"), asyncpg.PostgresSyntaxError, 1),
        (Utility("DO $$BEGIN PERFORM pg_sleep(60); END$$"), StatementTimeout, 1),
        (Utility("DO $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END$$"), ENDED, 1),
    ],
)
@pytest.mark.parametrize("behind", ["", "COMMIT"])
async def test_after_a_utility_that_is_refused_none_is_executed(
    url: str, middle: Utility, raised: Any, done: int, behind: str
) -> None:
    async with connected(url) as tenant:
        await tenant.execute("DROP TABLE IF EXISTS a, b, c")
        tenant.begin_with("BEGIN")
        utilities = [Utility("CREATE TABLE a ()"), middle, Utility("CREATE TABLE c ()")]
        running = tenant.run_utilities(utilities, behind=behind, timeout=1.0)
        if raised is None:
            tags = [outcome.tag for outcome in await running]
            assert tags == ["CREATE TABLE"] * 3
        else:
            with pytest.raises(raised):
                await running
        assert tenant.utilities_done == done
    async with connected(url) as other:
        found = (
            "SELECT count(*) FROM unnest('{a,b,c}'::text[]) AS t WHERE to_regclass(t) IS NOT NULL"
        )
        assert (await other.run(found)).rows[0][0] == ("3" if behind and raised is None else "0")


@pytest.mark.parametrize("ahead", ["", "SELECT 1"])
@pytest.mark.parametrize("behind", ["", "COMMIT"])
@pytest.mark.parametrize("beginning", ["SELECT 1 / 0; BEGIN", "SELECT 1 / 0"])
async def test_utilities_are_not_executed_where_their_transaction_was_not_begun(
    tenant: TenantConnection, beginning: str, behind: str, ahead: str
) -> None:
    """An earlier call may have left a limit that ends the beginning before its BEGIN."""
    for _ in range(2):
        tenant.begin_with(beginning)
        wanted = [
            Utility("CREATE TABLE a ()"),
            *[Utility(f"CREATE TABLE {n} ()", ahead) for n in "bc"],
        ]
        with pytest.raises(asyncpg.DivisionByZeroError):
            await tenant.run_utilities(wanted, behind=behind)
        assert not tenant.may_have_run
        assert not tenant.has_begun
        await tenant.execute("ROLLBACK")
    for name in "abc":
        assert (await tenant.run(f"SELECT to_regclass('{name}')")).rows[0][0] is None


@pytest.mark.parametrize(("characters", "again"), [(4_000, "PDBES"), (4_001, "PDHBES")])
async def test_what_stands_for_a_statement_is_not_kept_where_it_is_long(
    url: str, characters: int, again: str
) -> None:
    async with tapped(url) as (tenant, tap):
        assert tap.messages == []
        for kinds in ("PDHBES", again):
            await tenant.run_many("SELECT 1", ((),), remembered_as="k" * characters)
            assert tap.kinds == kinds
        await tenant.close()


async def test_a_beginning_that_failed_comes_before_an_end_that_was_refused(
    tenant: TenantConnection,
) -> None:
    for n in range(2):
        tenant.begin_with("SELECT 1 / 0; BEGIN" if n else "BEGIN")
        running = tenant.run_many(
            "SELECT 1", ((),), behind="SELECT 'x'::int" if n else "COMMIT", remembered_as="one"
        )
        if n:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await running
            # It was executed, without a transaction.
            assert tenant.may_have_run
        else:
            await running


async def test_a_utility_that_is_refused_ahead_leaves_the_session_as_it_was(
    tenant: TenantConnection,
) -> None:
    for behind in ("", "COMMIT"):
        tenant.begin_with("BEGIN")
        utilities = [Utility("CREATE TABLE a ()"), REFUSED_AHEAD, Utility("CREATE TABLE c ()")]
        with pytest.raises(RefusedAhead):
            await tenant.run_utilities(utilities, behind=behind)
        assert tenant.is_in_transaction() is not bool(behind)
        await tenant.execute("ROLLBACK")
        assert (await tenant.run("SELECT to_regclass('a')")).rows[0][0] is None


async def test_a_transaction_begins_along_with_its_first_statement(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        assert tap.messages == []
        tenant.begin_with("RESET ALL; BEGIN; SET LOCAL timezone = 'Asia/Tokyo'")
        assert not tenant.has_begun
        shown = await tenant.run("SELECT current_setting('timezone'), $1::mood", ["a"])
        assert tap.kinds[:4] == "QPDH"
        assert [tuple(row) for row in shown.rows] == [("Asia/Tokyo", "a")]
        assert tenant.has_begun
        assert tenant.is_in_transaction()
        # What the session tells of itself reached the driver.
        assert tenant.get_settings().TimeZone == "Asia/Tokyo"
        await tenant.execute("COMMIT")
        assert not tenant.is_in_transaction()
        assert tap.kinds[-1] == "Q"
        await tenant.close()


@pytest.mark.parametrize("is_utility", [False, True])
async def test_without_its_beginning_a_statement_is_not_executed(
    url: str, is_utility: bool
) -> None:
    async with tapped(url) as (tenant, tap):
        assert tap.messages == []
        tenant.begin_with("BEGIN; SET LOCAL ROLE nobody_there")
        insert = "INSERT INTO item DEFAULT VALUES"
        run = tenant.run_utilities([Utility(insert)]) if is_utility else tenant.run(insert)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="nobody_there"):
            await run
        # In a transaction that has failed nothing is executed.
        assert tap.kinds == ("PBEHQPBES" if is_utility else "QPDHS")
        assert not tenant.has_begun
        tenant.terminate()


async def test_what_goes_ahead_of_a_statement_is_done_in_the_same_round_trip(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        await tenant.execute("BEGIN")
        assert tap.kinds == "Q"
        ahead = "SET LOCAL timezone = 'Asia/Tokyo'; SELECT 1"
        await tenant.run_utilities(
            [Utility("CREATE TABLE zone AS SELECT current_setting('timezone')", ahead)]
        )
        assert tap.kinds == "QPBES"
        assert tenant.is_in_transaction()
        assert (await tenant.run("TABLE zone")).rows[0][0] == "Asia/Tokyo"
        await tenant.execute("ROLLBACK")
        assert tap.kinds[-1] == "Q"
        # Outside of a transaction nothing comes behind what may fail.
        with pytest.raises(asyncpg.InterfaceError, match="outside a transaction"):
            await tenant.run_utilities([Utility("CREATE TABLE zone ()", "SET ROLE nobody_there")])
        assert tap.messages == []
        assert (await tenant.run("SELECT to_regclass('zone')")).rows[0][0] is None
        await tenant.close()


async def test_what_is_refused_ahead_of_a_statement_is_not_the_statements_fault(
    tenant: TenantConnection,
) -> None:
    await tenant.execute("BEGIN")
    with pytest.raises(RefusedAhead) as refused:
        await tenant.run_utilities([Utility("CREATE TABLE zone ()", "SET LOCAL ROLE nobody_there")])
    assert isinstance(refused.value.__cause__, asyncpg.InvalidParameterValueError)
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await tenant.run_utilities([Utility("CREATE TABLE zone ()", "")])
    await tenant.execute("ROLLBACK")
    await tenant.execute("BEGIN")
    with pytest.raises(StatementTimeout):
        await tenant.run_utilities([Utility("SELECT 1", "SELECT pg_sleep(60)")], timeout=0.1)
    await tenant.execute("ROLLBACK")
    assert (await tenant.run("SELECT to_regclass('zone')")).rows[0][0] is None


async def test_a_beginning_goes_with_whatever_comes_first(tenant: TenantConnection) -> None:
    tenant.begin_with("BEGIN")
    await tenant.execute("SELECT 1")
    assert tenant.has_begun
    assert tenant.is_in_transaction()
    await tenant.execute("ROLLBACK")
    tenant.begin_with("BEGIN")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await tenant.run("SELECT FROM FROM")
    assert tenant.has_begun
    assert tenant.is_in_transaction()
    await tenant.execute("ROLLBACK")
    tenant.begin_with("BEGIN")
    tenant.forget_beginning()
    await tenant.run("SELECT 1")
    assert not tenant.is_in_transaction()


async def test_a_statement_that_is_cancelled_while_it_begins_leaves_no_transaction_unknown(
    tenant: TenantConnection,
) -> None:
    tenant.begin_with("BEGIN; SELECT pg_sleep(30)")
    with pytest.raises(StatementTimeout):
        await tenant.run("SELECT 1", timeout=0.1)
    assert not tenant.has_begun
    assert tenant.is_closed() or tenant.is_in_transaction()


async def test_new_types_are_asked_for_once_and_together(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        outcome = await tenant.run("SELECT $1::mood, ARRAY['b']::mood[]", ["a"])
        assert [column.type_name for column in outcome.columns] == ["mood", "mood[]"]
        assert [tuple(row) for row in outcome.rows] == [("a", "{b}")]
        sent = tap.messages
        assert "".join(kind for kind, _ in sent) == "PDH" + "PDHBES" + "PDH" + "BES"
        texts = {body.decode().strip("\0") for kind, body in sent if kind == "P"}
        assert len(texts) == 2
        assert not any("set_config" in text or "jit" in text for text in texts)
        await tenant.run("SELECT $1::mood, ARRAY['b']::mood[]", ["a"])
        assert tap.kinds == "PDHBES"
        await tenant.run("SELECT c FROM pg_class AS c LIMIT 1")
        assert tap.kinds == "PDH" + "PBES" + "PDH" + "BES"


async def test_the_drivers_own_methods_ask_the_same_way(url: str) -> None:
    async with tapped(url) as (tenant, tap):
        assert await tenant.fetchval("SELECT $1::mood", "b") == "b"
        assert not any(b"set_config" in body for _, body in tap.messages)


async def test_types_are_learned_under_a_hostile_search_path(tenant: TenantConnection) -> None:
    await tenant.execute(
        """
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql
            AS $$BEGIN RAISE 'trapped'; END$$;
        CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.trap);
        CREATE OPERATOR evil.<> (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.trap);
        CREATE FUNCTION evil.format_type(oid, integer) RETURNS text LANGUAGE plpgsql
            AS $$BEGIN RAISE 'trapped'; END$$;
        CREATE FUNCTION evil.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql
            AS $$BEGIN RAISE 'trapped'; END$$;
        CREATE TABLE evil.pg_type ();
        CREATE DOMAIN evil.oid AS text;
        CREATE DOMAIN evil.moods AS public.mood[];
        SET search_path = evil, pg_catalog;
        """
    )
    with pytest.raises(asyncpg.RaiseError, match="trapped"):
        await tenant.run("SELECT 1::pg_catalog.oid = 1::pg_catalog.oid")
    outcome = await tenant.run("SELECT ARRAY[$1::evil.moods]", [["a", "b"]])
    assert outcome.columns[0].type_name == "moods[]"
    assert outcome.rows[0][0] == '{"{a,b}"}'
    await tenant.execute("DROP SCHEMA evil CASCADE")


async def test_a_type_can_be_met_within_the_transaction_that_makes_it(
    tenant: TenantConnection,
) -> None:
    await tenant.execute("BEGIN; CREATE TYPE passing AS ENUM ('x')")
    first = await tenant.run("SELECT $1::passing", ["x"])
    assert tenant.is_in_transaction()
    await tenant.execute("ROLLBACK")
    await tenant.execute("BEGIN; CREATE TYPE passing AS (a int)")
    second = await tenant.run("SELECT $1::passing", ["(1)"])
    assert first.columns[0].type_oid != second.columns[0].type_oid
    assert second.rows[0][0] == "(1)"
    await tenant.execute("ROLLBACK")


@pytest.mark.parametrize("statement", ["SELECT 1; SELECT 2", "COMMIT; SELECT 1"])
async def test_a_message_holds_one_statement(tenant: TenantConnection, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
        await tenant.run(statement)


async def test_output_has_the_forms_that_are_read_whatever_the_role_is_set_to(url: str) -> None:
    given = {"datestyle": "German", "extra_float_digits": "-15", "application_name": "mine"}
    async with connected(url, server_settings=given) as tenant:
        outcome = await tenant.run(
            "SELECT date '2024-01-02', 0.1::float8 + 0.2::float8, current_setting('jit'), "
            "current_setting('timezone'), current_setting('application_name')"
        )
        assert list(outcome.rows[0]) == ["2024-01-02", "0.30000000000000004", "off", "UTC", "mine"]


async def test_another_client_encoding_ends_the_connection(url: str) -> None:
    async with connected(url) as tenant:
        await tenant.run("SELECT set_config('client_encoding', 'SJIS', false)")
        with pytest.raises(InvalidRequest, match="UTF8"):
            await tenant.run("SELECT 1")
        assert tenant.is_closed()


@pytest.mark.parametrize("statement", ["SELECT 1 \0 + 1", "SELECT '\udc00'"])
async def test_a_statement_is_storable_text(tenant: TenantConnection, statement: str) -> None:
    with pytest.raises(InvalidRequest):
        await tenant.run(statement)
    assert (await tenant.run("SELECT 1")).complete


async def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(DatabaseUnavailable):
        await connect_tenant("postgresql://x@127.0.0.1:1/x", timeout=1, byte_limit=1)


@pytest.mark.parametrize("hosts", ["{}", "127.0.0.1:1,{}"])
async def test_logins_of_one_server(url: str, admin: Any, hosts: str) -> None:
    names = [f"pgtwin_login_{secrets.token_hex(4)}" for _ in range(2)]
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    there = urlunsplit(parts._replace(netloc=f"{login}@{hosts.format(host)}"))
    server = TenantServer(there, timeout=10, byte_limit=BYTE_LIMIT)
    for name in names:
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    try:
        for name in names:
            session = await server.log_in(name, name)
            assert (await session.run("SELECT session_user")).rows == [(name,)]
            assert session.byte_limit == BYTE_LIMIT
            await session.close()
        await (await server.log_in()).close()
    finally:
        await admin.execute(f"DROP ROLE {', '.join(names)}")


# What comes back


async def test_tags_and_the_number_of_rows(tenant: TenantConnection) -> None:
    await tenant.execute("BEGIN")
    insert = await tenant.run("INSERT INTO item VALUES (1, 'a'), (2, 'b') RETURNING id")
    assert (insert.tag, insert.affected) == ("INSERT 0 2", 2)
    assert [list(row) for row in insert.rows] == [["1"], ["2"]]
    assert (await tenant.run("UPDATE item SET name = 'c'")).affected == 2
    assert (await tenant.run("DELETE FROM item WHERE id = 3")).affected == 0
    made = await tenant.run("CREATE TABLE copied AS SELECT * FROM item")
    assert (made.tag, made.affected) == ("SELECT 2", 2)
    assert (await tenant.run("DROP TABLE copied")).affected is None
    empty = await tenant.run("SELECT * FROM item WHERE false")
    assert (empty.rows, [column.name for column in empty.columns]) == ([], ["id", "name"])
    assert await tenant.run("") == await tenant.run("-- nothing")
    await tenant.execute("ROLLBACK")


async def test_columns_of_the_same_name_keep_their_places(tenant: TenantConnection) -> None:
    outcome = await tenant.run("SELECT 1 AS a, 2 AS a, 3 AS b")
    assert [column.name for column in outcome.columns] == ["a", "a", "b"]
    assert list(outcome.rows[0]) == ["1", "2", "3"]


@pytest.mark.parametrize(("limit", "rows", "complete"), [(2, 2, False), (3, 3, True), (4, 3, True)])
async def test_a_row_limit(tenant: TenantConnection, limit: int, rows: int, complete: bool) -> None:
    outcome = await tenant.run("SELECT generate_series(1, 3)", row_limit=limit)
    assert (len(outcome.rows), outcome.complete) == (rows, complete)
    assert outcome.tag == ("SELECT 3" if complete else "")


async def test_a_row_limit_stops_the_work(tenant: TenantConnection) -> None:
    started = time.perf_counter()
    outcome = await tenant.run("SELECT generate_series(1, 100000000)", row_limit=1000)
    assert (len(outcome.rows), outcome.complete) == (1000, False)
    assert time.perf_counter() - started < 2


async def test_a_row_limit_does_not_stop_a_write(tenant: TenantConnection) -> None:
    await tenant.execute("BEGIN")
    outcome = await tenant.run(
        "INSERT INTO item SELECT generate_series(1, 10) RETURNING id", row_limit=3
    )
    assert (len(outcome.rows), outcome.complete, outcome.affected) == (3, False, None)
    assert (await tenant.run("SELECT count(*) FROM item")).rows[0][0] == "10"
    await tenant.execute("ROLLBACK")


async def test_one_statement_with_many_parameters(tenant: TenantConnection) -> None:
    await tenant.execute("BEGIN")
    outcomes = await tenant.run_many(
        "INSERT INTO item VALUES ($1, $2) RETURNING id, name", [[1, "a"], [2, None], [3.0, "c"]]
    )
    assert [[list(row) for row in outcome.rows] for outcome in outcomes] == [
        [["1", "a"]],
        [["2", None]],
        [["3", "c"]],
    ]
    assert [outcome.affected for outcome in outcomes] == [1, 1, 1]
    with pytest.raises(InvalidParameter):
        await tenant.run_many("INSERT INTO item VALUES ($1)", [[4], [True]])
    assert (await tenant.run("SELECT count(*) FROM item")).rows[0][0] == "3"
    assert await tenant.run_many("SELECT $1::int", []) == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await tenant.run_many("INSERT INTO item VALUES ($1)", [[4], [1], [5]])
    await tenant.execute("ROLLBACK")
    assert (await tenant.run("SELECT count(*) FROM item")).rows[0][0] == "0"


async def test_a_refused_parameter_leaves_nothing_open(
    tenant: TenantConnection, admin: Any
) -> None:
    with pytest.raises(InvalidParameter):
        await tenant.run("UPDATE item SET name = 'x' WHERE id = $1", [True])
    state = "SELECT state, xact_start IS NULL FROM pg_stat_activity WHERE pid = $1"
    assert list(await admin.fetchrow(state, tenant.get_server_pid())) == ["idle", True]


async def test_one_statement_at_a_time(tenant: TenantConnection) -> None:
    results = await asyncio.gather(
        tenant.run("SELECT pg_sleep(0.1)"), tenant.run("SELECT 2"), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == ["Outcome", "InterfaceError"]


# How much


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT repeat('x', 300000000)",
        "SELECT repeat('x', 1000) FROM generate_series(1, 300000)",
        "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300000)) TO STDOUT",
        "DO $$BEGIN FOR i IN 1..100000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END$$",
    ],
)
async def test_an_answer_is_cut_off_at_the_byte_limit(url: str, statement: str) -> None:
    before = peak_bytes()
    async with connected(url) as tenant:
        with pytest.raises(ResultTooLarge, match=str(BYTE_LIMIT)):
            await tenant.run(statement, timeout=60)
        assert tenant.is_closed()
    assert peak_bytes() - before < 50_000_000


async def test_the_byte_limit_is_for_each_run(url: str) -> None:
    async with connected(url, byte_limit=10_000) as tenant:
        for _ in range(5):
            assert (await tenant.run("SELECT repeat('x', 9000)")).complete
        with pytest.raises(ResultTooLarge):
            await tenant.run_many("SELECT repeat('x', $1)", [[9000], [9000]])


# How long


async def statements_running(admin: Any, pid: int) -> int:
    found: int = await admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid
    )
    return found


async def until_running(admin: Any, pid: int) -> None:
    for _ in range(500):
        if await statements_running(admin, pid):
            return
        await asyncio.sleep(0.01)
    pytest.fail("the statement does not run")


async def test_a_timeout_cancels_the_statement(tenant: TenantConnection, admin: Any) -> None:
    started = time.perf_counter()
    with pytest.raises(StatementTimeout):
        await tenant.run("SELECT pg_sleep(60)", timeout=0.2)
    assert time.perf_counter() - started < 2
    assert not await statements_running(admin, tenant.get_server_pid())
    assert (await tenant.run("SELECT 1")).complete


async def test_a_timeout_leaves_the_transaction_failed(tenant: TenantConnection) -> None:
    await tenant.execute("BEGIN")
    with pytest.raises(StatementTimeout):
        await tenant.run_many("SELECT pg_sleep($1)", [[0.05], [60]], timeout=0.3)
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await tenant.run("SELECT 1")
    await tenant.execute("ROLLBACK")
    assert (await tenant.run("SELECT 1", timeout=5)).complete


async def test_a_timeout_while_a_statement_is_prepared(tenant: TenantConnection, url: str) -> None:
    async with connected(url) as other:
        await other.execute("BEGIN; LOCK TABLE item")
        with pytest.raises(StatementTimeout):
            await tenant.run("SELECT * FROM item", timeout=0.2)
        await other.execute("ROLLBACK")
    assert (await tenant.run("SELECT * FROM item")).complete
    with pytest.raises(StatementTimeout):
        await tenant.run("SELECT pg_sleep(1)", timeout=0)
    assert (await tenant.run("SELECT 1")).complete


async def test_a_statement_that_does_not_end_when_cancelled_is_cut_off(url: str) -> None:
    async with connected(url, cancel_grace=0.2) as tenant:
        with pytest.raises(StatementTimeout):
            await tenant.run("COPY item FROM STDIN", timeout=0.2)
        assert tenant.is_closed()


async def test_a_cancelled_task_cancels_its_statement(url: str, admin: Any) -> None:
    async with connected(url) as tenant:
        pid = tenant.get_server_pid()
        task = asyncio.create_task(tenant.run("SELECT pg_sleep(60)", timeout=30))
        await until_running(admin, pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await tenant.run("SELECT 1")).complete
        assert not await statements_running(admin, pid)


async def test_a_connection_closed_after_a_cancelled_task_leaves_nothing_running(
    url: str, admin: Any
) -> None:
    async with connected(url) as tenant:
        pid = tenant.get_server_pid()
        task = asyncio.create_task(tenant.run("SELECT pg_sleep(60)"))
        await until_running(admin, pid)
        task.cancel()
        await asyncio.wait([task])
        await tenant.close(timeout=5)
    assert not await statements_running(admin, pid)


async def test_a_session_that_is_reset(tenant: TenantConnection) -> None:
    await tenant.execute("SET work_mem = '1MB'; CREATE TEMP TABLE mine ()")
    await tenant.reset()
    assert (await tenant.run("SELECT to_regclass('mine')")).rows[0][0] is None
    assert (await tenant.run("SHOW datestyle")).rows[0][0] == "ISO, MDY"


# COPY.


async def copied(tenant: TenantConnection, statement: str, seconds: float = 30) -> bytes:
    found = bytearray()

    async def take(data: bytes) -> None:
        found.extend(data)

    await tenant.copy_out(statement, take, timeout=seconds)
    return bytes(found)


async def test_rows_are_copied_out_whole(tenant: TenantConnection) -> None:
    query = "SELECT n, repeat('x', n) FROM generate_series(1, 3000) n"
    found = await copied(tenant, f"COPY ({query}) TO STDOUT")
    assert [len(line) for line in found.split(b"\n")[:-1]] == [
        len(f"{n}") + 1 + n for n in range(1, 3_001)
    ]


@pytest.mark.parametrize(
    "rest", ["; DROP TABLE item", "; COMMIT", "; COPY item TO STDOUT", ";;; SELECT 1 -- x"]
)
async def test_a_copy_is_one_statement_or_none(
    tenant: TenantConnection, admin: Any, rest: str
) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
        await copied(tenant, f"COPY (SELECT 1) TO STDOUT{rest}")
    assert await admin.fetchval("SELECT to_regclass('item') IS NOT NULL")
    assert (await tenant.run("SELECT 1")).rows[0][0] == "1"


async def test_a_copy_that_fails_leaves_the_session_whole(tenant: TenantConnection) -> None:
    query = "SELECT 1 / (2000 - n) FROM generate_series(1, 3000) n"
    with pytest.raises(asyncpg.DivisionByZeroError):
        await copied(tenant, f"COPY ({query}) TO STDOUT")
    assert not tenant.is_closed()
    assert (await tenant.run("SELECT 1")).rows[0][0] == "1"


async def test_a_copy_that_takes_too_long_is_cut_off(tenant: TenantConnection) -> None:
    with pytest.raises(StatementTimeout):
        await copied(tenant, "COPY (SELECT pg_sleep(60)) TO STDOUT", seconds=0.2)
    assert tenant.is_closed()
    assert tenant.is_cut_off


async def test_a_copied_row_over_the_byte_limit_is_cut_off(url: str) -> None:
    async with connected(url, byte_limit=100_000) as tenant:
        many = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 2000)) TO STDOUT"
        assert len(await copied(tenant, many)) == 2_000 * 1_001
        with pytest.raises(ResultTooLarge, match="row"):
            await copied(tenant, "COPY (SELECT repeat('x', 1000000)) TO STDOUT")
        assert tenant.is_cut_off
