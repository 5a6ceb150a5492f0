"""Who may call /v1: the order of the checks, what a key allows, and which keys are keys."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from core.settings import Settings
from memory.api_keys.errors import KeyCommandError
from memory.api_keys.tasks import write_last_used
from memory.caller import Scope
from memory.services import Services
from tests.api import Answer, Api, answer
from tests.conftest import MakeKey, http_client, running

ApiFor = Callable[..., Awaitable[Api]]
READ, WRITE = Scope.DATABASES_READ, Scope.DATABASES_WRITE
NOWHERE = 2**62
CHANGES = ("drop_database", "modify_db_description")


@pytest.fixture
def space() -> str:
    """A space that no other test uses."""
    return f"s{secrets.token_hex(6)}"


def assert_refused(found: Answer, code: int, part: str = "") -> None:
    status = {25000: 422, 25013: 404, 25015: 404, 25020: 403}[code]
    assert (found.status, found.code) == (status, code), found.body
    assert part in found.message


# The order of the checks: caller, space, database, operation.


@pytest.mark.parametrize("action", CHANGES)
async def test_the_caller_is_checked_first(
    api_for: ApiFor, uid: str, space: str, action: str
) -> None:
    reader = await api_for(uid, READ)
    everything_wrong = {"database_id": NOWHERE, "uid": f"{uid}b", "space_id": space}
    assert_refused(await reader.post(action, everything_wrong), 25020, "another uid")
    no_member = {**everything_wrong, "uid": uid}
    assert_refused(await reader.post(action, no_member), 25020, "not a member")


@pytest.mark.parametrize("action", CHANGES)
async def test_the_space_is_checked_before_database_and_operation(
    admin: Api, api_for: ApiFor, uid: str, space: str, action: str
) -> None:
    reader = await api_for(uid, READ, spaces=(space,))
    body = {"database_id": NOWHERE, "uid": uid, "space_id": space}
    assert_refused(await reader.post(action, body), 25015, "does not exist")
    member = await api_for(uid, spaces=(space,))
    await member.create("orders", space_id=space)
    personal = await admin.create("orders", uid=uid)
    for database_id in (NOWHERE, personal):
        refused = await reader.post(action, {**body, "database_id": database_id})
        assert_refused(refused, 25015, "does not contain")


@pytest.mark.parametrize("action", CHANGES)
async def test_the_database_is_checked_before_the_operation(
    admin: Api, api_for: ApiFor, uid: str, action: str
) -> None:
    reader = await api_for(uid, READ)
    foreign = await admin.create("orders", uid=f"{uid}b")
    for database_id in (NOWHERE, foreign):
        assert_refused(await reader.post(action, database_id=database_id), 25013)


@pytest.mark.parametrize("action", CHANGES)
async def test_the_operation_is_checked_last(
    admin: Api, api_for: ApiFor, uid: str, action: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    reader = await api_for(uid, READ)
    refused = await reader.post(action, database_id=database_id)
    assert_refused(refused, 25020, "databases:write")
    assert (await admin.get(f"databases/{database_id}")).data["update_by"] == uid


async def test_create_checks_the_caller_and_then_the_operation(
    admin: Api, api_for: ApiFor, uid: str, space: str
) -> None:
    await admin.create("orders", uid=uid)
    reader = await api_for(uid, READ)
    body = {"database_name": "orders"}
    assert_refused(await reader.post("create_database", {**body, "uid": "x"}), 25020, "another uid")
    in_space = await reader.post("create_database", {**body, "space_id": space})
    assert_refused(in_space, 25020, "not a member")
    # The name is taken, but that is not for a reader to learn here.
    assert_refused(await reader.post("create_database", body), 25020, "databases:write")


async def test_reads_check_the_database_before_the_operation(
    admin: Api, api_for: ApiFor, uid: str
) -> None:
    own = await admin.create("orders", uid=uid)
    foreign = await admin.create("orders", uid=f"{uid}b")
    writer = await api_for(uid, WRITE)
    assert_refused(await writer.get(f"databases/{foreign}"), 25013)
    assert_refused(await writer.get(f"databases/{own}"), 25020, "databases:read")
    assert_refused(await writer.get("databases", uid=f"{uid}b"), 25020, "another uid")
    assert_refused(await writer.get("databases"), 25020, "databases:read")


@pytest.mark.parametrize("body", [{}, {"database_name": 5}, {"unknown": 1}, []])
async def test_a_stranger_learns_nothing_of_the_fields(app: FastAPI, body: Any) -> None:
    async with http_client(app) as client:
        found = answer(await client.post("/v1/create_database", json=body))
    assert (found.status, found.code) == (401, 25020)


# What a key allows.


async def test_a_key_supplies_its_uid(admin: Api, api_for: ApiFor, uid: str) -> None:
    bound = await api_for(uid)
    database_id = await bound.create("orders")
    detail = (await admin.get(f"databases/{database_id}")).data
    assert (detail["uid"], detail["create_by"], detail["update_by"]) == (uid, uid, uid)
    assert (await bound.post("modify_db_description", database_id=database_id, uid=uid)).code == 0
    assert (await bound.post("drop_database", database_id=database_id)).code == 0


@pytest.mark.parametrize("action", ["create_database", *CHANGES])
@pytest.mark.parametrize("spelled", ["{}b", "{}\u200b", "{} "])
async def test_a_key_acts_for_no_other_uid(
    api_for: ApiFor, uid: str, action: str, spelled: str
) -> None:
    bound = await api_for(uid)
    fields = (
        {"database_name": "orders"} if action == "create_database" else {"database_id": NOWHERE}
    )
    refused = await bound.post(action, {"uid": spelled.format(uid), **fields})
    assert_refused(refused, 25020, "another uid")


async def test_the_admin_key_acts_for_any_uid_given(admin: Api, uid: str) -> None:
    for owner in (uid, f"{uid}b"):
        database_id = await admin.create("orders", uid=owner)
        assert (await admin.get(f"databases/{database_id}")).data["uid"] == owner
        assert (await admin.post("drop_database", database_id=database_id, uid=owner)).code == 0


@pytest.mark.parametrize("action", ["create_database", *CHANGES])
async def test_the_admin_key_must_name_a_uid(admin: Api, action: str) -> None:
    fields = (
        {"database_name": "orders"} if action == "create_database" else {"database_id": NOWHERE}
    )
    refused = await admin.post(action, fields)
    assert_refused(refused, 25000, "uid")
    assert [detail["field"] for detail in refused.error["details"]] == ["uid"]


async def test_the_admin_key_acts_in_any_space(admin: Api, uid: str, space: str) -> None:
    address = {"uid": uid, "space_id": space}
    database_id = await admin.create("orders", **address)
    assert (await admin.post("drop_database", database_id=database_id, **address)).code == 0


@pytest.mark.parametrize("spaces", [("{}",), ("other", "{}"), ("*",)])
async def test_a_key_acts_in_its_spaces(
    admin: Api, api_for: ApiFor, uid: str, space: str, spaces: tuple[str, ...]
) -> None:
    owner = await api_for(uid, spaces=(space,))
    await owner.create("first", space_id=space)
    given = tuple(name.format(space) for name in spaces)
    member = await api_for(f"{uid}b", spaces=given)
    database_id = await member.create("second", space_id=space)
    detail = (await admin.get(f"databases/{database_id}")).data
    assert (detail["uid"], detail["create_by"]) == (uid, f"{uid}b")
    dropped = await member.post("drop_database", database_id=database_id, space_id=space)
    assert dropped.code == 0


@pytest.mark.parametrize("spaces", [(), ("other",), ("{}x",), ("**",), ("",)])
async def test_a_key_acts_in_no_other_space(
    api_for: ApiFor, uid: str, space: str, spaces: tuple[str, ...]
) -> None:
    owner = await api_for(uid, spaces=(space,))
    database_id = await owner.create("orders", space_id=space)
    stranger = await api_for(f"{uid}b", spaces=tuple(name.format(space) for name in spaces))
    created = await stranger.post("create_database", database_name="more", space_id=space)
    assert_refused(created, 25020, "not a member")
    for action in CHANGES:
        refused = await stranger.post(action, database_id=database_id, space_id=space)
        assert_refused(refused, 25020, "not a member")
    assert_refused(await stranger.get("databases", space_id=space), 25020, "not a member")
    assert_refused(await stranger.get(f"databases/{database_id}"), 25013)


async def test_reads_show_own_and_the_spaces_databases(
    admin: Api, api_for: ApiFor, uid: str, space: str
) -> None:
    owner = await api_for(f"{uid}o", spaces=(space, f"{space}x"))
    personal = await owner.create("personal")
    shared = await owner.create("shared", space_id=space)
    elsewhere = await owner.create("elsewhere", space_id=f"{space}x")
    own = await admin.create("own", uid=uid)
    visible: dict[tuple[str, ...], set[int]] = {
        (): {own},
        (space,): {own, shared},
        ("*",): {own, shared, elsewhere},
    }
    for spaces, expected in visible.items():
        reader = await api_for(uid, READ, spaces=spaces)
        listed = {row["database_id"] for row in await everything(reader)}
        assert listed & {personal, shared, elsewhere, own} == expected
        for database_id in (personal, shared, elsewhere, own):
            found = await reader.get(f"databases/{database_id}")
            assert found.code == (0 if database_id in expected else 25013)


async def everything(api: Api) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = (await api.get("databases", **query)).data
        rows += page["databases"]
        if page["next_cursor"] is None:
            return rows
        query["cursor"] = page["next_cursor"]


# Which keys are keys.


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[Api]:
    """The API without a key."""
    async with http_client(app) as client:
        yield Api(client)


async def with_token(stranger: Api, token: str) -> Answer:
    return await stranger.send("GET", "databases", headers={"Authorization": f"Bearer {token}"})


async def bad_credentials(make_key: MakeKey, services: Services) -> dict[str, Any]:
    """Everything that is no valid key, by what is wrong with it."""
    token = await make_key()
    _, prefix, secret = token.split("_")
    expired = await make_key(expires_in=timedelta(seconds=-1))
    revoked = await make_key()
    await services.database.transaction(lambda s: services.api_keys(s).revoke(revoked))
    other = (await make_key()).split("_")[2]
    return {
        "no header": None,
        "empty": "",
        "no token": "Bearer",
        "blank token": "Bearer ",
        "no scheme": token,
        "basic": "Basic cGd0OnBndA==",
        "other scheme": f"Token {token}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "unknown prefix": f"Bearer pgt_000000000000_{secret}",
        "wrong secret": f"Bearer pgt_{prefix}_{'0' * 64}",
        "another's secret": f"Bearer pgt_{prefix}_{other}",
        "prefix alone": f"Bearer pgt_{prefix}",
        "secret alone": f"Bearer {secret}",
        "cut short": f"Bearer {token[:-1]}",
        "too long": f"Bearer {token}0",
        "upper case": f"Bearer {token.upper()}",
        "a dollar before": f"Bearer ${token}",
        "not ASCII": b"Bearer \xff\xfe",
        "NUL-like": "Bearer pgt_%00",
        "very long": "Bearer " + "a" * 10_000,
        "SQL": "Bearer pgt_' OR true--_" + "0" * 64,
    }


async def test_whatever_is_no_valid_key_gets_one_answer(
    stranger: Api, make_key: MakeKey, services: Services
) -> None:
    answers = {}
    for name, value in (await bad_credentials(make_key, services)).items():
        headers = {} if value is None else {"Authorization": value}
        found = await stranger.send("GET", "databases", headers=headers)
        assert (found.status, found.headers["WWW-Authenticate"]) == (401, "Bearer"), name
        answers[name] = {key: found.body[key] for key in ("code", "message", "error")}
    assert answers["no header"]["code"] == 25020
    assert [name for name, body in answers.items() if body != answers["no header"]] == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_may_be_in_any_case(stranger: Api, make_key: MakeKey, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {await make_key()}"}
    assert (await stranger.send("GET", "databases", headers=headers)).code == 0


async def test_keys_are_hashed_at_rest(make_key: MakeKey, admin_connection: Any, uid: str) -> None:
    token = await make_key(uid, name="of the test")
    _, prefix, secret = token.split("_")
    key = await admin_connection.fetchrow(
        "SELECT k.*, row_to_json(k)::text AS shown FROM pgtwin.api_key k WHERE prefix = $1", prefix
    )
    assert key["secret_hash"] == hashlib.sha256(secret.encode()).digest()
    audit = await admin_connection.fetch("SELECT a::text FROM pgtwin.audit_entry a")
    assert any(prefix in row[0] for row in audit)
    for shown in (key["shown"], *(row[0] for row in audit)):
        for kept in (token, secret, secret.encode().hex(), secret[:16]):
            assert kept not in shown


async def last_used(connection: Any, token: str) -> Any:
    prefix = token.split("_")[1]
    return await connection.fetchval(
        "SELECT last_used_at FROM pgtwin.api_key WHERE prefix = $1", prefix
    )


async def test_the_use_of_a_key_is_written_down(
    settings: Settings, make_key: MakeKey, admin_connection: Any
) -> None:
    used, ended, unused = await make_key(), await make_key(), await make_key()
    refused = used[:-1] + ("0" if used[-1] != "0" else "1")
    async with running(settings) as app, http_client(app) as client:
        api, services = Api(client), app.state.services
        assert (await with_token(api, refused)).status == 401
        await write_last_used(services.database, services.key_usage)
        assert await last_used(admin_connection, used) is None
        assert (await with_token(api, used)).code == 0
        await write_last_used(services.database, services.key_usage)
        assert await last_used(admin_connection, used) is not None
        assert (await with_token(api, ended)).code == 0
    # The service's end writes what was left.
    assert await last_used(admin_connection, ended) is not None
    assert await last_used(admin_connection, unused) is None


async def rotate(services: Services, token: str, overlap: timedelta) -> str:
    _, new = await services.database.transaction(
        lambda session: services.api_keys(session).rotate(token, overlap)
    )
    return new


async def test_a_rotated_key_works_during_the_overlap(
    stranger: Api, services: Services, make_key: MakeKey, uid: str
) -> None:
    old = await make_key(uid, READ)
    new = await rotate(services, old, timedelta(hours=1))
    assert new != old
    for token in (old, new):
        assert (await with_token(stranger, token)).code == 0
    headers = {"Authorization": f"Bearer {new}"}
    body = {"database_name": "orders"}
    refused = await stranger.send("POST", "create_database", json=body, headers=headers)
    assert_refused(refused, 25020, "databases:write")


async def test_a_rotated_key_ends_with_the_overlap(
    stranger: Api, services: Services, make_key: MakeKey, uid: str
) -> None:
    old = await make_key(uid)
    new = await rotate(services, old, timedelta(0))
    assert (await with_token(stranger, old)).status == 401
    assert (await with_token(stranger, new)).code == 0


async def test_rotation_prolongs_no_key(
    services: Services, make_key: MakeKey, admin_connection: Any, uid: str
) -> None:
    short = await make_key(uid, expires_in=timedelta(minutes=5))
    await rotate(services, short, timedelta(days=1))
    soon = "SELECT expires_at < now() + interval '6 minutes' FROM pgtwin.api_key WHERE prefix = $1"
    assert await admin_connection.fetchval(soon, short.split("_")[1]) is True


async def test_an_expired_key_is_not_rotated(
    services: Services, make_key: MakeKey, uid: str
) -> None:
    expired = await make_key(uid, expires_in=timedelta(seconds=-1))
    with pytest.raises(KeyCommandError, match="expired"):
        await rotate(services, expired, timedelta(days=1))


async def test_a_rotated_key_expires_as_the_old_one_did(
    services: Services, make_key: MakeKey, admin_connection: Any, uid: str
) -> None:
    new = await rotate(services, await make_key(uid, expires_in=timedelta(days=9)), timedelta(0))
    ends = await admin_connection.fetchval(
        "SELECT expires_at FROM pgtwin.api_key WHERE prefix = $1", new.split("_")[1]
    )
    assert ends is not None
