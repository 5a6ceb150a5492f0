"""Who may make, see and end connections, and what is and is not told of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.postgres.locks import Lock, key_of
from core.settings import Settings
from memory.caller import USUAL, Scope
from memory.connections.schemas import ConnectionAddress
from memory.connections.tasks import drop_retired
from memory.doctor.service import drift
from memory.services import Services
from tests.api import Answer, Api, answer
from tests.conftest import MakeKey, http_client, running

ApiFor = Callable[..., Awaitable[Api]]
C = Scope.CONNECTIONS
ACTIONS = ("rotate_connection", "revoke_connection")
FIELDS = {"env": "prod", "connection_limit": 1}


async def made(api: Api, database_id: int, **fields: Any) -> dict[str, Any]:
    found = await api.post("create_connection", {"database_id": database_id, **FIELDS, **fields})
    assert found.code == 0, found.body
    data: dict[str, Any] = found.data
    return data


def assert_refused(found: Answer, status: int, kind: str) -> None:
    assert (found.status, found.error["type"]) == (status, kind), found.body


async def test_the_scope_is_needed_and_is_not_a_usual_one(
    admin: Api, api_for: ApiFor, uid: str
) -> None:
    assert C not in USUAL
    database_id = await admin.create("orders", uid=uid)
    connection = await made(admin, database_id, uid=uid)
    usual = await api_for(uid)
    refused = await usual.post("create_connection", database_id=database_id, **FIELDS)
    assert_refused(refused, 403, "not_authorized")
    assert_refused(await usual.get(f"databases/{database_id}/connections"), 403, "not_authorized")
    for action in ACTIONS:
        found = await usual.post(action, connection_id=connection["connection_id"])
        assert_refused(found, 403, "not_authorized")
    owner = await api_for(uid, C)
    assert (await made(owner, database_id))["mode"] == "read_write"


async def test_others_are_told_that_there_is_nothing(admin: Api, api_for: ApiFor, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    connection = await made(admin, database_id, uid=uid)
    other = await api_for(f"{uid}b", *Scope)
    stranger = await api_for(f"{uid}b", C)
    for caller in (stranger,):
        found = await caller.post("create_connection", database_id=database_id, **FIELDS)
        assert_refused(found, 404, "database_not_found")
        found = await caller.get(f"databases/{database_id}/connections")
        assert_refused(found, 404, "database_not_found")
        for action in ACTIONS:
            for connection_id in (connection["connection_id"], 2**62):
                found = await caller.post(action, connection_id=connection_id)
                assert_refused(found, 404, "connection_not_found")
            found = await caller.post(action, connection_id=2**62, uid=uid)
            assert_refused(found, 403, "not_authorized")
    assert other.mount == stranger.mount
    assert [each["status"] for each in await listed(admin, database_id)] == ["active"]


async def test_members_of_the_space_may_act(admin: Api, api_for: ApiFor, uid: str) -> None:
    space = f"s{uid}"
    database_id = await admin.create("orders", uid=uid, space_id=space)
    member = await api_for(f"{uid}m", C, spaces=(space,))
    connection = await made(member, database_id, space_id=space)
    assert len(await listed(member, database_id)) == 1
    stranger = await api_for(f"{uid}x", C)
    for action in ACTIONS:
        body = {"connection_id": connection["connection_id"], "space_id": space}
        assert_refused(await stranger.post(action, body), 403, "not_authorized")
        assert (await member.post(action, body)).code == 0
    personal = await made(admin, await admin.create("own", uid=uid), uid=uid)
    found = await member.post(
        "revoke_connection", connection_id=personal["connection_id"], space_id=space
    )
    assert_refused(found, 404, "space_not_found")


async def listed(api: Api, database_id: int, **query: Any) -> list[dict[str, Any]]:
    found = await api.get(f"databases/{database_id}/connections", **query)
    assert found.code == 0, found.body
    connections: list[dict[str, Any]] = found.data["connections"]
    return connections


async def test_the_list_has_pages_and_no_secret(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    connections = [await made(admin, database_id, uid=uid, name=f"c{n}") for n in range(3)]
    first = await admin.get(f"databases/{database_id}/connections", limit=2)
    assert [each["name"] for each in first.data["connections"]] == ["c2", "c1"]
    rest = await listed(admin, database_id, cursor=first.data["next_cursor"])
    assert [each["name"] for each in rest] == ["c0"]
    for each in connections:
        password = urlsplit(each["uri"]).password or ""
        assert password
        assert password not in str(first.body) + str(rest)
    found = await admin.get(f"databases/{database_id}/connections", cursor="x")
    assert_refused(found, 422, "invalid_request")


@pytest.mark.parametrize(
    "wrong",
    [
        {"env": "both"},
        {"env": None},
        {"mode": "admin"},
        {"ttl_seconds": 0},
        {"ttl_seconds": 10**12},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": "2030-01-01T00:00:00Z", "ttl_seconds": 5},
        {"connection_limit": 0},
        {"connection_limit": 100_000},
        {"name": "x" * 65},
        {"name": "a\0b"},
        {"database_id": 5, "colour": 1},
    ],
)
async def test_fields_are_checked(admin: Api, uid: str, wrong: dict[str, Any]) -> None:
    body = {"database_id": 2**62, "uid": uid, **FIELDS, **wrong}
    assert_refused(await admin.post("create_connection", body), 422, "invalid_request")


async def test_an_end_is_told_as_it_was_asked_for(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    wanted = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    connection = await made(admin, database_id, uid=uid, expires_at=wanted.isoformat())
    assert datetime.fromisoformat(connection["expires_at"]) == wanted
    assert (await made(admin, database_id, uid=uid))["expires_at"] is None


async def test_an_answer_that_is_given_again_has_no_uri(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    body = {"database_id": database_id, "uid": uid, **FIELDS}
    answers = []
    for _ in range(2):
        response = await admin.client.post(
            "/v1/create_connection", json=body, headers={"Idempotency-Key": f"once-{uid}"}
        )
        answers.append(answer(response))
    first, again = answers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.data.pop("uri").startswith("postgresql://")
    assert again.data.pop("uri") is None
    assert first.data == again.data
    stored = await admin_connection.fetchval(
        "SELECT convert_from(body, 'UTF8') FROM pgtwin.idempotency WHERE key = $1", f"once-{uid}"
    )
    assert "postgresql://" not in stored
    assert len(await listed(admin, database_id)) == 1


async def test_passwords_are_nowhere(
    admin: Api, admin_connection: Any, uid: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    database_id = await admin.create("orders", uid=uid)
    connection = await made(admin, database_id, uid=uid)
    rotated = await admin.post(
        "rotate_connection", connection_id=connection["connection_id"], uid=uid
    )
    await admin.post("revoke_connection", connection_id=connection["connection_id"], uid=uid)
    kept = ""
    for table in ("audit_entry", "connection", "retired_role", "idempotency"):
        rows = await admin_connection.fetch(f"SELECT t::text AS row FROM pgtwin.{table} t")
        kept += "".join(row["row"] for row in rows)
    for uri in (connection["uri"], rotated.data["uri"]):
        assert (urlsplit(uri).password or "-") not in kept + caplog.text
    actions = await admin_connection.fetch(
        "SELECT action, details FROM pgtwin.audit_entry WHERE database_id = $1 ORDER BY id",
        database_id,
    )
    assert [row["action"] for row in actions][1:] == [
        "create_connection",
        "rotate_connection",
        "revoke_connection",
    ]


async def test_connections_are_given_out_as_long_as_there_are_some(
    settings: Settings, make_key: MakeKey, uid: str, admin_connection: Any
) -> None:
    given = await admin_connection.fetchval(
        "SELECT coalesce(sum(connection_limit), 0) FROM pgtwin.connection c"
        " JOIN pgtwin.database_meta d ON d.id = database_id"
        " WHERE c.status = 'active' AND deleted_at IS NULL"
    )
    some = settings.model_copy(update={"connection_limit_total": given + 3, "connection_limit": 2})
    token = await make_key()
    async with running(some) as app, http_client(app, Authorization=f"Bearer {token}") as client:
        api = Api(client)
        database_id = await api.create("orders", uid=uid)
        default = await made(api, database_id, uid=uid, connection_limit=None)
        assert default["connection_limit"] == 2
        body = {"database_id": database_id, "uid": uid, **FIELDS}
        answers = await asyncio.gather(*(api.post("create_connection", body) for _ in range(5)))
        assert sorted(each.code for each in answers) == [0, *[25010] * 4]
        for each in answers:
            if each.code:
                assert_refused(each, 409, "connection_limit_reached")
        await api.post("revoke_connection", connection_id=default["connection_id"], uid=uid)
        assert (await api.post("create_connection", body)).code == 0
        await api.post("drop_database", database_id=database_id, uid=uid)


async def test_the_service_keeps_what_it_needs_itself(
    settings: Settings, make_key: MakeKey, uid: str
) -> None:
    greedy = settings.model_copy(update={"pool_max_overflow": 1000})
    token = await make_key()
    async with running(greedy) as app, http_client(app, Authorization=f"Bearer {token}") as client:
        api = Api(client)
        body = {"database_id": await api.create("orders", uid=uid), "uid": uid, **FIELDS}
        found = await api.post("create_connection", body)
        assert_refused(found, 409, "connection_limit_reached")
        assert found.message.startswith("The server has 0 connections")


async def test_a_create_that_is_cut_off_leaves_nothing(
    admin: Api, admin_connection: Any, services: Services, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    lock = (int(Lock.CONNECTIONS), key_of(""))
    await admin_connection.execute(f"SELECT pg_advisory_lock({lock[0]}, {lock[1]})")
    try:
        body = {"database_id": database_id, "uid": uid, **FIELDS}
        waiting = asyncio.create_task(admin.post("create_connection", body))
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            f" AND classid = {lock[0]} AND NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        async with asyncio.timeout(10):
            while not await admin_connection.fetchval(query):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert_refused(await waiting, 503, "database_unavailable")
    finally:
        await admin_connection.execute(f"SELECT pg_advisory_unlock({lock[0]}, {lock[1]})")
    assert await listed(admin, database_id) == []
    left = await admin_connection.fetchval(
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE $1", f"d{database_id}_c%"
    )
    assert left == 0


async def test_an_end_that_is_cut_off_is_finished_by_a_worker(
    admin: Api, admin_connection: Any, services: Services, uid: str, make_key: MakeKey
) -> None:
    database_id = await admin.create("orders", uid=uid)
    connection = await made(admin, database_id, uid=uid)
    token = await make_key()

    async def revoke(session: Any) -> None:
        caller = await services.api_keys(session).authenticate(token)
        address = ConnectionAddress(connection_id=connection["connection_id"], uid=uid)
        await services.connections(session).revoke(caller, address)

    # Without what the endpoint does after the commit.
    await services.database.transaction(revoke)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(connection["uri"])
    differences = await services.database.transaction(drift)
    assert [row for row in differences if str(database_id) in row.name] == []
    await drop_retired(services.database, linger=0)
    left = await admin_connection.fetchval(
        "SELECT count(*) FROM pg_roles WHERE rolname = $1", connection["user"]
    )
    assert left == 0
