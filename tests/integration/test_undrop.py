"""A drop that can be undone: what it shuts, what it leaves, and what comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest

from core.postgres.identifiers import Environment, RoleName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url
from memory.connections.tasks import drop_retired, end_expired
from tests.api import Answer
from tests.conftest import MASTER_SECRET, running, with_database
from tests.integration.test_connections import ENDED, REFUSED
from tests.integration.test_connections import until_ended as until_session_ended
from tests.integration.test_preparation import managed_login, own_server
from tests.integration.test_transactions import admin_api
from tests.places import Place, logged_in, place_on
from tests.sql import NOTES, Twin, as_user

NOT_FOUND, SPACE_NOT_FOUND, NOT_RESTORABLE, NAME_TAKEN = 25013, 25015, 25005, 25010
RETENTION = 3600.0


@pytest.fixture(scope="module", params=["superuser 18", "superuser 16", "managed 16", "managed 15"])
async def place(request: pytest.FixtureRequest, admin_url: str) -> AsyncIterator[Place]:
    """On servers that a superuser has prepared, and one where nobody is superuser."""
    who, major = request.param.split()
    async with AsyncExitStack() as stack:
        url = superuser = admin_url
        if request.param != "superuser 18":
            url = superuser = stack.enter_context(own_server(int(major)))
        if who == "managed":
            url = await managed_login(superuser)
        found = await stack.enter_async_context(place_on(url, drop_retention=RETENTION))
        if who == "managed":
            name = urlsplit(found.settings.dsn or "").path.lstrip("/")
            found.admin = await asyncpg.connect(with_database(superuser, name))
            stack.push_async_callback(found.admin.close)
        yield found


async def drop(twin: Twin, **fields: Any) -> Answer:
    return await twin.api.post("drop_database", {"database_id": twin.id, "uid": twin.uid, **fields})


async def dropped(twin: Twin, **fields: Any) -> Any:
    """A drop that must succeed; gives until when the database can be restored."""
    answer = await drop(twin, **fields)
    assert answer.code == 0, answer.body
    return answer.data["restorable_until"]


async def restore(twin: Twin, **fields: Any) -> Answer:
    return await twin.api.post(
        "restore_database", {"database_id": twin.id, "uid": twin.uid, **fields}
    )


async def logins(place: Place, twin: Twin) -> dict[str, bool]:
    """The roles of a database, and whether they can log in."""
    rows = await place.admin.fetch(
        "SELECT rolname, rolcanlogin FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY 1",
        f"d{twin.id}_",
    )
    return {row[0]: row[1] for row in rows}


async def memberships(place: Place, twin: Twin) -> list[tuple[str, str]]:
    rows = await place.admin.fetch(
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
        " WHERE starts_with(roleid::regrole::text, $1) ORDER BY 1, 2",
        f"d{twin.id}_",
    )
    return [(row[0], row[1]) for row in rows]


async def test_data_roles_and_uris_come_back(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    await twin.rows("INSERT INTO notes (body) VALUES ('kept')", **as_user(uid, ""))
    uris = [await place.uri(twin), await place.reader(twin), await place.uri(twin, "test")]
    before, members = await logins(place, twin), await memberships(place, twin)
    assert sum(before.values()) == 8
    async with logged_in(uris[0]) as session:
        until = await dropped(twin)
        with pytest.raises(ENDED):
            await until_session_ended(session)
    assert datetime.fromisoformat(until) > datetime.now().astimezone()
    assert await logins(place, twin) == dict.fromkeys(before, False)
    assert await memberships(place, twin) == members
    for uri in uris:
        with pytest.raises(REFUSED):
            await asyncpg.connect(uri, timeout=10)
    assert await place.differences() == []
    back = await restore(twin)
    assert back.data == {
        "database_id": twin.id,
        "database_id_str": str(twin.id),
        "database_name": "orders",
    }
    assert await logins(place, twin) == before
    assert await memberships(place, twin) == members
    assert await twin.rows("SELECT body FROM notes", **as_user(uid, "")) == [{"body": "kept"}]
    for uri in uris[:2]:
        async with await psycopg.AsyncConnection.connect(uri) as connection:
            found = await (await connection.execute("SELECT body FROM notes")).fetchall()
            assert found == [("kept",)]
    async with logged_in(uris[2]) as session:
        await session.execute("INSERT INTO notes (uid, body) VALUES ('x', 'again')")
    await twin.make("ALTER TABLE notes ADD COLUMN later int")
    detail = (await place.api.get(f"databases/{twin.id}")).data
    assert (detail["status"], detail["dropped_at"], detail["restorable_until"]) == (
        "ready",
        None,
        None,
    )
    assert await place.differences() == []


async def test_connections_that_ended_meanwhile_stay_shut(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    kept, revoked = await place.uri(twin), await place.connection(twin)
    expiring = await place.connection(twin, ttl_seconds=1)
    dropping = await place.connection(twin, ttl_seconds=3)
    await twin.api.post("revoke_connection", connection_id=revoked["connection_id"], uid=uid)
    await dropped(twin)
    await asyncio.sleep(1.1)
    await end_expired(place.services.database)
    # Its role is closed, and not dropped yet.
    await place.admin.execute("UPDATE pgtwin.retired_role SET retired_at = 'infinity'")
    assert (await restore(twin)).code == 0
    assert (await logins(place, twin))[expiring["user"]] is False
    for uri in (revoked["uri"], expiring["uri"]):
        with pytest.raises(REFUSED):
            await asyncpg.connect(uri, timeout=10)
    async with logged_in(kept) as session:
        await session.execute("SELECT 1")
    # And one whose role is gone by the time.
    await dropped(twin)
    await asyncio.sleep(2)
    await end_expired(place.services.database)
    await place.admin.execute("UPDATE pgtwin.retired_role SET retired_at = '2000-01-01'")
    await drop_retired(place.services.database)
    assert dropping["user"] not in await logins(place, twin)
    assert (await restore(twin)).code == 0
    async with logged_in(kept) as session:
        await session.execute("SELECT 1")
    assert await place.differences() == []


async def test_the_name_is_free_at_once_and_a_new_one_brings_the_old_back(
    place: Place, uid: str
) -> None:
    first = await place.twin(uid)
    await first.make("CREATE TABLE mine (n int)", env="prod")
    await dropped(first)
    second = await place.twin(uid)
    taken = await restore(first)
    assert (taken.status, taken.code, taken.error["type"]) == (409, NAME_TAKEN, "name_taken")
    assert (await logins(place, first))[f"d{first.id}_ddl"] is False
    back = await restore(first, new_name="older")
    assert back.data["database_name"] == "older"
    assert await first.rows("SELECT count(*) AS n FROM mine") == [{"n": 0}]
    listed = (await place.api.get("databases", uid=uid)).data["databases"]
    assert [(row["database_id"], row["name"]) for row in listed] == [
        (second.id, "orders"),
        (first.id, "older"),
    ]


async def test_a_dropped_one_is_seen_by_nobody(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    other = await place.twin(uid, "other")
    made = await place.connection(twin)
    await twin.make(NOTES)
    async with running(place.settings) as app:
        elsewhere = await admin_api(app)
        far = Twin(elsewhere, twin.id, uid)
        for each in (twin, far):
            await each.rows("SELECT 1 FROM notes", **as_user(uid, ""))
        await dropped(twin)
        for api in (place.api, elsewhere):
            await unseen(api, twin.id, uid, made["connection_id"])
        for each in (twin, far):
            assert (await each.dml("SELECT 1 FROM notes", **as_user(uid, ""))).code == NOT_FOUND
            assert (await each.dml("SELECT 1 FROM notes")).code == NOT_FOUND
            assert (await each.ddl("CREATE TABLE t (n int)")).code == NOT_FOUND
        await elsewhere.client.aclose()
    assert (await place.api.get(f"databases/{other.id}")).code == 0


async def unseen(api: Any, database_id: int, uid: str, connection_id: int) -> None:
    address = {"database_id": database_id, "uid": uid}
    calls = {
        "clone_database": {**address, "new_database_name": "copy"},
        "drop_database": address,
        "modify_db_description": {**address, "description": "x"},
        "grant_app": {**address, "app_id": "shop"},
        "set_labels": {**address, "labels": {}},
        "set_protection": {**address, "protected": True},
        "set_expiration": {**address, "ttl_seconds": 5},
        "create_connection": {**address, "env": "prod"},
        "exec_ddl": {**address, "ddl": "CREATE TABLE t (n int)"},
        "exec_dml": {**address, "env": "prod", "dml": "SELECT 1"},
        "export_data": {**address, "env": "prod", "table_name": "notes"},
    }
    for action, body in calls.items():
        answer = await api.post(action, body)
        assert answer.code == NOT_FOUND, (action, answer.body)
    for action in ("rotate_connection", "revoke_connection"):
        answer = await api.post(action, connection_id=connection_id, uid=uid)
        assert answer.error["type"] == "connection_not_found"
    for read in ("", "/schema?env=prod", "/ddl?env=prod", "/stats?env=prod", "/connections"):
        answer = await api.get(f"databases/{database_id}{read}")
        assert answer.code == NOT_FOUND, (read, answer.body)
    file = {"file": ("n.csv", b"body\nx\n")}
    form = {"database_id": str(database_id), "uid": uid, "env": "prod", "table_name": "notes"}
    upload = await api.send("POST", "upload_data", data=form, files=file)
    assert upload.code == NOT_FOUND, upload.body
    listed = (await api.get("databases", uid=uid)).data["databases"]
    assert database_id not in [row["database_id"] for row in listed]


async def test_a_login_that_got_in_while_it_was_closed_is_ended(place: Place, uid: str) -> None:
    """It was checked before the closing was committed, and listed after that."""
    twin = await place.twin(uid)
    login = RoleName.ddl(twin.id).name
    url = login_url(place.settings.dsn or "", login, derive(MASTER_SECRET, login))
    await dropped(twin)
    # As it is while the door stands open a moment longer.
    await place.admin.execute(f"ALTER ROLE {login} LOGIN")
    async with logged_in(url) as session:
        await place.admin.execute(f"ALTER ROLE {login} NOLOGIN")
        await place.services.reaper().look()
        with pytest.raises(ENDED):
            await until_session_ended(session)


async def test_who_logs_in_again_and_again_is_kept_out_in_the_end(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    uri = await place.uri(twin, connection_limit=50)
    sessions: list[Any] = []
    refusals = 0

    async def knock() -> None:
        nonlocal refusals
        while refusals < 20:
            try:
                sessions.append(await asyncpg.connect(uri, timeout=10))
            except REFUSED:
                refusals += 1
            except asyncpg.TooManyConnectionsError:
                await asyncio.sleep(0.05)
            if len(sessions) > 20:
                sessions.pop(0).terminate()

    knocking = [asyncio.create_task(knock()) for _ in range(3)]
    await asyncio.sleep(0.2)
    await dropped(twin)
    await asyncio.gather(*knocking)
    for session in sessions:
        with pytest.raises(ENDED):
            await until_session_ended(session)
        session.terminate()
    assert (await restore(twin)).code == 0
    async with logged_in(uri) as session:
        await session.execute("SELECT 1")


async def test_purge_takes_what_was_dropped_before(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    uri = await place.uri(twin)
    assert await dropped(twin) is not None
    assert (await drop(twin)).code == NOT_FOUND
    assert await dropped(twin, purge=True) is None
    assert await logins(place, twin) == {}
    gone = await restore(twin)
    assert (gone.status, gone.code, gone.error["type"]) == (404, NOT_RESTORABLE, "not_restorable")
    assert (await drop(twin, purge=True)).code == NOT_FOUND
    with pytest.raises(REFUSED):
        await asyncpg.connect(uri, timeout=10)
    assert await place.differences() == []


async def test_a_purge_and_a_short_life_leave_nothing(place: Place, uid: str) -> None:
    purged, brief = await place.twin(uid), await place.twin(uid, "brief")
    address = {"database_id": brief.id, "uid": uid}
    assert (await place.api.post("set_expiration", {**address, "ttl_seconds": 600})).code == 0
    assert await dropped(purged, purge=True) is None
    assert await dropped(brief) is None
    for twin in (purged, brief):
        assert await logins(place, twin) == {}
        assert (await restore(twin)).code == NOT_RESTORABLE
    seen = (await place.api.get("databases", uid=uid, include_dropped=True)).data["databases"]
    assert seen == []


async def test_what_is_not_dropped_or_not_ones_own_is_not_restored(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    live = await restore(twin)
    assert (live.code, live.message) == (NOT_RESTORABLE, "The database is not dropped")
    await dropped(twin)
    for stranger in ({"uid": f"{uid}b"}, {"space_id": "nowhere"}, {"database_id": 2**40}):
        assert (await restore(twin, **stranger)).code == NOT_RESTORABLE
    assert (await restore(twin)).code == 0


async def test_dropped_ones_are_listed_and_described_on_request(place: Place, uid: str) -> None:
    live, gone = await place.twin(uid, "live"), await place.twin(uid, "gone")
    until = await dropped(gone)
    rows = (await place.api.get("databases", uid=uid, include_dropped=True)).data["databases"]
    assert [(row["name"], row["status"]) for row in rows] == [
        ("gone", "dropped"),
        ("live", "ready"),
    ]
    assert rows[0]["restorable_until"] == until
    assert rows[0]["dropped_at"] < until
    assert (rows[1]["restorable_until"], rows[1]["dropped_at"]) == (None, None)
    detail = (await place.api.get(f"databases/{gone.id}", include_dropped=True)).data
    assert (detail["status"], len(detail["schemas"])) == ("dropped", 2)
    assert (await place.api.get(f"databases/{live.id}", include_dropped=True)).code == 0
    await place.admin.execute(
        "UPDATE pgtwin.database_meta SET restorable_until = now() - interval '1 s' WHERE id = $1",
        gone.id,
    )
    # Nobody sees it any more, whenever the reaper comes by.
    rows = (await place.api.get("databases", uid=uid, include_dropped=True)).data["databases"]
    assert [row["name"] for row in rows] == ["live"]
    assert (await place.api.get(f"databases/{gone.id}", include_dropped=True)).code == NOT_FOUND
    assert (await restore(gone)).code == NOT_RESTORABLE


async def test_a_dropped_one_owns_no_space_and_comes_back_to_the_spaces_owner(
    place: Place, uid: str
) -> None:
    space, other = f"s{uid}", f"{uid}b"
    first = await place.api.create("first", uid=uid, space_id=space)
    address = {"database_id": first, "uid": uid, "space_id": space}
    assert (await place.api.post("drop_database", address)).code == 0
    assert (await place.api.post("modify_db_description", address)).code == SPACE_NOT_FOUND
    second = await place.api.create("second", uid=other, space_id=space)
    assert (await place.api.get(f"databases/{second}")).data["uid"] == other
    assert (await place.api.post("restore_database", address)).code == 0
    assert (await place.api.get(f"databases/{first}")).data["uid"] == other
    ddl = {"database_id": first, "uid": other, "ddl": "CREATE TABLE t (n int)"}
    assert (await place.api.post("exec_ddl", ddl)).code == 0


async def test_fifty_drops_and_restores_at_once(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    uri = await place.uri(twin)
    before = await logins(place, twin)
    for _ in range(2):
        answers = await asyncio.gather(
            *(drop(twin) for _ in range(25)), *(restore(twin) for _ in range(25))
        )
        codes = [answer.code for answer in answers]
        assert set(codes) <= {0, NOT_FOUND, NOT_RESTORABLE}
        succeeded = codes[:25].count(0), codes[25:].count(0)
        assert succeeded[0] >= 1
        assert succeeded[0] - succeeded[1] in (0, 1)
        is_live = (await place.api.get(f"databases/{twin.id}")).code == 0
        assert is_live == (succeeded[0] == succeeded[1])
        if not is_live:
            assert not any((await logins(place, twin)).values())
            assert (await restore(twin)).code == 0
        assert await logins(place, twin) == before
        async with logged_in(uri) as session:
            await session.execute("SELECT 1")
    assert await place.differences() == []


async def test_a_repair_completes_a_dropped_one_and_leaves_it_shut(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make("CREATE TABLE mine (n int)", env="prod")
    before = await logins(place, twin)
    await dropped(twin)
    app = RoleName.app(Environment.PROD, twin.id).name
    await place.admin.execute(f"DROP OWNED BY {app}; DROP ROLE {app}")
    assert await place.differences() == [("database without role", app)]
    await place.repair()
    assert await place.differences() == []
    assert not any((await logins(place, twin)).values())
    assert (await restore(twin)).code == 0
    assert await logins(place, twin) == before
    assert await twin.rows("SELECT count(*) AS n FROM mine") == [{"n": 0}]


async def test_a_repeat_under_a_key_is_answered_as_the_first_time(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    body = {"database_id": twin.id, "uid": uid}
    key = {"Idempotency-Key": f"drop-{uid}"}
    answers = [
        await place.api.send("POST", "drop_database", json=body, headers=key) for _ in range(2)
    ]
    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    key = {"Idempotency-Key": f"restore-{uid}"}
    for _ in range(2):
        back = await place.api.send("POST", "restore_database", json=body, headers=key)
        assert back.code == 0
