"""Files that are not what they say, and rows that can't be stored: told, with their lines."""

import io
import random
import struct
import zipfile
from typing import Any

import orjson
import pytest

from tests.integration.statements.conftest import Worker
from tests.integration.statements.test_upload import ITEMS, as_parquet, as_xlsx, columns, sheet
from tests.sql import Twin, as_user
from tests.uploads import upload

ALICE = as_user("alice")
AUDIENCES = pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return content.getvalue()


def lying_about_its_size(content: bytes, size: int) -> bytes:
    """A zip whose members say that they unpack to so many bytes."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = -1
        while (at := changed.find(mark, at + 1)) >= 0:
            struct.pack_into("<I", changed, at + offset, size)
    return bytes(changed)


NOISE = random.Random(1).randbytes(5_000)  # noqa: S311
BOMB = zipped(**{"xl/worksheets/sheet1.xml": b"\0" * 300_000_000})


@pytest.mark.parametrize(
    ("name", "content", "status", "code", "part"),
    [
        ("a.txt", b"body\nx\n", 415, 25100, "a.txt"),
        ("csv", b"body\nx\n", 415, 25100, '"csv"'),
        ("a.csv.exe", b"body\nx\n", 415, 25100, "not one of"),
        ("a.csv", as_xlsx(), 415, 25100, "is xlsx"),
        ("a.csv", as_parquet(), 415, 25100, "is parquet"),
        ("a.xlsx", b"body\nx\n", 415, 25100, "says xlsx"),
        ("a.xls", as_xlsx(), 415, 25100, "says xls"),
        ("a.xls", b"<html><table>", 415, 25100, "says xls"),
        ("a.json", as_xlsx(), 415, 25100, "says json"),
        ("a.parquet", b'[{"body": 1}]', 415, 25100, "says parquet"),
        ("a.csv", b"", 422, 25300, "no rows"),
        ("a.csv", b"\xef\xbb\xbf", 422, 25300, "no rows"),
        ("a.csv", b"\r\n\n  \n", 422, 25300, "no rows"),
        ("a.csv", b"body\n", 422, 25300, "no rows"),
        ("a.csv", b"body", 422, 25300, "no rows"),
        ("a.xlsx", sheet(), 422, 25300, "no rows"),
        ("a.xlsx", sheet(["body"]), 422, 25300, "no rows"),
        ("a.json", b" ", 422, 25300, "no rows"),
        ("a.json", b"[]", 422, 25300, "no rows"),
        ("a.ndjson", b"\n\n", 422, 25300, "no rows"),
        ("a.parquet", columns(body=[]), 422, 25300, "no rows"),
        ("a.csv", b'body\n"x\ny\n', 422, 25200, "line 2"),
        ("a.csv", b'bo"dy\nx\n', 422, 25200, "not closed"),
        ("a.csv", b"body,\nx,\n", 422, 25200, "column 2 of the file has no name"),
        ("a.csv", b"body,body\nx,y\n", 422, 25200, 'more than once: "body"'),
        ("a.csv", b"body,bodi\nx,y\n", 422, 25200, 'not have the columns "bodi"'),
        ("a.csv", b"Body\nx\n", 422, 25200, '"Body"'),
        ("a.csv", b"\xff\xff\xff\nx\n", 422, 25200, "neither in UTF-8"),
        ("a.csv", b"\xff\xfeb", 422, 25200, "utf-16"),
        ("a.csv", NOISE, 422, 25200, "neither in UTF-8"),
        ("a.csv", b"x" * 9_000_000, 422, 25200, "longer"),
        ("a.csv", b'body\n"' + b"x\n" * 4_500_000, 422, 25200, "not closed"),
        ("a.csv", b",".join(b"c%d" % n for n in range(10_000)) + b"\n1\n", 422, 25200, "more"),
        ("a.json", b'{"body": 1}', 422, 25200, "not an array"),
        ("a.json", b"[1]", 422, 25200, "is not an object"),
        ("a.json", b'[{"body": 1}', 422, 25200, "neither a comma"),
        ("a.json", b'[{"body": 1}] x', 422, 25200, "follows"),
        ("a.json", b'[{"body": 1},]', 422, 25200, "not JSON"),
        ("a.json", b'[{"body": NaN}]', 422, 25200, "can't be read"),
        ("a.json", b"[" * 100_000, 422, 25200, "object 1"),
        ("a.json", b'[{"a":' * 50_000, 422, 25200, "object 1"),
        ("a.json", b"[{}]", 422, 25200, "without names"),
        ("a.json", b"[\xff]", 422, 25200, "UTF-8"),
        ("a.json", b'[{"body": ' + b"1" * 5_000 + b"}]", 422, 25200, "can't be read"),
        ("a.ndjson", b"x\ny\n", 422, 25200, "not JSON"),
        ("a.xlsx", b"PK\x03\x04" + NOISE, 422, 25200, "zip"),
        ("a.xlsx", zipped(a=b"b"), 422, 25200, "no xlsx"),
        ("a.xlsx", as_xlsx()[:-200], 422, 25200, "zip"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NOISE, 422, 25200, "no xls"),
        ("a.parquet", b"PAR1" + NOISE, 422, 25200, "no parquet"),
        ("a.xlsx", BOMB, 413, 25201, "209715200"),
        ("a.xlsx", lying_about_its_size(BOMB, 1_000), 422, 25200, "damaged"),
    ],
)
async def test_a_file_that_is_none(
    twin: Twin, name: str, content: bytes, status: int, code: int, part: str
) -> None:
    for fields in ({}, {"on_error": "skip", **ALICE}):
        refused = await upload(twin, content, name, **fields)
        assert (refused.status, refused.code) == (status, code), refused.body
        assert part in refused.message
        assert len(refused.message) < 500
    assert await twin.rows("SELECT * FROM notes") == []


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"mode": "replace"}, "mode"),
        ({"mode": "update"}, "key: required"),
        ({"mode": "upsert", "key": "nothing"}, "no column"),
        ({"mode": "upsert", "key": "uid"}, "the file has no column"),
        ({"mode": "upsert", "key": "id", **ALICE}, "made by the service"),
        ({"key": "id"}, "key: is for"),
        ({"on_error": "ignore"}, "on_error"),
        ({"format": "txt"}, "format"),
        ({"env": "both"}, "env"),
        ({"table_name": ""}, "table_name"),
        ({"unknown": "1"}, "unknown"),
        ({"app_id": "a:b"}, "app_id"),
        ({"uid": "%"}, "uid"),
    ],
)
async def test_fields_that_are_wrong(twin: Twin, fields: dict[str, str], part: str) -> None:
    refused = await upload(twin, "body,n\nx,1\n", **fields)
    assert (refused.status, refused.code) == (422, 25000), refused.body
    assert part in refused.message


# Rows.

# Enough good ones for all ways that rows go.
GOOD = 1_500


def rows_with(bad: dict[int, str]) -> str:
    """A file with good rows at all lines but some."""
    lines = ["sku,price"] + [f"s{n},{n}" for n in range(2, GOOD + 2)]
    for line, text in bad.items():
        lines[line - 1] = text
    return "\n".join(lines) + "\n"


BAD = {
    3: "x,abc",
    4: "x,-1",
    5: "x",
    6: "x,1,2",
    7: f"{'x' * 21},1",
    1_200: "x,",
    1_300: "x,abc",
    1_301: "x,-1",
    1_302: '"x',
    1_303: 'y",1',
    1_400: "x",
    1_401: "x,1,2",
    1_500: f"{'x' * 21},1",
    1_501: "s9,1",
}
REASONS = {
    3: "numeric",
    4: "violates check",
    5: "1 values",
    6: "3 values",
    7: "too long",
    1_300: "numeric",
    1_301: "violates check",
    1_400: "value",
    1_401: "value",
    1_500: "too long",
    1_501: "duplicate key",
}


@pytest.fixture
async def items(twin: Twin) -> Twin:
    await twin.make(ITEMS)
    return twin


@AUDIENCES
async def test_rows_that_fail_are_told_and_the_others_stay(
    items: Twin, fields: dict[str, str]
) -> None:
    done = await upload(items, rows_with(BAD), table_name="items", on_error="skip", **fields)
    assert done.code == 0, done.body
    failed = {row["line"]: row["error"] for row in done.data["failed_rows"]}
    assert failed.keys() == REASONS.keys()
    for line, reason in REASONS.items():
        assert reason in failed[line], (line, failed[line])
    # Two lines are one row, which is whole.
    stored = GOOD - 1 - len(REASONS)
    assert (done.data["succeeded"], done.data["failed"]) == (stored, len(REASONS))
    assert await items.value("SELECT count(*) FROM items") == stored
    shows_others = any("already exists" in reason for reason in failed.values())
    assert shows_others is not bool(fields)


@AUDIENCES
@pytest.mark.parametrize("line", list(REASONS))
async def test_the_first_row_that_fails_undoes_all(
    items: Twin, fields: dict[str, str], line: int
) -> None:
    refused = await upload(items, rows_with({line: BAD[line]}), table_name="items", **fields)
    assert (refused.status, refused.code) == (422, 25202), refused.body
    assert refused.message.startswith(f"Line {line}: ")
    [detail] = refused.error["details"]
    assert detail["line"] == line
    assert await items.rows("SELECT 1 FROM items") == []


@AUDIENCES
async def test_of_many_failures_some_are_listed_and_all_are_counted(
    twin: Twin, fields: dict[str, str]
) -> None:
    content = "n\n" + "x\n" * 2_500
    done = await upload(twin, content, on_error="skip", **fields)
    assert (done.data["succeeded"], done.data["failed"]) == (0, 2_500)
    assert [row["line"] for row in done.data["failed_rows"]] == [*range(2, 1_002)]


@AUDIENCES
async def test_a_line_that_no_row_could_be(twin: Twin, fields: dict[str, str]) -> None:
    content = b'{"body": "a"}\nnonsense\n[1]\n\n{"body": "\\u0000"}\n{"n": {"a": 1}}\n'
    content += b'{"n": "b"}\n\xff\n{"body": "\\ud800"}\n'
    done = await upload(twin, content, "a.ndjson", on_error="skip", **fields)
    assert done.code == 0, done.body
    assert done.data["succeeded"] == 1
    reasons = {row["line"]: row["error"] for row in done.data["failed_rows"]}
    assert reasons.keys() == {2, 3, 5, 6, 7, 8, 9}
    assert "NUL" in reasons[5]
    assert "column n" in reasons[6]


async def test_a_name_that_comes_late_is_told(twin: Twin) -> None:
    lines = [orjson.dumps({"body": "x"})] * 1_100 + [orjson.dumps({"n": 1})]
    refused = await upload(twin, b"\n".join(lines), "a.ndjson")
    assert (refused.code, refused.error["details"][0]["line"]) == (25202, 1_101)


@AUDIENCES
async def test_a_nul_is_refused(twin: Twin, fields: dict[str, str]) -> None:
    content = b"body\n" + b"x\n" * 1_200 + b"a\0b\n"
    done = await upload(twin, content, on_error="skip", **fields)
    assert (done.data["succeeded"], done.data["failed"]) == (1_200, 1)
    assert done.data["failed_rows"][0]["line"] == 1_202


@AUDIENCES
async def test_a_foreign_key_is_checked_row_by_row(twin: Twin, fields: dict[str, str]) -> None:
    await twin.make(
        "CREATE TABLE kinds (name TEXT PRIMARY KEY); CREATE TABLE things (kind TEXT REFERENCES"
        " kinds DEFERRABLE INITIALLY DEFERRED)"
    )
    await twin.rows("INSERT INTO kinds VALUES ('a')")
    content = "kind\n" + "a\n" * 1_100 + "b\n" + "a\n" * 100
    done = await upload(twin, content, table_name="things", on_error="skip", **fields)
    assert done.code == 0, done.body
    assert (done.data["succeeded"], done.data["failed"]) == (1_200, 1)
    assert done.data["failed_rows"][0]["line"] == 1_102


async def test_a_file_over_the_limit(twin: Twin, worker: Worker) -> None:
    async with worker(upload_limit=100_000) as (_, api):
        small = Twin(api, twin.id, twin.uid)
        assert (await upload(small, "n\n" + "1\n" * 40_000)).code == 0
        refused = await upload(small, "n\n" + "1\n" * 50_000)
        assert (refused.status, refused.error["type"]) == (413, "body_too_large")
        assert "PGTWIN_UPLOAD_LIMIT" in refused.error["hint"]


async def test_an_upload_that_takes_too_long(twin: Twin, worker: Worker) -> None:
    async with worker(upload_timeout=0.3) as (_, api):
        slow = Twin(api, twin.id, twin.uid)
        refused = await upload(slow, "n\n" + "1\n" * 100_000, **ALICE)
        assert (refused.status, refused.error["type"]) == (422, "statement_timeout")
    assert await twin.rows("SELECT 1 FROM notes LIMIT 1") == []


# Updates.


@AUDIENCES
async def test_rows_are_updated_by_their_key(items: Twin, fields: dict[str, str]) -> None:
    made = await upload(items, rows_with({}), table_name="items", **fields)
    assert made.code == 0, made.body
    content = "price,sku\n9,s2\n8,s3\n7,s2\n,nothing\n-1,s5\nx,s6\n"
    changed: dict[str, Any] = {"mode": "update", "key": "sku", "table_name": "items", **fields}
    done = await upload(items, content, **changed, on_error="skip")
    assert done.code == 0, done.body
    assert (done.data["succeeded"], done.data["failed"]) == (3, 3)
    reasons = {row["line"]: row["error"] for row in done.data["failed_rows"]}
    assert "no row" in reasons[5]
    found = await items.rows("SELECT sku, price FROM items WHERE price < 10 ORDER BY sku")
    assert {row["sku"]: row["price"] for row in found} == {
        "s2": 7, "s3": 8, "s4": 4, "s5": 5, "s6": 6, "s7": 7, "s8": 8, "s9": 9
    }  # fmt: skip
    refused = await upload(items, "price,sku\n1,s2\n1,nothing\n", **changed)
    assert (refused.code, refused.error["details"][0]["line"]) == (25202, 3)
    assert await items.value("SELECT price FROM items WHERE sku = 's2'") == 7


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
async def test_rows_are_new_or_changed(items: Twin, fields: dict[str, str]) -> None:
    keyed: dict[str, Any] = {
        "mode": "upsert", "key": ["uid", "sku"], "table_name": "items", **fields
    }  # fmt: skip
    uid = "" if fields else f",{items.uid}"
    head = "sku,price" if fields else "sku,price,uid"
    first = await upload(items, f"{head}\na,1{uid}\nb,2{uid}\n", **keyed)
    assert first.code == 0, first.body
    second = await upload(items, f"{head}\nb,3{uid}\nc,4{uid}\nb,5{uid}\n", **keyed)
    assert second.data["succeeded"] == 3
    assert second.data["success_rows"][0] == first.data["success_rows"][1]
    assert second.data["success_rows"][2] == first.data["success_rows"][1]
    found = await items.rows("SELECT sku, price FROM items ORDER BY sku")
    assert [row["price"] for row in found] == [1, 5, 4]


async def test_an_upsert_needs_a_unique_key(twin: Twin) -> None:
    refused = await upload(twin, "n\n1\n", mode="upsert", key="n", on_error="skip")
    assert (refused.status, refused.code, refused.error["sqlstate"]) == (422, 25010, "42P10")
