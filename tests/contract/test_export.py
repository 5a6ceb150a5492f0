"""export_data as its clients call it: on the drop-in mount, and on `/v1` what is refused."""

import json
from typing import Any
from urllib.parse import unquote

import pytest

from memory.caller import Scope
from tests.api import Answer, Api, answer
from tests.contract.test_drop_in import assert_refused
from tests.exports import csv_rows, export, exported, values
from tests.sql import Twin

APP = "app1"
TABLE = (
    'CREATE TABLE "t" ("id" BIGSERIAL PRIMARY KEY, "uid" VARCHAR(64) NOT NULL,'
    ' "create_time" TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, "c" VARCHAR, "n" BIGINT)'
)


@pytest.fixture
async def twin(drop_in: Api, uid: str) -> Twin:
    """A database with the table that the console makes."""
    made = Twin(drop_in, await drop_in.create("orders", uid=uid), uid)
    await made.make(TABLE)
    return made


@pytest.fixture
async def ours(admin: Api, uid: str) -> Twin:
    made = Twin(admin, await admin.create("orders", uid=uid), uid)
    await made.make(TABLE)
    return made


async def refused(twin: Twin, table: str | None = None, /, **fields: Any) -> Answer:
    return answer(await export(twin, table, **fields))


# The drop-in mount.


async def test_a_table_is_a_csv_file(twin: Twin) -> None:
    await twin.rows(f"INSERT INTO t (uid, c, n) VALUES ('{twin.uid}', 'a, b', -5)", app_id=APP)
    await twin.rows("INSERT INTO t (c) VALUES (NULL)", app_id=APP)
    response = await export(twin, "t", app_id=APP)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == "text/csv"
    assert response.headers["content-disposition"] == "attachment; filename=t_export.csv"
    assert response.headers["x-request-id"]
    [head, first, second] = csv_rows(response.content)
    assert head == ["id", "uid", "create_time", "c", "n"]
    assert (first[1], first[3:]) == (f"{APP}:{twin.uid}", ["a, b", "-5"])
    assert second[3:] == ["", ""]
    assert response.content.endswith(b",,\r\n")


async def test_a_table_without_rows_is_a_header(twin: Twin) -> None:
    assert await exported(twin, "t") == b"id,uid,create_time,c,n\r\n"


async def test_rows_are_those_that_exec_dml_shows_and_no_others(twin: Twin, uid: str) -> None:
    await twin.rows("INSERT INTO t (c) VALUES ('mine')", app_id=APP)
    await twin.rows("INSERT INTO t (c) VALUES ('of no application')")
    await twin.rows("INSERT INTO t (c) VALUES ('of another')", app_id="app2")
    await twin.rows("INSERT INTO t (c) VALUES ('theirs')", app_id=APP, uid="somebody")
    assert [row[3] for row in await values(twin, "t", app_id=APP)] == ["mine", "of no application"]
    assert [row[3] for row in await values(twin, "t")] == ["of no application"]
    # Nobody asks whether the database is his, as in exec_dml.
    somebody = {"app_id": APP, "uid": "somebody"}
    assert [row[3] for row in await values(twin, "t", **somebody)] == ["theirs"]
    assert await values(twin, "t", env="test", app_id=APP) == []


async def test_fields_of_v1_and_unknown_ones_are_ignored(twin: Twin) -> None:
    await twin.rows("INSERT INTO t (c) VALUES ('theirs')", app_id=APP, uid="somebody")
    more = {"as": "owner", "format": "json", "sql": "SELECT 1", "columns": ["c"], "header": False}
    content = await exported(twin, "t", other=1, null="x", **more)
    assert content == b"id,uid,create_time,c,n\r\n"


@pytest.mark.parametrize(
    ("table", "shown", "encoded"),
    [
        ("My Table", 'filename="My Table_export.csv"', None),
        ("订单", 'filename="___export.csv"', "订单_export.csv"),
        ('a"b', 'filename="a_b_export.csv"', 'a"b_export.csv'),
        ("a\r\nX-Evil: 1", 'filename="a__X-Evil: 1_export.csv"', "a\r\nX-Evil: 1_export.csv"),
        ("../a\\b;c", 'filename=".._a_b;c_export.csv"', "../a\\b;c_export.csv"),
        ("user", "filename=user_export.csv", None),
    ],
)
async def test_a_file_is_named_for_its_table(
    twin: Twin, table: str, shown: str, encoded: str | None
) -> None:
    quoted = table.replace('"', '""')
    await twin.make(f'CREATE TABLE "{quoted}" (a INT)')
    response = await export(twin, table)
    assert response.content == b"a\r\n", response.text
    kind, _, names = response.headers["content-disposition"].partition("; ")
    plain, _, extended = names.partition("; filename*=UTF-8''")
    assert (kind, plain) == ("attachment", shown)
    assert (unquote(extended) or None) == encoded
    assert "x-evil" not in response.headers


@pytest.mark.parametrize(
    "table",
    [
        "nothing",
        "T",
        "t; DROP TABLE t",
        't"; DROP TABLE t; --',
        "t) TO STDOUT; --",
        "t UNION SELECT 1",
        "public.t",
        "pg_class",
        "pg_catalog.pg_authid",
        "pgtwin.api_key",
        "database_meta",
        "pg_stat_activity",
        "information_schema.tables",
        "x" * 64,
        "表" * 22,
        "t\0",
        " ",
    ],
)
async def test_whatever_is_no_table_of_the_database_is_unknown(twin: Twin, table: str) -> None:
    assert_refused(await refused(twin, table), 25020)
    assert await exported(twin, "t") == b"id,uid,create_time,c,n\r\n"


async def test_half_of_a_surrogate_pair_is_no_text(twin: Twin) -> None:
    fields = {"app_id": "", "database_id": twin.id, "uid": twin.uid, "env": "prod"}
    response = await twin.api.client.post(
        "/xingchen-db/v1/export_data",
        content=json.dumps(fields | {"table_name": "\ud800"}).encode(),
        headers={"content-type": "application/json"},
    )
    assert_refused(answer(response), 25000)


async def test_names_of_the_other_environment_and_of_others_lead_nowhere(
    twin: Twin, drop_in: Api, uid: str
) -> None:
    other = Twin(drop_in, await drop_in.create("others", uid=f"{uid}2"), f"{uid}2")
    await other.make("CREATE TABLE secret (a INT)")
    schemas = [f"prod_{other.uid}_{other.id}", f"test_{twin.uid}_{twin.id}"]
    for schema in schemas:
        for name in (f"{schema}.secret", f'{schema}"."secret', f'"{schema}".secret', f"{schema}.t"):
            assert_refused(await refused(twin, name), 25020)
    assert_refused(await refused(twin, "secret"), 25020)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"table_name": ""}, 25000),
        ({}, 25000),
        ({"sql": "SELECT 1"}, 25000),
        ({"table_name": 1}, 25000),
        ({"table_name": ["t"]}, 25000),
        ({"table_name": "t", "env": "both"}, 25000),
        ({"table_name": "t", "app_id": "a:b"}, 25000),
        ({"table_name": "t", "uid": "a b中"}, 25000),
        ({"table_name": "t", "database_id": 2**62}, 25013),
    ],
)
async def test_what_is_wrong_is_an_envelope(twin: Twin, fields: Any, code: int) -> None:
    assert_refused(await refused(twin, **fields), code)


# On /v1.


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 25000),
        ({"table_name": "t", "sql": "SELECT 1"}, 25000),
        ({"sql": "SELECT 1", "columns": ["a"]}, 25000),
        ({"table_name": "t", "columns": []}, 25000),
        ({"table_name": "t", "columns": [""]}, 25000),
        ({"table_name": "t", "columns": ['c" FROM t; --']}, 25010),
        ({"table_name": "t", "columns": ["tableoid::regclass"]}, 25010),
        ({"table_name": "t", "format": "xlsx"}, 25000),
        ({"table_name": "t", "format": "json", "header": False}, 25000),
        ({"table_name": "t", "delimiter": "'"}, 25000),
        ({"table_name": "t", "delimiter": ",,"}, 25000),
        ({"table_name": "t", "null": '"'}, 25000),
        ({"table_name": "t", "null": "a\n"}, 25000),
        ({"table_name": "t", "other": 1}, 25000),
        ({"sql": ""}, 25030),
        ({"sql": ";"}, 25030),
        ({"sql": "SELECT 1; SELECT 2"}, 25000),
        ({"sql": "INSERT INTO t (uid) VALUES ('x') RETURNING 1"}, 25000),
        ({"sql": "WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x"}, 25020),
        ({"sql": "COPY t TO STDOUT"}, 25050),
        ({"sql": "COPY t TO PROGRAM 'id'"}, 25050),
        ({"sql": "SELECT 1) TO PROGRAM 'id' --"}, 25030),
        ({"sql": "SELECT 1 /* "}, 25030),
        ({"sql": "SELECT 'a"}, 25030),
        ({"sql": "SELECT $1::int"}, 25000),
        ({"sql": "SELECT * FROM pg_authid"}, 25020),
        ({"sql": "SELECT * FROM pgtwin.database_meta"}, 25020),
        ({"sql": "SELECT * FROM nothing"}, 25020),
        ({"sql": "SELECT pg_read_file('/etc/passwd')"}, 25020),
        ({"sql": "SELECT * INTO x FROM t"}, 25020),
        ({"sql": "SELECT * FROM t FOR UPDATE"}, 25010),
        ({"sql": "SELECT nextval('t_id_seq')"}, 25010),
        ({"sql": "SELECT 1" + " UNION SELECT 1" * 2_000}, 25031),
    ],
)
async def test_v1_refuses_what_does_not_fit(ours: Twin, fields: Any, code: int) -> None:
    found = await refused(ours, **fields)
    assert (found.code, found.status >= 500) == (code, False), found.body


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c FROM t -- )",
        "SELECT c FROM t;",
        "/* ( */ SELECT c FROM t /* a ; b */ ; -- c",
        "SELECT c FROM t WHERE c <> ') TO STDOUT; --'",
        "SELECT c FROM t WHERE c <> $$) TO STDOUT; --$$",
        "(SELECT c FROM t)",
        "WITH q AS (SELECT c FROM t) TABLE q",
        "SELECT c FROM t ORDER BY id DESC LIMIT 5",
        "VALUES ('a'), ('b')",
    ],
)
async def test_one_select_is_exported_whatever_it_looks_like(ours: Twin, sql: str) -> None:
    await ours.rows("INSERT INTO t (uid, c) VALUES ('x', 'a'), ('x', 'b')")
    assert sorted(row[0] for row in await values(ours, sql=sql)) == ["a", "b"]


async def test_rows_keep_the_order_that_the_select_gives_them(ours: Twin) -> None:
    sql = "SELECT n FROM generate_series(1, 5000) n ORDER BY n % 7, -n"
    found = [int(row[0]) for row in await values(ours, sql=sql)]
    assert found == sorted(range(1, 5_001), key=lambda n: (n % 7, -n))


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_a_format_has_its_media_type_and_its_ending(ours: Twin, form: str, kind: str) -> None:
    table, sql = (
        await export(ours, "t", format=form),
        await export(ours, sql="SELECT 1", format=form),
    )
    assert table.headers["content-type"] == kind
    assert table.headers["content-disposition"] == f"attachment; filename=t_export.{form}"
    assert sql.headers["content-disposition"] == f"attachment; filename=sql_export.{form}"


async def test_a_key_needs_the_scope_of_sql_and_a_database_of_its_own(
    ours: Twin, api_for: Any, uid: str
) -> None:
    stranger = Twin(await api_for(f"{uid}x"), ours.id, f"{uid}x")
    assert (await refused(stranger, "t")).code == 25013
    reader = Twin(await api_for(uid, Scope.DATABASES_READ), ours.id, uid)
    assert (await refused(reader, "t")).code == 25020
    app = Twin(await api_for(None, Scope.SQL_DML, app_id="shop"), ours.id, "bob")
    assert (await refused(app, "t", app_id="shop")).code == 25013
    granted = await ours.api.post(
        "grant_app", {"database_id": ours.id, "uid": uid, "app_id": "shop"}
    )
    assert granted.code == 0
    await ours.rows("INSERT INTO t (uid, c) VALUES ('shop:bob', 'his'), ('shop:eve', 'hers')")
    assert [row[3] for row in await values(app, "t", app_id="shop")] == ["his"]
    assert (await refused(app, "t", app_id="shop", **{"as": "owner"})).code == 25020


async def test_an_idempotency_key_keeps_no_file(ours: Twin) -> None:
    body = {"database_id": ours.id, "uid": ours.uid, "env": "prod", "table_name": "t"}
    for form in ("csv", "json"):
        headers = {"Idempotency-Key": f"export-{form}"}
        for _ in range(2):
            response = await ours.api.client.post(
                "/v1/export_data", json=body | {"format": form}, headers=headers
            )
            assert response.status_code == 200
            assert "idempotent-replayed" not in response.headers
