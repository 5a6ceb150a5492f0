"""Files into tables: every mode, every format, and what becomes of rows that can't be stored."""

import datetime
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openpyxl
import orjson
import pyarrow
import pytest
from pyarrow import parquet

from tests.sql import Twin, as_user
from tests.uploads import upload

ALICE = as_user("alice")
ITEMS = (
    "CREATE TABLE items (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64) NOT NULL, sku VARCHAR(20),"
    " price NUMERIC, at TIMESTAMP, day DATE, is_new BOOLEAN, data JSONB, tags TEXT[],"
    " UNIQUE (uid, sku), CHECK (price > 0))"
)


@pytest.fixture
async def items(twin: Twin) -> Twin:
    await twin.make(ITEMS)
    return twin


# Whose rows they are.


async def test_the_owners_rows_are_as_they_are_in_the_file(twin: Twin) -> None:
    done = await upload(twin, 'id,uid,body,n\n7,bob,seven,7\n8,eve,"a, ""b""\nc",\n')
    assert done.code == 0, done.body
    assert done.data["success_rows"] == [7, 8]
    assert (done.data["succeeded"], done.data["failed"]) == (2, 0)
    assert await twin.rows("SELECT id, uid, body, n FROM notes ORDER BY id") == [
        {"id": 7, "uid": "bob", "body": "seven", "n": 7},
        {"id": 8, "uid": "eve", "body": 'a, "b"\nc', "n": None},
    ]


async def test_an_end_users_rows_are_his(twin: Twin) -> None:
    content = "id,uid,create_time,body\n7,victim,2001-01-01,x\n"
    done = await upload(twin, content, **ALICE)
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT *, create_time > '2020-01-01' AS is_new FROM notes")
    assert (row["uid"], row["body"], row["is_new"]) == ("shop:alice", "x", True)
    assert row["id"] > 2**31
    assert done.data["success_rows"] == [row["id"]]


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
async def test_many_rows(twin: Twin, fields: dict[str, str]) -> None:
    content = "body,n\n" + "".join(f'"row ""{n}""",{n}\r\n' for n in range(30_000))
    done = await upload(twin, content, **fields)
    assert done.code == 0, done.body
    assert done.data["succeeded"] == 30_000
    assert len(done.data["success_rows"]) == 1_000
    [row] = await twin.rows("SELECT count(*), sum(n), min(uid), max(uid), max(body) FROM notes")
    uid = "shop:alice" if fields else twin.uid
    expected = {"count": 30_000, "sum": 449985000, "min": uid, "max": uid, "max_2": 'row "9999"'}
    assert row == expected


async def test_what_is_not_in_the_file_has_its_default(twin: Twin) -> None:
    done = await upload(twin, "n\n" + "1\n" * 1_500)
    assert done.data["succeeded"] == 1_500
    [row] = await twin.rows("SELECT count(DISTINCT id), min(create_time) IS NULL AS no FROM notes")
    assert row == {"count": 1_500, "no": False}


async def test_generated_columns_are_passed_over(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE g (id INT GENERATED ALWAYS AS IDENTITY, a INT,"
        " b INT GENERATED ALWAYS AS (a * 2) STORED)"
    )
    done = await upload(twin, "id,b,a\n" + "7,9,1\n" * 1_500, table_name="g")
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT count(*), min(id), max(id), sum(b) FROM g")
    assert row == {"count": 1_500, "min": 7, "max": 7, "sum": 3_000}


# Formats.


def sheet(*rows: list[Any]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def columns(**values: Any) -> bytes:
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(values), content)
    return content.getvalue()


MOMENT, DAY = datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.date(2024, 1, 2)
VALUES: dict[str, Any] = {
    "sku": "a,\t\\.\n",
    "price": 12.5,
    "at": MOMENT,
    "day": DAY,
    "is_new": True,
}
STORED = {
    "sku": "a,\t\\.\n",
    "price": 12.5,
    "at": "2024-01-02 03:04:05",
    "day": "2024-01-02",
    "is_new": True,
}
NULLS = dict.fromkeys(STORED)


def as_csv() -> bytes:
    return (
        b'sku,price,at,day,is_new\n"a,\t\\.\n",12.5,2024-01-02 03:04:05,2024-01-02,true\n,,,"",\n'
    )


def as_json() -> bytes:
    return orjson.dumps([VALUES, {"sku": None}])


def as_ndjson() -> bytes:
    return b"\xef\xbb\xbf" + orjson.dumps(VALUES) + b"\n\n" + orjson.dumps({"price": None})


def as_xlsx() -> bytes:
    return sheet([*VALUES], [*VALUES.values()], [None], [None] * 4 + ["", None], ["x"])


def as_parquet() -> bytes:
    return columns(**{name: [value, None] for name, value in VALUES.items()})


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.csv", as_csv),
        ("a.JSON", as_json),
        ("a.ndjson", as_ndjson),
        ("a.jsonl", as_ndjson),
        ("a.parquet", as_parquet),
    ],
)
async def test_a_format(
    items: Twin, name: str, made: Callable[[], bytes], fields: dict[str, str]
) -> None:
    done = await upload(items, made(), name, table_name="items", **fields)
    assert done.code == 0, done.body
    found = await items.rows("SELECT sku, price, at, day, is_new FROM items ORDER BY price")
    assert found == [STORED, NULLS]


async def test_a_sheet_with_empty_rows(items: Twin) -> None:
    done = await upload(items, as_xlsx(), "a.xlsx", table_name="items")
    assert done.code == 0, done.body
    found = await items.rows("SELECT sku, price, at, day, is_new FROM items ORDER BY price")
    assert found == [STORED, NULLS | {"sku": "x"}]


async def test_numbers_of_a_sheet_are_as_they_are_shown(items: Twin) -> None:
    content = sheet(["sku", "price"], [13800138000, 7], ["=1+1", 0.1])
    await upload(items, content, "a.xlsx", table_name="items")
    found = await items.rows("SELECT sku, price::text FROM items ORDER BY price")
    assert found == [{"sku": None, "price": "0.1"}, {"sku": "13800138000", "price": "7"}]


async def test_json_keeps_its_digits_and_its_values(items: Twin) -> None:
    content = (
        '[{"sku": "a", "price": 12345678901234567890.12345, "data": {"a": [1, null]},'
        ' "tags": ["x", "y \\"z\\""]}]'
    )
    done = await upload(items, content, "a.json", table_name="items")
    assert done.code == 0, done.body
    [row] = await items.rows("SELECT price::text, data, tags FROM items")
    assert row == {
        "price": "12345678901234567890.12345",
        "data": {"a": [1, None]},
        "tags": ["x", 'y "z"'],
    }


async def test_parquet_has_lists_decimals_and_bytes(twin: Twin) -> None:
    await twin.make("CREATE TABLE p (n NUMERIC, l INT[], b BYTEA, j JSONB)")
    content = columns(n=[Decimal("1.50")], l=[[1, 2]], b=[b"\x00\xff"], j=[{"a": 1}])
    done = await upload(twin, content, "p.parquet", table_name="p")
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT n::text, l, b, j FROM p")
    assert row == {"n": "1.50", "l": [1, 2], "b": "\\x00ff", "j": {"a": 1}}


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("\ufeffbody\n中文\n".encode(), ["中文"]),
        ("body\n中文\n".encode("utf-16"), ["中文"]),
        ("body\n中文\n".encode("gb18030"), ["中文"]),
        (b"body;n\r\na;1\r\nb;2", ["a", "b"]),
        (b"n\tbody\n1\ta\n", ["a"]),
        (b"body\ra\rb\r", ["a", "b"]),
        (b"\n\nbody\n\n\na\n\n", ["a"]),
        (b'body,n\n"a\r\nb",1\n', ["a\r\nb"]),
        (b'body\n""\n""""\nx"y,z"\n', ["", '"', "xy,z"]),
        (b' "body" \n', None),
        (b"body\n\\.\nafter\n", ["\\.", "after"]),
        (b"body\n\\N\nNULL\n", ["\\N", "NULL"]),
    ],
)
@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
@pytest.mark.parametrize("copies", [1, 1_200])
async def test_forms_of_csv(
    twin: Twin, content: bytes, texts: list[str] | None, fields: dict[str, str], copies: int
) -> None:
    is_small = content[:2] in (b"\xff\xfe", b"\xfe\xff") or texts is None
    if copies > 1 and not is_small:
        # Beyond the first rows others are copied: those must be read alike.
        lines = "".join("x\n" for _ in range(copies)).encode()
        filled = await upload(twin, b"body\n" + lines)
        assert filled.code == 0
        await twin.rows("DELETE FROM notes")
    done = await upload(twin, content, **fields)
    if texts is None:
        assert (done.status, done.code) == (422, 25300), done.body
        return
    assert done.code == 0, done.body
    found = await twin.rows("SELECT body FROM notes ORDER BY id")
    assert [row["body"] for row in found] == texts


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "parquet"])
async def test_what_was_exported_comes_in_as_it_was(
    items: Twin, form: str, fields: dict[str, str]
) -> None:
    rows = [
        VALUES | {"sku": "", "data": {"a": [1.5, "x"]}, "tags": ["a", None, '"']},
        VALUES | {"sku": "=1+1", "data": None, "is_new": None},
        {"sku": None},
    ]
    made = await upload(items, orjson.dumps(rows), "a.json", table_name="items", **fields)
    assert made.code == 0, made.body
    select = "SELECT sku, price, at, day, is_new, data, tags FROM items ORDER BY sku"
    before = await items.rows(select, **fields)
    body = {"database_id": items.id, "uid": items.uid, "env": "prod", "table_name": "items"}
    asked = body | {"format": form, **fields}
    if form == "csv":
        asked["escape_formulas"] = False
    exported = await items.api.client.post("/v1/export_data", json=asked)
    assert exported.status_code == 200, exported.text
    await items.rows("DELETE FROM items")
    again = await upload(items, exported.content, f"a.{form}", table_name="items", **fields)
    assert (again.code, again.data["succeeded"]) == (0, 3), again.body
    assert await items.rows(select, **fields) == before
