"""upload_data on the drop-in mount, as its clients send it and read its answers."""

import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.settings import Settings
from memory.api.gateway import SIGNATURE_HEADER, sign
from tests.api import Api
from tests.conftest import http_client
from tests.contract.test_gateway import SECRET, behind_gateway
from tests.integration.statements.test_upload import as_parquet, sheet
from tests.sql import NOTES, Twin
from tests.uploads import upload

XLS = Path(__file__).parent / "notes.xls"


@pytest.fixture
async def twin(drop_in: Api, uid: str) -> Twin:
    made = Twin(drop_in, await drop_in.create("orders", uid=uid), uid)
    await made.make(NOTES)
    return made


async def test_a_file_of_each_kind(twin: Twin) -> None:
    rows: list[list[Any]] = [["body", "n"], ["a", 1], ["b", None]]
    files = {"a.csv": b"body,n\r\na,1\r\nb,\r\n", "a.XLSX": sheet(*rows), "a.xls": XLS.read_bytes()}
    for name, content in files.items():
        for env in ("prod", "test"):
            done = await upload(twin, content, name, env=env, app_id="app1")
            assert (done.status, done.code) == (200, 0), done.body
            assert set(done.body) == {"code", "message", "data", "sid"}
            assert set(done.data) == {"success_rows", "failed_rows"}
            assert [type(each) for each in done.data["success_rows"]] == [int, int]
            assert done.data["failed_rows"] == []
    for env in ("prod", "test"):
        found = await twin.rows("SELECT * FROM notes ORDER BY id", env=env, app_id="app1")
        assert [(row["body"], row["n"]) for row in found] == [("a", 1), ("b", None)] * 3
        assert {row["uid"] for row in found} == {f"app1:{twin.uid}"}


async def test_rows_that_fail_are_listed_and_the_others_stay(twin: Twin) -> None:
    done = await upload(twin, "body,n\na,1\nb,x\nc\nd,4\n", app_id="app1")
    assert (done.status, done.code) == (200, 0)
    assert len(done.data["success_rows"]) == 2
    assert [set(row) for row in done.data["failed_rows"]] == [{"line", "error"}] * 2
    assert [row["line"] for row in done.data["failed_rows"]] == [3, 4]
    assert await twin.value("SELECT count(*) FROM notes", app_id="app1") == 2


async def test_every_id_is_answered(twin: Twin) -> None:
    done = await upload(twin, "n\n" + "1\n" * 2_500, app_id="app1")
    ids = done.data["success_rows"]
    assert len(set(ids)) == 2_500
    assert await twin.value(f"SELECT count(*) FROM notes WHERE id = {ids[-1]}", app_id="app1") == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"body\nx\n", 25100),
        ("a.parquet", as_parquet(), 25100),
        ("a.json", b'[{"body": "x"}]', 25100),
        ("a.xlsx", b"body\nx\n", 25100),
        ("a.csv", b'"body\nx\n', 25200),
        ("a.csv", b"nothing\nx\n", 25200),
        ("a.csv", b"", 25300),
        ("a.csv", b"body\n", 25300),
    ],
)
async def test_codes(twin: Twin, name: str, content: bytes, code: int) -> None:
    refused = await upload(twin, content, name)
    assert (refused.status, refused.code) == (200, code), refused.body
    assert set(refused.body) == {"code", "message", "sid"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"table_name": "nothing"}, 25020),
        ({"env": "dev"}, 25000),
        ({"uid": "%"}, 25000),
        ({"database_id": "5000000000"}, 25013),
        ({"database_id": "x"}, 25000),
    ],
)
async def test_fields_that_are_wrong(twin: Twin, fields: dict[str, str], code: int) -> None:
    refused = await upload(twin, "body\nx\n", **fields)
    assert (refused.status, refused.code) == (200, code), refused.body


async def test_what_its_clients_do_not_know_is_ignored(twin: Twin) -> None:
    new: dict[str, Any] = {"as": "owner", "mode": "update", "format": "json", "whatever": "x"}
    done = await upload(twin, "body,uid\nx,victim\n", app_id="app1", **new)
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT * FROM notes", app_id="app1")
    assert row["uid"] == f"app1:{twin.uid}"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"json": {}}, "multipart/form-data"),
        ({"data": {"a": "b"}}, "multipart/form-data"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "boundary"),
        (
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
            "can't be read",
        ),
        ({"data": {"file": "x"}, "files": {"other": ("a.csv", b"x")}}, "file"),
        ({"files": {"uid": ("a.csv", b"x")}}, "uid"),
        ({"files": [("file", ("a.csv", b"x")), ("file", ("b.csv", b"x"))]}, "Too many files"),
    ],
)
async def test_bodies_that_are_no_form(twin: Twin, options: dict[str, Any], part: str) -> None:
    refused = await twin.api.send("POST", "upload_data", **options)
    assert (refused.status, refused.code) == (200, 25000), refused.body
    assert part in refused.message


async def test_a_gateway_signs_the_body_as_it_is(settings: Settings, twin: Twin) -> None:
    async with (
        behind_gateway(settings, gateway_secret=SecretStr(SECRET)) as app,
        http_client(app) as client,
    ):
        request = client.build_request(
            "POST",
            "/xingchen-db/v1/upload_data",
            data={
                "database_id": str(twin.id), "uid": twin.uid, "env": "prod", "table_name": "notes"
            },
            files={"file": ("a.csv", b"body\nx\n")},
        )  # fmt: skip
        body = await request.aread()
        for signed, code in ((body, 0), (body + b" ", 25020)):
            request.headers[SIGNATURE_HEADER] = signature(signed)
            answered = (await client.send(request)).json()
            assert answered["code"] == code, answered


def signature(body: bytes) -> str:
    now = str(int(time.time()))
    return f"t={now},v1={sign(SECRET, now, 'POST', '/xingchen-db/v1/upload_data', '', body)}"
