"""Files of rows: what is in them, in each format and on both servers, and how they end."""

import asyncio
import csv
import datetime
import decimal
import io
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from core.postgres.identifiers import Environment
from core.settings import Settings
from memory.api_keys.service import NewKey
from memory.caller import Scope
from tests.api import Api
from tests.conftest import MakeKey, control_database, http_client, running, with_database
from tests.exports import csv_rows, export, exported, objects, on_a_socket, parquet, values
from tests.integration.test_clone import owner_session
from tests.server import embedded_server
from tests.sql import NOTES, Twin, as_user

ALICE, BOB = as_user("alice"), as_user("bob")
SIGNS = "".join(map(chr, range(1, 32))) + "\x7f"
MANY = 200_000


@dataclass(frozen=True)
class Stand:
    """A service, and an administrator's connection to its database."""

    settings: Settings
    app: FastAPI
    api: Api
    connection: Any

    async def twin(self, uid: str) -> Twin:
        made = Twin(self.api, await self.api.create("orders", uid=uid), uid)
        await made.make(NOTES)
        return made


@pytest.fixture(scope="module", params=["ours", "16"])
async def stand(request: pytest.FixtureRequest, admin_url: str) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        url = admin_url if request.param == "ours" else embedded_server(stack, major=16)
        settings = await stack.enter_async_context(control_database(url))
        name = urlsplit(settings.dsn or "").path.lstrip("/")
        connection = await asyncpg.connect(with_database(url, name))
        stack.push_async_callback(connection.close)
        app = await stack.enter_async_context(running(settings))
        services = app.state.services
        key = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}), spaces=frozenset())
        _, token = await services.database.transaction(
            lambda session: services.api_keys(session).create(key)
        )
        client = http_client(app, Authorization=f"Bearer {token}")
        api = Api(await stack.enter_async_context(client))
        yield Stand(settings, app, api, connection)


@pytest.fixture
async def twin(stand: Stand, uid: str) -> Twin:
    return await stand.twin(uid)


# CSV.


async def test_csv_is_as_postgresql_writes_it_but_for_its_ends_of_lines(
    stand: Stand, twin: Twin
) -> None:
    await twin.make("CREATE TABLE t (n INT, body TEXT)")
    texts = ["", "a,b", 'say "x"', "two\nlines", "\r\n", "\r", '"\n"', ",", " ", "\\.", "\\N", "中"]
    texts += [f"a{SIGNS}b", '"', '""', "\n"]
    for number, text in enumerate(texts):
        await twin.rows("INSERT INTO t VALUES ($1, $2)", params=[number, text])
    await twin.rows("INSERT INTO t VALUES (99, NULL)")
    content = await exported(twin, "t", escape_formulas=False)
    given = bytearray()

    async def take(data: bytes) -> None:
        given.extend(data)

    schema = f'"prod_{twin.uid}_{twin.id}"'
    await stand.connection.copy_from_query(
        f"SELECT * FROM {schema}.t", output=take, format="csv", header=True
    )
    assert [row[1] for row in csv_rows(content)[1:]] == [*texts, ""]
    # An empty text is told from NULL.
    assert content.startswith(b'n,body\r\n0,""\r\n1,"a,b"\r\n')
    assert content.endswith(b'15,"\n"\r\n99,\r\n')
    assert csv_rows(content) == list(csv.reader(io.StringIO(given.decode(), newline="")))
    assert len(content) == len(given) + len(texts) + 2


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
async def test_texts_that_a_spreadsheet_would_run_are_escaped(twin: Twin, sign: str) -> None:
    await twin.make("CREATE TABLE t (a TEXT, b VARCHAR(9), c CHAR(5), d JSON)")
    text = f"{sign}1+1"
    row = [text, text, text, f"{sign}1" if sign in "-\t\r" else "1"]
    await twin.rows("INSERT INTO t VALUES ($1, $2, $3, $4)", params=row)
    [found] = await values(twin, "t")
    assert found[:3] == [f"'{text}", f"'{text}", f"'{text:5}"]
    assert found[3] == (f"'{row[3]}" if row[3] != "1" else "1")
    [plain] = await values(twin, "t", escape_formulas=False)
    assert plain == [text, text, f"{text:5}", row[3]]


async def test_texts_of_types_of_ones_own_are_escaped_too(stand: Stand, twin: Twin) -> None:
    script = (
        "CREATE TYPE sign AS ENUM ('=1', 'b'); CREATE TYPE pair AS (a TEXT, b INT);"
        "CREATE DOMAIN word AS TEXT; CREATE DOMAIN number AS NUMERIC"
    )
    await twin.make(script, **{"as": "owner"})
    await twin.make(
        'CREATE TABLE t (a sign, b pair, c word, d number, e word[], f "char", g pair, h pair[])'
    )
    await twin.rows("""INSERT INTO t VALUES
        ('=1', ROW('=2', 1), '@3', -5, '{=4,x}', '-', NULL, ARRAY[ROW('=', 2)::pair]),
        ('b', ROW(NULL, NULL), NULL, NULL, NULL, NULL, NULL, NULL)""")
    content = await exported(twin, "t")
    assert csv_rows(content)[1:] == [
        ["'=1", "(=2,1)", "'@3", "-5", "{=4,x}", "'-", "", '{"(=,2)"}'],
        # A composite of NULLs is not NULL.
        ["b", "(,)", "", "", "", "", "", ""],
    ]


async def test_numbers_and_times_are_not_mangled(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE t (a INT, b NUMERIC, c FLOAT8, d INTERVAL, e MONEY, f DATE, g JSONB, h INT[],"
        " i TIMESTAMPTZ, j INT4RANGE, k BYTEA, l BOOLEAN)"
    )
    await twin.rows("""INSERT INTO t VALUES (-5, -1.50, '-Infinity', '-1 day', '-2', '-infinity',
        '-7', '{-1}', '-infinity', '[-1,2)', '\\x00ff', true)""")
    assert await values(twin, "t") == [
        [
            *("-5", "-1.50", "-Infinity", "-1 days", "-$2.00", "-infinity", "-7", "{-1}"),
            *("-infinity", "[-1,2)", "\\x00ff", "t"),
        ]
    ]


async def test_columns_names_are_a_header_with_care(twin: Twin) -> None:
    await twin.make('CREATE TABLE "名 =,""x" ("=1+1" INT, "a,""b" TEXT, "城市" TEXT, "C" INT)')
    await twin.rows('INSERT INTO "名 =,""x" VALUES (1, $1, $2, 4)', params=["x", "北京"])
    content = await exported(twin, '名 =,"x')
    assert content == '\'=1+1,"a,""b",城市,C\r\n1,x,北京,4\r\n'.encode()


async def test_the_form_of_csv_can_be_chosen(twin: Twin) -> None:
    await twin.rows("INSERT INTO notes (uid, body, n) VALUES ('a', 'x;y', NULL), ('b', 'NULL', 1)")
    options = {"columns": ["body", "n"], "delimiter": ";", "null": "NULL", "header": False}
    content = await exported(twin, "notes", **options)
    assert content == b'"x;y";NULL\r\n"NULL";1\r\n'
    tabs = await exported(twin, "notes", columns=["n", "body"], delimiter="\t", null="'\\N")
    assert tabs == b"n\tbody\r\n'\\N\tx;y\r\n1\tNULL\r\n"


# Other formats.

TYPES = """CREATE TABLE t (a SMALLINT, b INT, c BIGINT, d NUMERIC(12,2), e NUMERIC, f FLOAT4,
    g FLOAT8, h BOOLEAN, i TEXT, j BYTEA, k DATE, l TIMESTAMP, m TIMESTAMPTZ, n JSONB, o INT[],
    p UUID, q TIME, r JSON)"""
FULL = """INSERT INTO t VALUES (-1, -2, 9223372036854775807, -12.50, 1.10, 1.5, 'NaN', true, $1,
    '\\x00ff', '2024-02-29', '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05+02',
    '{"a": [1, null]}', '{1,NULL}', '00000000-0000-0000-0000-000000000001', '23:59:59.5',
    E'{\n"b" : 1}')"""
TEXT = f'a{SIGNS}"\\N\\t中'


@pytest.mark.parametrize("form", ["json", "ndjson"])
async def test_json_has_values_as_calls_of_sql_answer_them(twin: Twin, form: str) -> None:
    await twin.make(TYPES)
    await twin.rows(FULL, params=[TEXT])
    await twin.rows("INSERT INTO t (i) VALUES ('')")
    content = await exported(twin, "t", format=form)
    assert objects(content, form) == await twin.rows("SELECT * FROM t")
    assert objects(content, form)[0]["i"] == TEXT
    assert b'"d":-12.50' in content


async def test_parquet_has_types(twin: Twin) -> None:
    await twin.make(TYPES)
    await twin.rows(FULL, params=[TEXT])
    await twin.rows("INSERT INTO t (i) VALUES ('')")
    table = parquet(await exported(twin, "t", format="parquet"))
    assert [str(field.type) for field in table.schema] == [
        *("int16", "int32", "int64", "decimal128(12, 2)", "string", "float", "double", "bool"),
        *("string", "binary", "date32[day]", "timestamp[us]", "timestamp[us, tz=UTC]"),
        *["string"] * 5,
    ]
    first, second = table.to_pylist()
    utc = datetime.UTC
    assert math.isnan(first.pop("g"))
    assert list(first.values()) == [
        *(-1, -2, 2**63 - 1, decimal.Decimal("-12.50"), "1.10", 1.5, True, TEXT, b"\x00\xff"),
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 1, 2, 3, 4, 5, 678901),
        datetime.datetime(2024, 1, 2, 1, 4, 5, tzinfo=utc),
        *('{"a": [1, null]}', "{1,NULL}", "00000000-0000-0000-0000-000000000001", "23:59:59.5"),
        '{\n"b" : 1}',
    ]
    assert second.pop("i") == ""
    assert set(second.values()) == {None}


async def test_values_that_parquet_can_not_hold_make_their_column_text(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE t (a DATE, b TIMESTAMP, c TIMESTAMPTZ, d NUMERIC(5,2), e DATE, f NUMERIC(50))"
    )
    await twin.rows("""INSERT INTO t VALUES
        ('infinity', '0044-03-15 BC', '12024-01-01', 'NaN', '2024-01-01', 1),
        ('2024-01-01', NULL, NULL, 1.5, NULL, NULL)""")
    [first, second] = parquet(await exported(twin, "t", format="parquet")).to_pylist()
    assert list(first.values()) == [
        *("infinity", "0044-03-15 00:00:00 BC", "12024-01-01 00:00:00+00", "NaN"),
        *(datetime.date(2024, 1, 1), "1"),
    ]
    assert (second["a"], second["d"]) == ("2024-01-01", "1.50")


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_every_format_has_all_of_many_rows(twin: Twin, form: str) -> None:
    sql = f"SELECT n, repeat('x', n % 200) AS body FROM generate_series(1, {MANY}) n"
    content = await exported(twin, sql=sql, format=form)
    expected = [(n, "x" * (n % 200)) for n in range(1, MANY + 1)]
    if form == "csv":
        assert [(int(n), body) for n, body in csv_rows(content)[1:]] == expected
    elif form == "parquet":
        found = parquet(content)
        assert list(zip(*found.to_pydict().values(), strict=True)) == expected
    else:
        assert [(row["n"], row["body"]) for row in objects(content, form)] == expected


@pytest.mark.parametrize(
    ("form", "empty"),
    [("csv", b"id,uid,create_time,body,n\r\n"), ("json", b"[]\n"), ("ndjson", b"")],
)
async def test_an_empty_table_is_an_empty_file(twin: Twin, form: str, empty: bytes) -> None:
    assert await exported(twin, "notes", format=form) == empty


async def test_an_empty_table_is_parquet_with_a_schema(twin: Twin) -> None:
    table = parquet(await exported(twin, "notes", format="parquet"))
    assert (table.num_rows, table.column_names[0]) == (0, "id")


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_tables_may_be_as_wide_as_they_can_be(twin: Twin, form: str) -> None:
    columns = ", ".join(f"c{n} TEXT" for n in range(1_600))
    await twin.make(f"CREATE TABLE wide ({columns})")
    await twin.rows("INSERT INTO wide (c0, c1599) VALUES ('=first', 'last'), (NULL, NULL)")
    content = await exported(twin, "wide", format=form)
    if form == "csv":
        [head, first, second] = csv_rows(content)
        assert (len(head), first[0], first[-1], set(second)) == (1_600, "'=first", "last", {""})
        return
    rows = parquet(content).to_pylist() if form == "parquet" else objects(content, form)
    assert (len(rows[0]), rows[0]["c0"], rows[0]["c1599"]) == (1_600, "=first", "last")
    assert set(rows[1].values()) == {None}


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_columns_may_have_the_same_name_or_be_none(
    stand: Stand, twin: Twin, form: str
) -> None:
    content = await exported(twin, sql="SELECT 1 AS a, 2 AS a, NULL AS b", format=form)
    if form == "csv":
        assert content == b"a,a,b\r\n1,2,\r\n"
    else:
        rows = parquet(content).to_pylist() if form == "parquet" else objects(content, form)
        assert rows == [{"a": 1, "a_2": 2, "b": None}]
    assert (await export(twin, sql="SELECT FROM notes", format=form)).status_code == 200


# Whose rows.


async def test_an_end_user_gets_his_own_rows_and_the_owner_all(twin: Twin) -> None:
    await twin.rows("INSERT INTO notes (body) VALUES ('hers')", **ALICE)
    await twin.rows("INSERT INTO notes (body) VALUES ('his')", **BOB)
    await twin.make("CREATE VIEW v AS SELECT body FROM notes", **{"as": "owner"})
    assert await values(twin, "notes", columns=["body"], **ALICE) == [["hers"]]
    assert await values(twin, "v", **BOB) == [["his"]]
    both = "SELECT body FROM notes UNION ALL TABLE v ORDER BY 1"
    assert await values(twin, sql=both, **BOB) == [["his"], ["his"]]
    assert await values(twin, "notes", columns=["body"]) == [["hers"], ["his"]]
    assert await values(twin, "notes", env="test") == []


async def test_a_table_that_was_made_otherwise_is_opened_when_it_is_first_exported(
    stand: Stand, twin: Twin
) -> None:
    async with owner_session(stand.settings, twin.id, Environment.PROD, twin.uid) as session:
        await session.execute(
            "CREATE TABLE late (uid TEXT, n INT);"
            "INSERT INTO late VALUES ('shop:alice', 1), ('shop:bob', 2);"
            "CREATE MATERIALIZED VIEW seen AS SELECT 1 AS one; CREATE SEQUENCE s"
        )
    assert await values(twin, "late", **ALICE) == [["shop:alice", "1"]]
    # What can't be locked is exported too.
    assert await values(twin, "seen") == [["1"]]
    assert len(await values(twin, "s")) == 1


# What else happens meanwhile.


async def test_rows_are_those_of_one_moment(stand: Stand, twin: Twin) -> None:
    await twin.make(
        "CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT count(*) FROM notes); END $$",
        **{"as": "owner"},
    )
    body = {"database_id": twin.id, "uid": twin.uid, "env": "prod"}
    body["sql"] = f"SELECT total(), repeat('x', 500) FROM generate_series(1, {MANY // 10})"
    async with (
        on_a_socket(stand.app) as url,
        socket_client(stand, url) as client,
        client.stream("POST", "/v1/export_data", json=body) as response,
    ):
        parts = response.aiter_bytes()
        found = await anext(parts)
        await twin.rows("INSERT INTO notes (uid) VALUES ('x')")
        found += b"".join([part async for part in parts])
    assert {row[0] for row in csv_rows(found)[1:]} == {"0"}


async def test_a_table_that_is_written_anew_meanwhile_is_not_taken_for_empty(
    stand: Stand, twin: Twin
) -> None:
    await twin.rows("INSERT INTO notes (uid, n) SELECT 'x', n FROM generate_series(1, 1000) n")
    async with owner_session(stand.settings, twin.id, Environment.PROD, twin.uid) as session:
        await session.execute("BEGIN; ALTER TABLE notes ALTER n TYPE BIGINT USING n + 1")
        waiting = [
            asyncio.create_task(values(twin, "notes", columns=["n"], **each)) for each in ({}, BOB)
        ]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        await session.execute("COMMIT")
        assert [row[0] for row in await waiting[0]] == [str(n) for n in range(2, 1002)]
        assert await waiting[1] == []


async def test_a_table_that_stays_locked_is_a_retryable_error(stand: Stand, uid: str) -> None:
    settings = stand.settings.model_copy(update={"sql_lock_timeout": 0.2})
    twin = await stand.twin(uid)
    async with (
        running(settings) as app,
        http_client(app, **dict(stand.api.client.headers)) as client,
        owner_session(stand.settings, twin.id, Environment.PROD, uid) as session,
    ):
        await session.execute("BEGIN; LOCK TABLE notes")
        response = await export(Twin(Api(client), twin.id, uid), "notes")
        assert (response.status_code, response.json()["error"]["type"]) == (503, "lock_timeout")


# Ends.


def socket_client(stand: Stand, url: str) -> httpx.AsyncClient:
    key = stand.api.client.headers["authorization"]
    return httpx.AsyncClient(base_url=url, headers={"Authorization": key}, timeout=60)


async def sessions(stand: Stand, twin: Twin, condition: str = "state <> 'idle'") -> int:
    return int(
        await stand.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtwin sql'"
            f" AND usename LIKE $1 AND {condition}",
            f"d{twin.id}%",
        )
    )


async def all_idle(stand: Stand, twin: Twin, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while await sessions(stand, twin):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


ENDLESS = "SELECT repeat('x', 1000) FROM generate_series(1, 5000000)"


def fields(twin: Twin, **more: Any) -> dict[str, Any]:
    return {"database_id": twin.id, "uid": twin.uid, "env": "prod", **more}


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
@pytest.mark.parametrize("audience", [{}, ALICE])
async def test_a_reader_that_leaves_ends_the_statement(
    stand: Stand, twin: Twin, form: str, audience: dict[str, str]
) -> None:
    body = fields(twin, sql=ENDLESS, format=form) | audience
    async with on_a_socket(stand.app) as url, socket_client(stand, url) as client:
        async with client.stream("POST", "/v1/export_data", json=body) as response:
            parts = response.aiter_bytes()
            await anext(parts)
            assert await sessions(stand, twin) == 1
        await all_idle(stand, twin)
    assert await twin.value("SELECT 1", **audience) == 1


async def test_readers_that_leave_take_no_sessions_with_them(stand: Stand, twin: Twin) -> None:
    async with on_a_socket(stand.app) as url, socket_client(stand, url) as client:
        for _ in range(stand.settings.sql_sessions_per_login + 2):
            body = fields(twin, sql=ENDLESS)
            async with client.stream("POST", "/v1/export_data", json=body) as response:
                parts = response.aiter_bytes()
                await anext(parts)
    assert await twin.value("SELECT 1") == 1
    await all_idle(stand, twin)


async def test_a_reader_that_leaves_before_the_first_row_ends_the_statement(
    stand: Stand, twin: Twin
) -> None:
    sql = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    async with on_a_socket(stand.app) as url, socket_client(stand, url) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/export_data", json=fields(twin, sql=sql), timeout=0.5)
        await all_idle(stand, twin)
    assert await twin.value("SELECT 1") == 1


async def test_a_reader_that_does_not_read_stops_the_rows(stand: Stand, twin: Twin) -> None:
    body = fields(twin, sql=ENDLESS)
    async with on_a_socket(stand.app) as url, socket_client(stand, url) as client:
        async with client.stream("POST", "/v1/export_data", json=body) as response:
            parts = response.aiter_bytes()
            await anext(parts)
            await asyncio.sleep(1)
            assert await sessions(stand, twin, "wait_event = 'ClientWrite'") == 1
        await all_idle(stand, twin)


async def test_readers_that_do_not_read_leave_sessions_to_short_calls(
    stand: Stand, uid: str
) -> None:
    settings = stand.settings.model_copy(update={"pool_timeout": 1.0})
    most = settings.sql_sessions_per_login // 2
    async with (
        running(settings) as app,
        on_a_socket(app) as url,
        socket_client(stand, url) as client,
        AsyncExitStack() as open_answers,
    ):
        api = Api(client)
        twin = Twin(api, await api.create("slow", uid=uid), uid)
        # Kept, for httpx closes an answer whose parts nobody holds.
        held = []
        for _ in range(most):
            answer = client.stream("POST", "/v1/export_data", json=fields(twin, sql=ENDLESS))
            held.append((await open_answers.enter_async_context(answer)).aiter_bytes())
            await anext(held[-1])
        refused = await client.post("/v1/export_data", json=fields(twin, sql="SELECT 1"))
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "sessions_exhausted")
        assert await asyncio.gather(*(twin.value("SELECT 1") for _ in range(20))) == [1] * 20
        await open_answers.aclose()
        await all_idle(stand, twin)
        assert (await client.post("/v1/export_data", json=fields(twin, sql="SELECT 1"))).is_success


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_what_fails_on_the_way_breaks_the_answer(stand: Stand, twin: Twin, form: str) -> None:
    sql = "SELECT 1 / (100000 - n) AS q, repeat('x', 200) FROM generate_series(1, 200000) n"
    async with on_a_socket(stand.app) as url, socket_client(stand, url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/v1/export_data", json=fields(twin, sql=sql, format=form))
    await all_idle(stand, twin)
    # The session is whole, and goes on.
    assert await twin.value("SELECT 1") == 1


async def test_what_fails_before_the_first_portion_is_an_envelope(twin: Twin) -> None:
    response = await export(twin, sql="SELECT 1 / (50 - n) FROM generate_series(1, 100) n")
    assert (response.status_code, response.json()["code"]) == (422, 25010)
    assert response.json()["error"]["sqlstate"] == "22012"


@pytest.mark.parametrize("reads", [True, False])
async def test_an_export_that_takes_too_long_is_broken_off(
    stand: Stand, twin: Twin, reads: bool
) -> None:
    settings = stand.settings.model_copy(update={"sql_stream_timeout": 1.5})
    body = fields(twin, sql=ENDLESS.replace("1000", "10000"))
    async with (
        running(settings) as app,
        on_a_socket(app) as url,
        socket_client(stand, url) as client,
    ):
        async with client.stream("POST", "/v1/export_data", json=body) as response:
            if not reads:
                await asyncio.sleep(2)
                await all_idle(stand, twin)
            with pytest.raises(httpx.RemoteProtocolError):
                await response.aread()
        await all_idle(stand, twin)


async def test_a_first_row_that_takes_too_long_is_a_timeout(stand: Stand, twin: Twin) -> None:
    settings = stand.settings.model_copy(update={"sql_timeout": 0.3})
    sql = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    async with (
        running(settings) as app,
        http_client(app, **dict(stand.api.client.headers)) as client,
    ):
        response = await export(Twin(Api(client), twin.id, twin.uid), sql=sql)
        assert (response.status_code, response.json()["code"]) == (422, 25019)
    await all_idle(stand, twin)


async def test_a_row_that_is_larger_than_a_worker_should_hold_is_refused(
    stand: Stand, twin: Twin
) -> None:
    settings = stand.settings.model_copy(update={"sql_byte_limit": 65_536})
    sql = "SELECT repeat('x', 1000000)"
    async with (
        running(settings) as app,
        http_client(app, **dict(stand.api.client.headers)) as client,
    ):
        small = Twin(Api(client), twin.id, twin.uid)
        response = await export(small, sql=sql)
        assert (response.status_code, response.json()["code"]) == (422, 25018)
        # The limit is one row's, not that of all.
        many = f"SELECT repeat('x', 10000) FROM generate_series(1, {MANY // 1000})"
        assert len(await values(small, sql=many)) == MANY // 1000
        assert (await small.dml("SELECT repeat('x', 100000)")).code == 25018


async def test_many_exports_at_once_are_each_whole(stand: Stand, twin: Twin) -> None:
    sql = "SELECT n FROM generate_series(1, 20000) n"
    found = await asyncio.gather(*(values(twin, sql=sql) for _ in range(20)))
    assert all(len(rows) == 20_000 for rows in found)
    assert await twin.value("SELECT 1") == 1


async def test_an_export_is_in_the_audit(stand: Stand, twin: Twin, make_key: MakeKey) -> None:
    await exported(twin, "notes")
    await export(twin, "nothing")
    services = stand.app.state.services
    await services.journal.write(services.database)
    rows = await stand.connection.fetch(
        "SELECT details ->> 'failed' FROM pgtwin.audit_entry"
        " WHERE action = 'export_data' AND database_id = $1 ORDER BY create_at",
        twin.id,
    )
    assert [row[0] for row in rows] == [None, "42P01"]
