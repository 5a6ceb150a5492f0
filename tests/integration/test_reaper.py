"""The reaper: what it drops, what it leaves, and that nothing holds it up."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from core.errors import PoolExhausted
from core.postgres.engine import Session
from core.settings import ReaperInUse
from memory.databases.dropping import Dropped
from memory.doctor.service import Finding, Level, examine
from memory.ephemeral import tasks
from memory.ephemeral.tasks import Reaper
from tests.api import Api
from tests.conftest import running
from tests.integration.test_connections import ENDED, until_ended
from tests.integration.test_large_drops import many
from tests.places import Place, logged_in, place_on
from tests.sql import NOTES, Twin, as_user

LATE = 2.0


@pytest.fixture(scope="module")
async def place(admin_url: str) -> AsyncIterator[Place]:
    async with place_on(admin_url, drop_retention=3600.0) as found:
        yield found


@pytest.fixture(scope="module")
async def patient(admin_url: str) -> AsyncIterator[Place]:
    """Where the reaper waits for whoever uses a database."""
    async with place_on(admin_url, reaper_in_use=ReaperInUse.WAIT) as found:
        yield found


async def brief(place: Place, uid: str, name: str = "brief", /, **fields: Any) -> Twin:
    """A database that lives for a second unless told otherwise."""
    fields = {"ttl_seconds": 1, **fields}
    return Twin(place.api, await place.api.create(name, uid=uid, **fields), uid)


async def gone(place: Place, database_id: int, within: float = 1 + LATE) -> float:
    """Wait until nothing of a database is there; gives how long that took."""
    begun = time.monotonic()
    query = (
        "SELECT (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, $1))"
        " + (SELECT count(*) FROM pgtwin.schema_meta WHERE database_id = $2)"
    )
    while await place.admin.fetchval(query, f"d{database_id}_", database_id):
        assert time.monotonic() < begun + within, "it is still there"
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


async def audited(place: Place, database_id: int) -> list[tuple[str, str]]:
    rows = await place.admin.fetch(
        "SELECT action, uid FROM pgtwin.audit_entry WHERE database_id = $1 ORDER BY id", database_id
    )
    return [(row[0], row[1]) for row in rows]


async def delay(place: Place, database_id: int) -> Any:
    return await place.admin.fetchrow(
        "SELECT reason, failures, retry_at, now() AS seen_at FROM pgtwin.reaper_delay"
        " WHERE database_id = $1",
        database_id,
    )


async def findings(place: Place) -> list[Finding]:
    return await examine(place.settings, place.services.database)


async def is_there(api: Api, database_id: int) -> bool:
    page = (await api.get("databases", limit=100)).data["databases"]
    return database_id in [row["database_id"] for row in page]


async def test_what_has_expired_is_dropped_and_its_name_free(place: Place, uid: str) -> None:
    twin = await brief(place, uid)
    await twin.make(NOTES)
    assert await is_there(place.api, twin.id)
    await gone(place, twin.id)
    assert not await is_there(place.api, twin.id)
    assert (await twin.dml("SELECT 1", **as_user(uid, ""))).code == 25013
    assert (await audited(place, twin.id))[-1] == ("expire_database", "pgtwind")
    await place.api.create("brief", uid=uid)
    assert await place.differences() == []


async def test_a_database_works_until_it_is_dropped(place: Place, uid: str) -> None:
    twin = await brief(place, uid, ttl_seconds=600)
    blocker = place.services.database.engine
    async with blocker.connect() as connection:
        # Another worker that acts.
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7990012, 0)")
        await place.admin.execute(
            "UPDATE pgtwin.database_meta SET expires_at = now() WHERE id = $1", twin.id
        )
        await asyncio.sleep(1.5)
        await twin.make(NOTES)
        assert await is_there(place.api, twin.id)
    await gone(place, twin.id)


async def test_fifty_that_expire_together_go_together(place: Place, uid: str) -> None:
    names = [f"n{number}" for number in range(50)]
    ids = [await place.api.create(name, uid=uid, ttl_seconds=600) for name in names]
    await place.admin.execute(
        "UPDATE pgtwin.database_meta SET expires_at = now() WHERE id = ANY ($1)", ids
    )
    begun = time.monotonic()
    for database_id in ids:
        await gone(place, database_id, within=10)
    print(f"\n50 databases were reaped in {time.monotonic() - begun:.1f} s")
    assert await place.differences() == []


async def test_of_two_services_one_acts(place: Place, uid: str) -> None:
    async with running(place.settings) as app:
        names = [f"n{number}" for number in range(20)]
        ids = [await place.api.create(name, uid=uid, ttl_seconds=1) for name in names]
        reapers = [place.services.reaper(), app.state.services.reaper()]
        await asyncio.sleep(1)
        await asyncio.gather(*(reaper.look() for reaper in reapers * 3))
        for database_id in ids:
            await gone(place, database_id)
            assert [action for action, _ in await audited(place, database_id)] == [
                "create_database",
                "expire_database",
            ]


async def test_clearing_or_moving_the_expiry_keeps_a_database(place: Place, uid: str) -> None:
    cleared, moved = await brief(place, uid), await brief(place, uid, "moved")
    for twin, change in ((cleared, {"expires_at": None}), (moved, {"ttl_seconds": 600})):
        body = {"database_id": twin.id, "uid": uid, **change}
        assert (await place.api.post("set_expiration", body)).code == 0
    await asyncio.sleep(1 + LATE)
    for twin in (cleared, moved):
        assert await is_there(place.api, twin.id)


async def test_what_is_protected_stays_and_is_told_once(place: Place, uid: str) -> None:
    twin = await brief(place, uid, protected=True)
    await asyncio.sleep(1.1)
    with capture_logs() as logs:
        for _ in range(3):
            await place.services.reaper().look()
    told = [entry for entry in logs if entry.get("database_id") == twin.id]
    # The service's own may have come first.
    assert len(told) <= 1
    assert (await delay(place, twin.id))["reason"] == "protected"
    [found] = [each for each in await findings(place) if str(twin.id) in each.message]
    assert (found.level, found.subject) == (Level.WARNING, "reaper")
    assert "protected" in found.message
    assert "set_protection" in found.mend
    assert await is_there(place.api, twin.id)
    body = {"database_id": twin.id, "uid": uid, "protected": False}
    assert (await place.api.post("set_protection", body)).code == 0
    await gone(place, twin.id, within=LATE)


async def test_sessions_are_ended_unless_it_shall_wait(place: Place, uid: str) -> None:
    twin = await brief(place, uid, ttl_seconds=2)
    async with logged_in(await place.uri(twin)) as session:
        await session.execute("BEGIN; CREATE TABLE t (n int); LOCK TABLE t")
        await gone(place, twin.id, within=2 + LATE)
        with pytest.raises(ENDED):
            await until_ended(session)


async def test_it_waits_for_connections_and_for_calls(patient: Place, uid: str) -> None:
    connected, called = (
        await brief(patient, uid, ttl_seconds=2),
        await brief(patient, uid, "called", ttl_seconds=2),
    )
    idle = await brief(patient, uid, "idle", ttl_seconds=2)
    for twin in (called, idle):
        await twin.make(NOTES)
    lock = f"LOCK TABLE prod_{uid}_{called.id}.notes"
    async with logged_in(await patient.uri(connected)) as session:
        async with patient.admin.transaction():
            await patient.admin.execute(lock)
            waiting = asyncio.create_task(called.dml("SELECT * FROM notes", **as_user(uid, "")))
            # The service keeps its session open, which is no use of it.
            await gone(patient, idle.id, within=2 + LATE)
            await asyncio.sleep(0.5)
            for twin in (connected, called):
                found = await delay(patient, twin.id)
                assert (found["reason"], found["failures"]) == ("in use", 0)
                assert await is_there(patient.api, twin.id)
            assert not waiting.done()
        assert (await waiting).code == 0
        await session.execute("SELECT 1")
    for twin in (connected, called):
        await gone(patient, twin.id, within=3 * LATE)


async def test_one_that_cant_be_dropped_keeps_no_other(place: Place, uid: str) -> None:
    poisoned = await brief(place, uid, "poisoned", ttl_seconds=600)
    await poisoned.make("CREATE TABLE t (n int)", env="prod")
    async with place.admin.transaction():
        # An administrator's lock, which closing the database's own logins does not end.
        await place.admin.execute(f"LOCK TABLE prod_{uid}_{poisoned.id}.t IN ACCESS SHARE MODE")
        other = await asyncpg.connect(place.settings.dsn)
        await other.execute(
            "UPDATE pgtwin.database_meta SET expires_at = now() - interval '1 day' WHERE id = $1",
            poisoned.id,
        )
        await other.close()
        others = [await brief(place, uid, f"n{number}") for number in range(3)]
        for twin in others:
            await gone(place, twin.id, within=3 + LATE)
        found = await delay(place, poisoned.id)
        assert found["failures"] >= 1
        assert "lock" in found["reason"]
        told = [each for each in await findings(place) if str(poisoned.id) in each.message]
        assert [(each.level, each.subject) for each in told] == [(Level.WARNING, "reaper")]
        assert "lock" in told[0].message
        assert await is_there(place.api, poisoned.id)
    assert await gone(place, poisoned.id, within=20) < 20
    assert await delay(place, poisoned.id) is None


async def expire(admin_url: str, ids: list[int]) -> None:
    """The first is due the longest."""
    other = await asyncpg.connect(admin_url)
    try:
        await other.execute(
            "UPDATE pgtwin.database_meta m SET expires_at = now() - interval '1 day' / due.place"
            " FROM unnest($1::bigint[]) WITH ORDINALITY AS due (id, place) WHERE m.id = due.id",
            ids,
        )
    finally:
        await other.close()


async def test_a_backlog_goes_by_several_at_once(
    place: Place, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PATIENCE_SECONDS", 60.0)
    held = await brief(place, uid, "held", ttl_seconds=600)
    await held.make("CREATE TABLE t (n int)", env="prod")
    others = [await brief(place, uid, f"n{number}", ttl_seconds=600) for number in range(15)]
    async with place.admin.transaction():
        await place.admin.execute(f"LOCK TABLE prod_{uid}_{held.id}.t IN ACCESS SHARE MODE")
        await expire(place.settings.dsn or "", [held.id, *(each.id for each in others)])
        for each in others:
            await gone(place, each.id, within=15)
        assert await is_there(place.api, held.id)
    await gone(place, held.id, within=15)


async def test_a_row_that_somebody_holds_is_left_for_the_next_look(
    place: Place, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = await brief(place, uid, ttl_seconds=600)
    tries, drop = 0, Reaper._drop

    async def counted(reaper: Reaper, session: Session, database_id: int) -> Dropped | None:
        nonlocal tries
        tries += 1
        return await drop(reaper, session, database_id)

    monkeypatch.setattr(Reaper, "_drop", counted)
    await place.admin.execute(
        "UPDATE pgtwin.database_meta SET expires_at = now() + interval '1 second' WHERE id = $1",
        twin.id,
    )
    async with place.admin.transaction():
        await place.admin.execute(
            "SELECT FROM pgtwin.database_meta WHERE id = $1 FOR UPDATE", twin.id
        )
        await asyncio.sleep(4)
        assert await is_there(place.api, twin.id)
        assert await delay(place, twin.id) is None
        assert 1 <= tries < 20
    await gone(place, twin.id)


async def test_a_pool_without_room_is_no_fault_of_a_database(
    place: Place, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = await brief(place, uid, ttl_seconds=600)
    tries = 0

    async def full(_reaper: Reaper, _session: object, _id: int) -> None:
        nonlocal tries
        tries += 1
        raise PoolExhausted

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Reaper, "_drop", full)
        await expire(place.settings.dsn or "", [twin.id])
        for _ in range(100):
            if tries > 1:
                break
            await asyncio.sleep(0.05)
    assert tries > 1, "the reaper gave up"
    assert await delay(place, twin.id) is None
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {
        "databases could not be looked after"
    }
    await gone(place, twin.id)


async def test_the_delay_doubles_up_to_its_limit(place: Place, uid: str) -> None:
    twin = await brief(place, uid, ttl_seconds=600)
    waits = []
    for _ in range(10):
        await place.services.reaper()._put_off(twin.id, "x" * 500, failures=1)
        found = await delay(place, twin.id)
        waits.append(round((found["retry_at"] - found["seen_at"]).total_seconds()))
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-1] == 300
    body = {"database_id": twin.id, "uid": uid, "ttl_seconds": 600}
    await place.api.post("set_expiration", body)
    assert await delay(place, twin.id) is None


async def test_what_was_dropped_long_ago_is_purged(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    uri = await place.uri(twin)
    address = {"database_id": twin.id, "uid": uid}
    assert (await place.api.post("drop_database", address)).code == 0
    await place.services.reaper().look()
    assert await place.admin.fetchval(
        "SELECT count(*) FROM pgtwin.schema_meta WHERE database_id = $1", twin.id
    )
    dropped_at = await place.admin.fetchval(
        "UPDATE pgtwin.database_meta SET restorable_until = now() WHERE id = $1"
        " RETURNING deleted_at",
        twin.id,
    )
    await gone(place, twin.id, within=LATE)
    row = await place.admin.fetchrow(
        "SELECT deleted_at, restorable_until, closed_roles FROM pgtwin.database_meta WHERE id = $1",
        twin.id,
    )
    assert tuple(row) == (dropped_at, None, None)
    assert (await audited(place, twin.id))[-1] == ("purge_database", "pgtwind")
    with pytest.raises(asyncpg.PostgresError):
        await asyncpg.connect(uri, timeout=10)
    assert await place.differences() == []


async def test_large_ones_go_by_an_operation(place: Place, uid: str) -> None:
    twin = await brief(place, uid, "large", ttl_seconds=600)
    room = await place.admin.fetchval(
        "SELECT current_setting('max_locks_per_transaction')::int"
        " * current_setting('max_connections')::int"
    )
    tables = room // 8 // 12 + 50
    await many(place.settings, twin.id, uid, tables, "CREATE TABLE t%s ()")
    body = {"database_id": twin.id, "uid": uid, "ttl_seconds": 1}
    assert (await place.api.post("set_expiration", body)).code == 0
    await gone(place, twin.id, within=60)
    row = await place.admin.fetchrow(
        "SELECT kind, state, uid, attempts FROM pgtwin.operation WHERE database_id = $1", twin.id
    )
    for _ in range(100):
        if row["state"] == "finished":
            break
        await asyncio.sleep(0.05)
        row = await place.admin.fetchrow(
            "SELECT kind, state, uid, attempts FROM pgtwin.operation WHERE database_id = $1",
            twin.id,
        )
    assert tuple(row) == ("drop_database", "finished", "pgtwind", 1)
    assert await place.differences() == []


async def test_its_deeds_are_counted(place: Place, uid: str) -> None:
    assert place.services.metrics is not None

    def counted() -> float:
        assert place.services.metrics is not None
        text = place.services.metrics.render([]).decode()
        lines = [line for line in text.splitlines() if line.startswith("pgtwin_reaper_databases")]
        found = {line.split('"')[1]: float(line.split()[-1]) for line in lines if '"' in line}
        return found.get("expired", 0)

    before = counted()
    twin = await brief(place, uid)
    await gone(place, twin.id)
    await asyncio.sleep(0.1)
    assert counted() == before + 1


async def test_a_reaper_that_stops_in_the_middle_leaves_no_half(place: Place, uid: str) -> None:
    twin = await brief(place, uid, ttl_seconds=600)
    await twin.make("CREATE TABLE t (n int)", env="prod")
    async with place.admin.transaction():
        await place.admin.execute(f"LOCK TABLE prod_{uid}_{twin.id}.t IN ACCESS SHARE MODE")
        body = {"database_id": twin.id, "uid": uid, "ttl_seconds": 1}
        assert (await place.api.post("set_expiration", body)).code == 0
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
        for _ in range(100):
            await place.admin.execute("SELECT pg_stat_clear_snapshot()")
            killed = await place.admin.fetch(
                f"SELECT pg_terminate_backend(pid) FROM ({waiting}"
                " usename = 'pgtwin_control' AND query LIKE '%DROP SCHEMA%') AS w"
            )
            if killed:
                break
            await asyncio.sleep(0.05)
        assert killed
        assert await is_there(place.api, twin.id)
        assert await place.differences() == []
    await gone(place, twin.id, within=20)
