"""The drop-in mount, whose clients read `code`, `message` and `data` and nothing else."""

import json
import secrets
from typing import Any

import pytest

from tests.api import Answer, Api

ACTIONS = ("create_database", "drop_database", "modify_db_description")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def space() -> str:
    """A space that no other test uses."""
    return f"s{secrets.token_hex(6)}"


async def row(connection: Any, database_id: int) -> dict[str, Any]:
    found = await connection.fetchrow(
        "SELECT uid, space_id, description, create_by, update_by, deleted_at"
        " FROM pgtwin.database_meta WHERE id = $1",
        database_id,
    )
    return dict(found)


def assert_refused(answer: Answer, code: int) -> None:
    """HTTP 200, the code, and nothing in the envelope that the clients do not know."""
    assert (answer.status, answer.code) == (200, code), answer.body
    assert set(answer.body) == {"code", "message", "sid"}
    assert answer.message


async def test_create_answers_the_database_id_alone(drop_in: Api, uid: str) -> None:
    created = await drop_in.post("create_database", database_name="orders", uid=uid)
    assert created.status == 200
    assert set(created.body) == {"code", "message", "data", "sid"}
    assert created.code == 0
    assert set(created.data) == {"database_id"}
    assert type(created.data["database_id"]) is int
    assert 2**31 <= created.data["database_id"] < 2**63


@pytest.mark.parametrize("action", ["drop_database", "modify_db_description"])
async def test_actions_without_a_result_have_no_data(drop_in: Api, uid: str, action: str) -> None:
    database_id = await drop_in.create("orders", uid=uid)
    done = await drop_in.post(action, database_id=database_id, uid=uid)
    assert (done.status, done.code) == (200, 0)
    assert set(done.body) == {"code", "message", "sid"}


@pytest.mark.parametrize(
    ("action", "fields", "code"),
    [
        ("create_database", {"database_name": "0rders"}, 25000),
        ("drop_database", {"database_id": 2**62}, 25013),
        ("modify_db_description", {"database_id": 2**62}, 25013),
        ("drop_database", {"database_id": 2**62, "space_id": "no-such-space"}, 25015),
        ("modify_db_description", {"database_id": 2**62, "space_id": "no-such-space"}, 25015),
    ],
)
async def test_errors_answer_200_with_the_code_in_the_envelope(
    drop_in: Api, uid: str, action: str, fields: dict[str, Any], code: int
) -> None:
    assert_refused(await drop_in.post(action, {"uid": uid, **fields}), code)


@pytest.mark.parametrize(
    ("headers", "sid"),
    [({}, None), ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE)],
)
@pytest.mark.parametrize("name", ["orders", "!"])
async def test_the_sid_is_the_request_id_header(
    drop_in: Api, uid: str, headers: dict[str, str], sid: str | None, name: str
) -> None:
    body = {"database_name": name, "uid": uid}
    answer = await drop_in.send("POST", "create_database", json=body, headers=headers)
    assert answer.headers["X-Request-ID"] == answer.body["sid"] != ""
    assert sid in (None, answer.body["sid"])


async def test_every_request_has_a_sid_of_its_own(drop_in: Api) -> None:
    answers = [await drop_in.post("drop_database", {}) for _ in range(3)]
    assert len({answer.body["sid"] for answer in answers}) == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "no_such_action", 404),
        ("POST", "", 404),
        ("GET", "databases", 404),
        ("GET", f"databases/{2**62}", 404),
        ("POST", "create_database/", 404),
        ("GET", "create_database", 405),
        ("PUT", "drop_database", 405),
        ("DELETE", "modify_db_description", 405),
        ("OPTIONS", "create_database", 405),
    ],
)
async def test_unknown_paths_and_methods_keep_their_status(
    drop_in: Api, method: str, path: str, status: int
) -> None:
    response = await drop_in.client.request(method, f"{drop_in.mount}/{path}")
    assert response.status_code == status
    assert set(response.json()) == {"code", "message", "sid"}
    assert response.headers["X-Request-ID"] == response.json()["sid"]


async def test_a_wrong_method_names_the_right_one(drop_in: Api) -> None:
    assert (await drop_in.send("GET", "create_database")).headers["Allow"] == "POST"


async def test_unknown_fields_are_ignored(drop_in: Api, uid: str) -> None:
    extra = {"app_id": "a", "env": 5, "nested": {"x": [None]}, "": 1, "\0": 1, "\ud800": "\ud800"}

    async def post(action: str, **fields: Any) -> Answer:
        content = json.dumps({"uid": uid, **fields, **extra}).encode()
        headers = {"Content-Type": "application/json"}
        return await drop_in.send("POST", action, content=content, headers=headers)

    created = await post("create_database", database_name="orders")
    assert created.code == 0, created.body
    for action in ("modify_db_description", "drop_database"):
        assert (await post(action, database_id=created.data["database_id"])).code == 0


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("missing", [{}, {"uid": None}])
async def test_uid_is_required(drop_in: Api, action: str, missing: dict[str, Any]) -> None:
    fields = {"database_name": "orders"} if action == "create_database" else {"database_id": 2**62}
    refused = await drop_in.post(action, {**fields, **missing})
    assert_refused(refused, 25000)
    assert "uid" in refused.message


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("number", [0, 7, 7.5])
async def test_a_number_is_no_space(drop_in: Api, uid: str, action: str, number: float) -> None:
    fields = {"database_name": "orders"} if action == "create_database" else {"database_id": 2**62}
    refused = await drop_in.post(action, {"uid": uid, "space_id": number, **fields})
    assert_refused(refused, 25000)
    assert "space_id" in refused.message


@pytest.mark.parametrize("none", [{}, {"space_id": None}, {"space_id": ""}])
async def test_no_space_is_null_or_empty_or_absent(
    drop_in: Api, admin_connection: Any, uid: str, none: dict[str, Any]
) -> None:
    database_id = await drop_in.create("orders", uid=uid, **none)
    assert (await row(admin_connection, database_id))["space_id"] == ""
    for spelled in ({}, {"space_id": None}, {"space_id": ""}):
        taken = await drop_in.post(
            "create_database", {"database_name": "orders", "uid": uid, **spelled}
        )
        assert_refused(taken, 25010)
    body = {"database_id": database_id, "uid": uid, **none}
    assert (await drop_in.post("drop_database", body)).code == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer $a-key-of-the-predecessor"},
        {"Authorization": "Bearer $"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer pgt_000000000000_" + "0" * 64},
        {"X-Consumer-Username": ""},
        {"X-Consumer-Username": "a" * 64},
    ],
)
async def test_headers_of_the_clients_do_no_harm(
    drop_in: Api, uid: str, headers: dict[str, Any]
) -> None:
    body = {"database_name": "orders", "uid": uid}
    answer = await drop_in.send("POST", "create_database", json=body, headers=headers)
    assert answer.code == 0, answer.body


@pytest.mark.parametrize("name", ["a" * 65, "app:alice", "a\tb"])
async def test_a_name_that_no_application_can_have_is_refused(
    drop_in: Api, uid: str, name: str
) -> None:
    body = {"database_name": "orders", "uid": uid}
    headers = {"X-Consumer-Username": name}
    refused = await drop_in.send("POST", "create_database", json=body, headers=headers)
    assert_refused(refused, 25000)
    assert "X-Consumer-Username" in refused.message


@pytest.mark.parametrize("name", ["app1", "", "应用"])
async def test_the_application_is_in_the_audit(
    drop_in: Api, admin_connection: Any, uid: str, name: str
) -> None:
    body = {"database_name": "orders", "uid": uid}
    headers: Any = {"X-Consumer-Username": name.encode()}
    await drop_in.send("POST", "create_database", json=body, headers=headers)
    entries = await admin_connection.fetch(
        "SELECT action, app_id, key_id FROM pgtwin.audit_entry WHERE uid = $1", uid
    )
    assert [tuple(entry) for entry in entries] == [("create_database", name, None)]


async def test_the_first_creator_owns_the_space(
    drop_in: Api, admin_connection: Any, uid: str, space: str
) -> None:
    member = f"{uid}b"
    first = await drop_in.create("first", uid=uid, space_id=space)
    second = await drop_in.create("second", uid=member, space_id=space)
    owned, made = await row(admin_connection, first), await row(admin_connection, second)
    assert (owned["uid"], owned["create_by"]) == (uid, uid)
    assert (made["uid"], made["create_by"], made["update_by"]) == (uid, member, member)


async def test_an_emptied_space_belongs_to_the_next_creator(
    drop_in: Api, admin_connection: Any, uid: str, space: str
) -> None:
    first = await drop_in.create("first", uid=uid, space_id=space)
    await drop_in.post("drop_database", database_id=first, uid=uid, space_id=space)
    second = await drop_in.create("second", uid=f"{uid}b", space_id=space)
    assert (await row(admin_connection, second))["uid"] == f"{uid}b"


async def test_any_member_changes_and_drops_what_is_in_the_space(
    drop_in: Api, admin_connection: Any, uid: str, space: str
) -> None:
    member = f"{uid}b"
    first = await drop_in.create("first", uid=uid, space_id=space)
    second = await drop_in.create("second", uid=member, space_id=space)
    for database_id in (second, first):
        address = {"database_id": database_id, "uid": member, "space_id": space}
        changed = await drop_in.post("modify_db_description", {**address, "description": "ours"})
        assert changed.code == 0, changed.body
        seen = await row(admin_connection, database_id)
        assert (seen["uid"], seen["description"], seen["update_by"]) == (uid, "ours", member)
        assert (await drop_in.post("drop_database", address)).code == 0
        assert (await row(admin_connection, database_id))["deleted_at"] is not None


@pytest.mark.parametrize("action", ["drop_database", "modify_db_description"])
async def test_without_the_space_only_the_owner_matches(
    drop_in: Api, uid: str, space: str, action: str
) -> None:
    member = f"{uid}b"
    await drop_in.create("first", uid=uid, space_id=space)
    second = await drop_in.create("second", uid=member, space_id=space)
    assert_refused(await drop_in.post(action, database_id=second, uid=member), 25013)
    assert (await drop_in.post(action, database_id=second, uid=uid)).code == 0


@pytest.mark.parametrize("action", ["drop_database", "modify_db_description"])
async def test_a_space_must_exist_and_contain_the_database(
    drop_in: Api, uid: str, space: str, action: str
) -> None:
    personal = await drop_in.create("orders", uid=uid)
    address = {"database_id": personal, "uid": uid}
    assert_refused(await drop_in.post(action, {**address, "space_id": space}), 25015)
    await drop_in.create("orders", uid=uid, space_id=space)
    assert_refused(await drop_in.post(action, {**address, "space_id": space}), 25015)
    assert_refused(await drop_in.post(action, {**address, "space_id": f"{space}x"}), 25015)


@pytest.mark.parametrize("action", ["drop_database", "modify_db_description"])
async def test_anothers_or_a_dropped_database_does_not_exist(
    drop_in: Api, uid: str, action: str
) -> None:
    database_id = await drop_in.create("orders", uid=uid)
    assert_refused(await drop_in.post(action, database_id=database_id, uid=f"{uid}b"), 25013)
    assert_refused(await drop_in.post(action, database_id=database_id, uid=uid.upper()), 25013)
    assert (await drop_in.post("drop_database", database_id=database_id, uid=uid)).code == 0
    assert_refused(await drop_in.post(action, database_id=database_id, uid=uid), 25013)


async def test_a_name_is_unique_per_uid_and_space(drop_in: Api, uid: str, space: str) -> None:
    member = f"{uid}b"
    personal = {"database_name": "orders", "uid": uid}
    shared = {**personal, "space_id": space}
    free: tuple[dict[str, Any], ...] = (
        personal,
        shared,
        {**personal, "uid": member},
        {**personal, "space_id": f"{space}x"},
        {**personal, "database_name": "Orders"},
    )
    for body in free:
        assert (await drop_in.post("create_database", body)).code == 0
    # The member's would belong to the space's owner, who has one of this name.
    for body in (*free, {**shared, "uid": member}):
        assert_refused(await drop_in.post("create_database", body), 25010)


async def test_a_description_without_a_value_is_cleared(
    drop_in: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await drop_in.create("orders", uid=uid, description="before")
    for fields, expected in (({"description": "新的"}, "新的"), ({"description": None}, None)):
        body = {"database_id": database_id, "uid": uid, **fields}
        assert (await drop_in.post("modify_db_description", body)).code == 0
        assert (await row(admin_connection, database_id))["description"] == expected
