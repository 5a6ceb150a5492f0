"""Expiry, labels and protection on the wire: what is taken, refused, shown and found."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memory.caller import Scope
from memory.services import Services
from tests.api import Answer, Api
from tests.conftest import control_database, running
from tests.integration.test_listing import ApiFor
from tests.integration.test_transactions import admin_api

INVALID, PROTECTED, NOT_FOUND, NO_SPACE, NOT_ALLOWED = 25000, 25004, 25013, 25015, 25020
YEARS = 3653 * 86_400
# Tomorrow, as every test worker has it.
FUTURE = f"{datetime.now(UTC).date() + timedelta(days=2)}T00:00:00+00:00"
PAST = "2024-01-01T00:00:00Z"


async def described(api: Api, database_id: int) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"databases/{database_id}")).data
    return found


async def names(api: Api, uid: str, **query: Any) -> list[str]:
    page = await api.get("databases", uid=uid, **query)
    return [row["name"] for row in page.data["databases"]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# What is said when a database is made.


@pytest.mark.parametrize("action", ["create_database", "clone_database"])
async def test_a_new_one_has_what_was_said(admin: Api, uid: str, action: str) -> None:
    body: dict[str, Any] = {"uid": uid, "database_name": "new"}
    if action == "clone_database":
        source = await admin.create("source", uid=uid, labels={"of": "source"}, ttl_seconds=600)
        body = {"uid": uid, "database_id": source, "new_database_name": "new"}
    before = datetime.now(UTC)
    said: dict[str, Any] = {
        "ttl_seconds": 3600,
        "labels": {"suite": "é", "ci/run": ""},
        "protected": True,
    }
    made = await admin.post(action, {**body, **said})
    found = await described(admin, made.data["database_id"])
    assert (found["labels"], found["protected"]) == (said["labels"], True)
    left = moment(found["expires_at"]) - before
    assert timedelta(seconds=3599) < left < timedelta(seconds=3660)
    [row] = (await admin.get("databases", uid=uid, name_prefix="new")).data["databases"]
    shared = row.keys() & found.keys()
    assert {key: row[key] for key in shared} == {key: found[key] for key in shared}
    body |= (
        {"database_name": "other"} if "database_name" in body else {"new_database_name": "other"}
    )
    plain = await described(admin, (await admin.post(action, body)).data["database_id"])
    assert (plain["labels"], plain["protected"], plain["expires_at"]) == ({}, False, None)
    body |= (
        {"database_name": "third"} if "database_name" in body else {"new_database_name": "third"}
    )
    dated = await admin.post(action, {**body, "expires_at": FUTURE})
    assert moment((await described(admin, dated.data["database_id"]))["expires_at"]) == moment(
        FUTURE
    )


ENDINGS: list[dict[str, Any]] = [
    {"ttl_seconds": 0},
    {"ttl_seconds": -1},
    {"ttl_seconds": YEARS + 1},
    {"ttl_seconds": "soon"},
    {"ttl_seconds": 1.5},
    {"expires_at": PAST},
    {"expires_at": "2099-01-01T00:00:00Z"},
    {"expires_at": FUTURE[:19]},
    {"expires_at": FUTURE[:10]},
    {"expires_at": "tomorrow"},
    {"expires_at": 4_000_000_000},
    {"expires_at": "4000000000"},
    {"expires_at": FUTURE, "ttl_seconds": 5},
]
LABELS: list[Any] = [
    {"": "x"},
    {"-a": "x"},
    {"a-": "x"},
    {"a b": "x"},
    {"a=b": "x"},
    {"é": "x"},
    {"a" * 64: "x"},
    {"a": "x" * 64},
    {"a": "\n"},
    {"a": "\x00"},
    {"a": "\x85"},
    {"a": None},
    {"a": 1},
    {"a": ["x"]},
    {f"k{number}": "" for number in range(33)},
    ["a"],
    "a=b",
    None,
]
CALLS = ("create_database", "clone_database", "set_expiration", "set_labels")


async def call(api: Api, action: str, uid: str, fields: dict[str, Any]) -> Answer:
    body: dict[str, Any] = {"uid": uid, **fields}
    if action == "create_database":
        return await api.post(action, {"database_name": "n", **body})
    body["database_id"] = 2**40
    if action == "clone_database":
        body["new_database_name"] = "n"
    return await api.post(action, body)


@pytest.mark.parametrize("fields", ENDINGS, ids=str)
async def test_an_end_that_is_none_is_refused(admin: Api, uid: str, fields: dict[str, Any]) -> None:
    for action in CALLS[:3]:
        refused = await call(admin, action, uid, fields)
        assert (refused.status, refused.code) == (422, INVALID), (action, refused.body)
    assert await names(admin, uid) == []


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: repr(labels)[:40])
async def test_labels_that_are_none_are_refused(admin: Api, uid: str, labels: Any) -> None:
    for action in ("create_database", "clone_database", "set_labels", "drop_databases"):
        refused = await call(admin, action, uid, {"labels": labels})
        if action == "drop_databases":
            refused = await admin.post(action, uid=uid, labels=labels)
        assert (refused.status, refused.code) == (422, INVALID), (action, refused.body)


async def test_limits_are_taken(admin: Api, uid: str) -> None:
    labels = {f"k{number}" + "x" * (63 - len(f"k{number}")): "v" * 63 for number in range(32)}
    made = await admin.create("n", uid=uid, labels=labels, ttl_seconds=YEARS)
    assert (await described(admin, made))["labels"] == labels
    [key, *_] = labels
    assert await names(admin, uid, label=[f"{key}={'v' * 63}"]) == ["n"]


@pytest.mark.parametrize("protected", ["maybe", 2, None, {}])
async def test_protection_is_yes_or_no(admin: Api, uid: str, protected: Any) -> None:
    for action in ("create_database", "set_protection"):
        refused = await call(admin, action, uid, {"protected": protected})
        assert refused.code == INVALID


# What is changed later.


async def test_an_expiry_is_set_moved_and_cleared(admin: Api, uid: str) -> None:
    database_id = await admin.create("n", uid=uid)
    address = {"database_id": database_id, "uid": uid}
    for change, expected in (
        ({"expires_at": FUTURE}, moment(FUTURE)),
        ({"ttl_seconds": 600}, None),
        ({"expires_at": None}, None),
    ):
        answer = await admin.post("set_expiration", {**address, **change})
        assert answer.data.keys() == {"database_id", "database_id_str", "expires_at"}
        assert answer.data["database_id_str"] == str(database_id)
        shown = (await described(admin, database_id))["expires_at"]
        assert shown == answer.data["expires_at"]
        if expected is not None:
            assert moment(shown) == expected
        assert (shown is None) == (change == {"expires_at": None})
    neither = await admin.post("set_expiration", address)
    assert (neither.status, neither.code) == (422, INVALID)
    assert "expires_at" in neither.message


async def test_labels_are_replaced_whole(admin: Api, uid: str) -> None:
    database_id = await admin.create("n", uid=uid, labels={"a": "1", "b": "2"})
    for labels in ({"b": "3"}, {}):
        answer = await admin.post("set_labels", database_id=database_id, uid=uid, labels=labels)
        assert answer.data == {
            "database_id": database_id,
            "database_id_str": str(database_id),
            "labels": labels,
        }
        assert (await described(admin, database_id))["labels"] == labels


async def test_what_is_protected_is_not_dropped(admin: Api, drop_in: Api, uid: str) -> None:
    database_id = await admin.create("n", uid=uid, labels={"a": "1"})
    address = {"database_id": database_id, "uid": uid}
    answer = await admin.post("set_protection", {**address, "protected": True})
    assert answer.data == {
        "database_id": database_id,
        "database_id_str": str(database_id),
        "protected": True,
    }
    for purge in (False, True):
        refused = await admin.post("drop_database", {**address, "purge": purge})
        assert (refused.status, refused.code) == (409, PROTECTED)
        assert refused.error["type"] == "protected"
    elsewhere = await drop_in.post("drop_database", address)
    assert (elsewhere.status, elsewhere.code) == (200, PROTECTED)
    bulk = await admin.post("drop_databases", uid=uid, labels={"a": "1"})
    ref = {"database_id": database_id, "database_id_str": str(database_id)}
    assert bulk.data == {"dropped": [], "protected": [ref], "more": False}
    assert (await admin.post("set_protection", {**address, "protected": False})).code == 0
    assert (await admin.post("drop_database", address)).code == 0


@pytest.mark.parametrize(
    "action", ["set_expiration", "set_labels", "set_protection", "restore_database"]
)
async def test_who_may_change_a_database_may_change_its_life(
    admin: Api, api_for: ApiFor, uid: str, action: str
) -> None:
    space = f"s{uid}"
    own = await admin.create("own", uid=uid)
    shared = await admin.create("shared", uid=uid, space_id=space)
    changes: dict[str, dict[str, Any]] = {
        "set_expiration": {"ttl_seconds": 600},
        "set_labels": {"labels": {"a": "b"}},
        "set_protection": {"protected": True},
        "restore_database": {},
    }
    fields = changes[action]
    # What is not dropped can't be restored, by whoever may.
    allowed = {"restore_database": 25005}.get(action, 0)
    missing = 25005 if allowed else NOT_FOUND
    owner, stranger = await api_for(uid), await api_for(f"{uid}b")
    reader = await api_for(uid, Scope.DATABASES_READ)
    member = await api_for(f"{uid}c", spaces=(space,))
    assert (await owner.post(action, {"database_id": own, **fields})).code == allowed
    assert (await stranger.post(action, {"database_id": own, **fields})).code == missing
    assert (await reader.post(action, {"database_id": own, **fields})).code == NOT_ALLOWED
    address = {"database_id": shared, "space_id": space}
    assert (await member.post(action, {**address, **fields})).code == allowed
    assert (await stranger.post(action, {**address, **fields})).code == NOT_ALLOWED


# Finding and dropping by labels.


@pytest.fixture
async def suites(admin: Api, uid: str) -> list[int]:
    """Databases `n0` to `n5`, half of them of a suite each."""
    return [
        await admin.create(
            f"n{number}", uid=uid, labels={"suite": "ab"[number % 2], "run": str(number)}
        )
        for number in range(6)
    ]


@pytest.mark.usefixtures("suites")
async def test_labels_filter_a_listing_and_its_pages(admin: Api, uid: str) -> None:
    await admin.create("plain", uid=uid)
    for label, expected in (
        (["suite=a"], ["n4", "n2", "n0"]),
        (["suite"], ["n5", "n4", "n3", "n2", "n1", "n0"]),
        (["suite=a", "run"], ["n4", "n2", "n0"]),
        (["suite=a", "run=2"], ["n2"]),
        (["suite=a", "suite=b"], []),
        (["suite="], []),
        (["nothing"], []),
        (["run=%"], []),
    ):
        assert await names(admin, uid, label=label) == expected, label
    found, cursor = [], None
    while True:
        query = {"label": ["suite=b"], "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await admin.get("databases", uid=uid, **query)).data
        found.append([row["name"] for row in page["databases"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [["n5", "n3"], ["n1"]]
    for wrong in ("", "=x", "-a=b", "a" * 64, "a=\n", "a=" + "x" * 64):
        refused = await admin.get("databases", uid=uid, label=[wrong])
        assert (refused.status, refused.code) == (422, INVALID), wrong


async def test_labels_drop_what_carries_all_of_them(
    admin: Api, api_for: ApiFor, uid: str, suites: list[int]
) -> None:
    await admin.create("n0", uid=f"{uid}b", labels={"suite": "a"})
    protected = {"database_id": suites[2], "uid": uid, "protected": True}
    assert (await admin.post("set_protection", protected)).code == 0
    owner = await api_for(uid)
    done = await owner.post("drop_databases", labels={"suite": "a"})
    assert [each["database_id"] for each in done.data["dropped"]] == [suites[0], suites[4]]
    assert [each["database_id_str"] for each in done.data["protected"]] == [str(suites[2])]
    assert done.data["more"] is False
    assert await names(admin, uid) == ["n5", "n3", "n2", "n1"]
    assert await names(admin, f"{uid}b") == ["n0"]
    none = await owner.post("drop_databases", labels={"suite": "a", "run": "1"})
    assert none.data == {"dropped": [], "protected": [], "more": False}
    reader = await api_for(uid, Scope.DATABASES_READ)
    assert (await reader.post("drop_databases", labels={"suite": "b"})).code == NOT_ALLOWED
    empty = await owner.post("drop_databases", labels={})
    assert (empty.status, empty.code) == (422, INVALID)
    space = await admin.post("drop_databases", uid=uid, space_id="nowhere", labels={"suite": "b"})
    assert space.code == NO_SPACE


async def test_a_spaces_databases_are_dropped_by_its_members(
    admin: Api, api_for: ApiFor, uid: str
) -> None:
    space = f"s{uid}"
    labels = {"suite": "a"}
    await admin.create("own", uid=uid, labels=labels)
    shared = await admin.create("shared", uid=uid, space_id=space, labels=labels)
    member = await api_for(f"{uid}b", spaces=(space,))
    done = await member.post("drop_databases", labels=labels, space_id=space)
    assert [each["database_id"] for each in done.data["dropped"]] == [shared]
    assert await names(admin, uid) == ["own"]


@pytest.fixture(scope="module")
async def keeping(admin_url: str) -> AsyncIterator[tuple[Api, Services]]:
    """A service that keeps what is dropped."""
    async with (
        control_database(admin_url, drop_retention=600) as settings,
        running(settings) as app,
    ):
        api = await admin_api(app)
        yield api, app.state.services
        await api.client.aclose()


async def test_more_than_a_hundred_go_in_several_calls_also_at_once(
    keeping: tuple[Api, Services], uid: str
) -> None:
    api, _ = keeping
    ids = [await api.create(f"n{number}", uid=uid, labels={"a": "b"}) for number in range(120)]
    body = {"uid": uid, "labels": {"a": "b"}}
    first, second = await asyncio.gather(*(api.post("drop_databases", body) for _ in range(2)))
    gone = [each["database_id"] for call in (first, second) for each in call.data["dropped"]]
    assert sorted(gone) == ids
    sizes = {len(call.data["dropped"]): call.data["more"] for call in (first, second)}
    assert sizes == {100: True, 20: False}
    kept = await api.get("databases", uid=uid, include_dropped=True, limit=100, label=["a=b"])
    assert {row["status"] for row in kept.data["databases"]} == {"dropped"}
    assert len(kept.data["databases"]) == 100


async def test_what_does_not_fit_into_the_servers_locks_is_more(
    keeping: tuple[Api, Services], uid: str
) -> None:
    """Each takes some forty locks when it is dropped for good, and a part of all is taken."""
    api, services = keeping
    [locks] = await services.database.reading(
        lambda session: session.fetch(
            "SELECT current_setting('max_locks_per_transaction')::int"
            " * current_setting('max_connections')::int / 8 / 40 AS fit"
        )
    )
    number = min(locks["fit"] + 3, 60)
    ids = [await api.create(f"n{each}", uid=uid, labels={"a": "b"}) for each in range(number)]
    gone: list[int] = []
    more, calls = True, 0
    while more:
        answer = await api.post("drop_databases", uid=uid, labels={"a": "b"}, purge=True)
        assert answer.code == 0, answer.body
        gone += [each["database_id"] for each in answer.data["dropped"]]
        more, calls = answer.data["more"], calls + 1
    assert gone == ids
    assert calls == 1 + (number - 1) // max(1, locks["fit"])


async def test_the_drop_in_mount_knows_none_of_it(drop_in: Api, admin: Api, uid: str) -> None:
    made = await drop_in.post(
        "create_database",
        database_name="n",
        uid=uid,
        ttl_seconds="never",
        labels=5,
        protected="yes",
    )
    assert made.body.keys() == {"code", "message", "sid", "data"}
    assert made.data.keys() == {"database_id"}
    found = await described(admin, made.data["database_id"])
    assert (found["labels"], found["protected"], found["expires_at"]) == ({}, False, None)
    body = {"database_id": made.data["database_id"], "uid": uid, "purge": "maybe"}
    gone = await drop_in.post("drop_database", body)
    assert gone.body.keys() == {"code", "message", "sid"}
    for action in ("set_labels", "restore_database", "drop_databases"):
        assert (await drop_in.post(action, body)).status == 404


async def test_repeats_under_a_key_are_answered_as_the_first_time(admin: Api, uid: str) -> None:
    database_id = await admin.create("n", uid=uid, labels={"a": "b"})
    address = {"database_id": database_id, "uid": uid}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("set_expiration", {**address, "ttl_seconds": 600}),
        ("set_labels", {**address, "labels": {"a": "b"}}),
        ("set_protection", {**address, "protected": False}),
        ("drop_databases", {"uid": uid, "labels": {"a": "b"}}),
    ]
    for action, body in calls:
        headers = {"Idempotency-Key": f"{action}-{uid}"}
        first, again = [
            await admin.send("POST", action, json=body, headers=headers) for _ in range(2)
        ]
        assert first.code == 0
        assert first.data == again.data
        assert again.headers["Idempotency-Replayed"] == "true"
