"""What is refused at the door, and what just fits: on both mounts, with the field's name."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api import Answer, Api

JSON = {"Content-Type": "application/json"}
CREATE, DROP, MODIFY = "create_database", "drop_database", "modify_db_description"
WIDE = 2**62


@pytest.fixture(params=["v1", "drop_in"])
def api(request: pytest.FixtureRequest, admin: Api, drop_in: Api) -> Api:
    return admin if request.param == "v1" else drop_in


def assert_invalid(api: Api, answer: Answer, status: int, field: str = "") -> None:
    """25000 with HTTP's status on /v1, and the field's path where one is at fault."""
    assert answer.code == 25000, answer.body
    assert answer.status == (status if api.mount == "/v1" else 200), answer.body
    assert answer.body["sid"] == answer.headers["X-Request-ID"]
    assert answer.headers["Content-Type"] == "application/json"
    assert field in answer.message
    if api.mount != "/v1":
        assert set(answer.body) == {"code", "message", "sid"}
        return
    assert answer.error["retryable"] is False
    if field:
        assert field in [detail["field"] for detail in answer.error["details"]]


UIDS: list[tuple[Any, str]] = [
    ("", "at least 1"),
    ("u" * 65, "at most 64"),
    *((f"a{sign}b", "match") for sign in "！@#￥%…&*()"),  # noqa: RUF001
    *((f"a{character}", "match") for character in "中文一龥㐀豈𠀀"),
    ("a\0b", "match"),
    ("\0", "match"),
    ("\ud800", "unicode"),
    ("a\udfff", "unicode"),
    (5, "string"),
    (1.5, "string"),
    (True, "string"),
    ([], "string"),
    (["u"], "string"),
    ({"uid": "u"}, "string"),
]
NAMES: list[tuple[Any, str]] = [
    ("", "at least 1"),
    ("a" * 21, "at most 20"),
    *(
        (name, "match")
        for name in (
            "1a", "_a", "a-b", "a b", " a", "a ", "a\n", "\na", "a\0", "a.b", 'a"b', "a'b", "a;b",
            "é", "aé", "名", "a名", "ａ", "a\u200b", "%", "a$",  # noqa: RUF001
        )
    ),
    ("\ud800", "unicode"),
    (None, "string"),
    (5, "string"),
    (False, "string"),
    (["a"], "string"),
    ({}, "string"),
]  # fmt: skip
DESCRIPTIONS: list[tuple[Any, str]] = [
    ("d" * 201, "at most 200"),
    ("😀" * 201, "at most 200"),
    ("a\0b", "match"),
    ("\ud83d", "unicode"),
    (5, "string"),
    (True, "string"),
    (["d"], "string"),
    ({"d": 1}, "string"),
]
SPACES: list[tuple[Any, str]] = [
    (0, "string"),
    (7, "string"),
    (7.5, "string"),
    (False, "string"),
    ([], "string"),
    ({}, "string"),
    ("a\0", "match"),
    ("\udead", "unicode"),
    ("s" * 65, "at most 64"),
]
NO_INTEGERS: list[Any] = [
    1.5, float(2**40), 1e300, float("nan"), float("inf"), True, False, None, [], [WIDE], {},
    "", "abc", "12a", " 5", "5 ", "-5", "+5", "1.0", "1e3", "0x10", "1_0", "１２", "५", "\0",  # noqa: RUF001
    "5\0", "05", "00", "9" * 20, "9" * 5000,
]  # fmt: skip
IDS: list[tuple[Any, str]] = [
    *((value, "greater") for value in (0, "0", -1, -(2**31), -(2**63) - 1)),
    *((value, "less") for value in (2**63, str(2**63), 2**64, 10**40)),
    *((value, "integer") for value in NO_INTEGERS),
]
CLONE = "clone_database"
CASES = [
    *((action, "uid", value, part) for action in (CREATE, DROP, MODIFY) for value, part in UIDS),
    *((action, "space_id", *case) for action in (CREATE, DROP, MODIFY) for case in SPACES),
    *((CREATE, "database_name", *case) for case in NAMES),
    *((action, "description", *case) for action in (CREATE, MODIFY) for case in DESCRIPTIONS),
    *((action, "database_id", *case) for action in (DROP, MODIFY, CLONE) for case in IDS),
]


@pytest.mark.parametrize(
    ("action", "field", "value", "part"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1]}-{ascii(case[2])[:24]}-{number}")
        for number, case in enumerate(CASES)
    ],
)
async def test_a_bad_value_is_refused_with_its_field(
    api: Api, uid: str, action: str, field: str, value: Any, part: str
) -> None:
    valid: dict[str, Any] = {"database_id": WIDE}
    if action == CREATE:
        valid = {"database_name": "orders"}
    if action == CLONE:
        valid["new_database_name"] = "copy"
    # json.dumps escapes lone surrogates as any client could, where httpx would refuse them.
    body = json.dumps({"uid": uid, **valid, field: value})
    answer = await api.send("POST", action, content=body.encode(), headers=JSON)
    assert_invalid(api, answer, 422, field)
    assert part in answer.message


async def test_a_surrogate_in_raw_bytes_is_refused(api: Api) -> None:
    body = b'{"uid": "\xed\xa0\x80", "database_name": "orders"}'
    answer = await api.send("POST", CREATE, content=body, headers=JSON)
    assert_invalid(api, answer, 422, "uid")


async def test_every_bad_field_is_named(api: Api) -> None:
    answer = await api.post(CREATE, database_name="!", uid="", space_id=5, description=[])
    for field in ("database_name", "uid", "space_id", "description"):
        assert_invalid(api, answer, 422, field)


@pytest.mark.parametrize(
    ("action", "missing"),
    [(CREATE, "database_name"), (DROP, "database_id"), (MODIFY, "database_id"), (CREATE, "uid"),
     (DROP, "uid"), (MODIFY, "uid")],
)  # fmt: skip
async def test_a_missing_field_is_named(api: Api, uid: str, action: str, missing: str) -> None:
    valid = {"database_name": "orders"} if action == CREATE else {"database_id": WIDE}
    body = {"uid": uid, **valid}
    del body[missing]
    assert_invalid(api, await api.post(action, body), 422, missing)


@pytest.mark.parametrize("action", [CREATE, DROP, MODIFY])
@pytest.mark.parametrize("name", ["app_id", "Uid", "database_id_str", "", "\0", "名", "\ud800"])
async def test_unknown_fields_are_refused_on_v1(
    admin: Api, uid: str, action: str, name: str
) -> None:
    valid = {"database_name": "orders"} if action == CREATE else {"database_id": WIDE}
    body = json.dumps({"uid": uid, **valid, name: 1}).encode()
    answer = await admin.send("POST", action, content=body, headers=JSON)
    # What has no form in UTF-8 can't be named.
    assert_invalid(admin, answer, 422, "body" if name == "\ud800" else name)


@pytest.mark.parametrize(
    "fields", [{f"x{number}": 1 for number in range(10_000)}, {"x" * 100_000: 1}], ids=len
)
async def test_the_answer_to_any_number_of_mistakes_is_short(
    admin: Api, fields: dict[str, Any]
) -> None:
    answer = await admin.post(CREATE, fields)
    assert_invalid(admin, answer, 422)
    assert len(json.dumps(answer.body)) < 20_000


async def test_of_a_field_given_twice_the_last_counts(api: Api, uid: str) -> None:
    body = f'{{"uid": "other", "database_name": "!", "uid": "{uid}", "database_name": "a"}}'
    created = await api.send("POST", CREATE, content=body.encode(), headers=JSON)
    assert created.code == 0, created.body
    body = f'{{"database_id": {created.data["database_id"]}, "uid": "{uid}", "uid": ""}}'
    assert_invalid(api, await api.send("POST", DROP, content=body.encode(), headers=JSON), 422)


@pytest.mark.parametrize("text", ["[]", '["uid"]', '"uid"', "null", "5", "1.5", "true", ""])
@pytest.mark.parametrize("action", [CREATE, DROP])
async def test_a_body_that_is_no_object_is_refused(api: Api, action: str, text: str) -> None:
    answer = await api.send("POST", action, content=text.encode(), headers=JSON)
    assert_invalid(api, answer, 422, "body")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"uid": "u", "database_name": "a"',
        b'{"uid": "u", "database_name": "a"}}',
        b'{"uid": "u",}',
        b"{'uid': 'u'}",
        b'{uid: "u"}',
        b'{"uid": "\\ud8"}',
        b'{"uid": "\n"}',
        b"uid=u&database_name=a",
        b"<uid>u</uid>",
        b"\0",
        b'{"uid": "\xff\xfe"}',
        b"\xff",
        b'{"uid": "\xc0\xaf"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"uid": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"1" * 5_000,
        b'{"database_id": ' + b"1" * 5_000 + b"}",
        b'{"uid": "u", "unknown": -' + b"9" * 5_000 + b"}",
    ],
    ids=lambda content: repr(content[:28]),
)
@pytest.mark.parametrize("action", [CREATE, DROP])
async def test_an_unreadable_body_is_refused(api: Api, action: str, content: bytes) -> None:
    answer = await api.send("POST", action, content=content, headers=JSON)
    assert_invalid(api, answer, 400)


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
     "application/xml", "application/jsonp", "json", "text/json", "application/json/x", "*/*"],
)  # fmt: skip
async def test_another_content_type_is_refused(api: Api, uid: str, kind: str | None) -> None:
    content = json.dumps({"uid": uid, "database_name": "orders"}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await api.send("POST", CREATE, content=content, headers=headers)
    assert_invalid(api, answer, 415)
    assert "application/json" in answer.message


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"],
)
async def test_json_may_be_spelled_as_http_allows(api: Api, uid: str, kind: str) -> None:
    content = json.dumps({"uid": uid, "database_name": "orders"}).encode()
    answer = await api.send("POST", CREATE, content=content, headers={"Content-Type": kind})
    assert answer.code == 0, answer.body


async def chunks(total: int) -> AsyncIterator[bytes]:
    """A body whose length is not announced, in pieces."""
    for start in range(0, total, 65_536):
        yield b" " * min(65_536, total - start)


@pytest.mark.parametrize("path", [CREATE, "no_such_action"])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(api: Api, announced: bool, path: str) -> None:
    size = 1_048_577
    content = b" " * size if announced else chunks(size)
    answer = await api.send("POST", path, content=content, headers=JSON)
    if path == CREATE:
        assert_invalid(api, answer, 413)
        assert "1048576" in answer.message
    else:
        assert (answer.status, answer.code) == (404, 25001)


@pytest.mark.parametrize("length", ["99999999999999999999", "1048577"])
async def test_a_body_announced_too_large_is_not_awaited(api: Api, length: str) -> None:
    headers = {**JSON, "Content-Length": length}
    assert_invalid(api, await api.send("POST", CREATE, content=b"{}", headers=headers), 413)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_of_exactly_the_limit_is_read(api: Api, uid: str, announced: bool) -> None:
    body = json.dumps({"uid": uid, "database_name": "orders"}).encode().ljust(1_048_576)

    async def whole() -> AsyncIterator[bytes]:
        yield body

    content = body if announced else whole()
    answer = await api.send("POST", CREATE, content=content, headers=JSON)
    assert answer.code == 0, answer.body


@pytest.mark.parametrize(
    ("path", "field"),
    [
        *((f"{path}s/{value}", f"{path}_id") for path in ("database", "operation") for value in
          ("abc", "0", "-1", "%2B1", "1.0", "1e3", "0x1", "01", "1_0", "true", "%201", "1%20",
           "%20", "%00", "%F0%9F%98%80", "%EF%BC%91", "%D9%A1", "1%0A", str(2**63), "9" * 20,
           "9" * 5000)),
        *((f"databases?limit={value}", "limit") for value in
          ("0", "101", "-1", "ten", "1.5", "", "true", "9" * 5000)),
        *((f"databases?cursor={value}", "cursor") for value in
          ("", "zz", "-1", "0", "f" * 17, "%00", "x" * 101, "%ED%A0%80")),
        *((f"databases?uid={value}", "uid") for value in
          ("", "%00", "a%40", "u" * 65, "%E4%B8%AD")),
        *((f"databases?space_id={value}", "space_id") for value in ("%00", "s" * 65)),
        *((f"databases?name_prefix={value}", "name_prefix") for value in ("%00", "a" * 21)),
        ("databases?unknown=1", "unknown"),
    ],
    ids=lambda value: str(value)[:32],
)  # fmt: skip
async def test_bad_parameters_of_reads_are_refused(admin: Api, path: str, field: str) -> None:
    assert_invalid(admin, await admin.send("GET", path), 422, field)


@pytest.mark.parametrize("character", ["u", "é", "😀", "-", "."])
@pytest.mark.parametrize("length", [1, 64])
async def test_a_uid_of_1_and_of_64_characters_fits(api: Api, character: str, length: int) -> None:
    owner = character * length
    database_id = await api.create("orders", uid=owner)
    assert (await api.post(DROP, database_id=database_id, uid=owner)).code == 0


@pytest.mark.parametrize("name", ["a", "Z", "a" * 20, "A_9" * 6 + "_x", "select", "x__"])
async def test_a_name_of_1_to_20_characters_fits(api: Api, uid: str, name: str) -> None:
    assert await api.create(name, uid=uid) > 2**31


@pytest.mark.parametrize("description", ["", "d" * 200, "😀" * 200, "\n\t'\"\\;--$1 :x %s {}"])
async def test_a_description_of_200_characters_is_kept(
    api: Api, admin: Api, uid: str, description: str
) -> None:
    database_id = await api.create("orders", uid=uid, description=description)
    assert (await admin.get(f"databases/{database_id}")).data["description"] == description
    changed = description[::-1]
    body = {"database_id": database_id, "uid": uid, "description": changed}
    assert (await api.post(MODIFY, body)).code == 0
    assert (await admin.get(f"databases/{database_id}")).data["description"] == changed


@pytest.mark.parametrize("text", ["1e3", "1.0", "1E+3", "12345678901234567890.0", "-0.0", "1e400"])
async def test_a_number_with_a_fraction_or_an_exponent_is_no_id(
    api: Api, uid: str, text: str
) -> None:
    body = f'{{"uid": "{uid}", "database_id": {text}}}'.encode()
    refused = await api.send("POST", DROP, content=body, headers=JSON)
    assert_invalid(api, refused, 422, "database_id")
    assert "integer from 1 to 2^63 - 1" in refused.message


@pytest.mark.parametrize("spell", [int, str])
async def test_an_id_may_be_a_number_or_its_digits(
    api: Api, admin: Api, uid: str, spell: type[int] | type[str]
) -> None:
    database_id = spell(await api.create("orders", uid=uid))
    address = {"database_id": database_id, "uid": uid}
    assert (await api.post(MODIFY, {**address, "description": "d"})).code == 0
    cloned = await api.post(CLONE, {**address, "new_database_name": "copy"})
    assert cloned.code == 0, cloned.body
    assert (await admin.get(f"databases/{database_id}")).data["description"] == "d"
    assert (await api.post(DROP, address)).code == 0
    assert (await api.post(DROP, database_id=spell(cloned.data["database_id"]), uid=uid)).code == 0


@pytest.mark.parametrize("widest", [1, 2**63 - 1, str(2**63 - 1)])
async def test_an_id_of_64_bits_is_looked_for(admin: Api, uid: str, widest: int | str) -> None:
    assert (await admin.post(DROP, database_id=widest, uid=uid)).code == 25013
