"""The service, its sessions and PostgreSQL killed at any moment of create, clone and drop."""

import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.doctor.service import drift
from tests.acceptance.test_commands import new_place
from tests.api import Answer, Api
from tests.conftest import control_database, running, with_database
from tests.integration.test_clone import load
from tests.integration.test_transactions import admin_api

# What a call may answer while things are killed around it, besides success.
FAILURES = {25010, 25011, 25012}
LEASE = 1.0
SERVICE_KILLS, SESSION_KILLS, SERVER_KILLS = 8, 40, 18
CHANCE = random.SystemRandom()
ACTIONS = ("create_database", "clone_database", "clone_database", "drop_database")
ROWS = 4000
SOURCE = f"""
CREATE TABLE part (id int PRIMARY KEY, name text NOT NULL, note text);
CREATE TABLE sold (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, part_id int REFERENCES part);
CREATE INDEX ON part (name);
CREATE VIEW seen AS SELECT name, count(*) FROM part JOIN sold ON part_id = part.id GROUP BY name;
INSERT INTO part SELECT i, 'part ' || i, repeat('x', 200) FROM generate_series(1, {ROWS}) i;
INSERT INTO sold (part_id) SELECT i FROM generate_series(1, {ROWS}) i;
"""
# Each row is something that only work in progress, or half-done work, has.
REMAINS = """
SELECT 'open operation', id::text FROM pgtwin.operation
    WHERE state IN ('scheduling', 'running', 'cancelling')
UNION ALL SELECT 'ticket', id::text FROM pgtwin_admin.copy_ticket
UNION ALL SELECT 'unpublished copy', id::text FROM pgtwin.database_meta
    WHERE deleted_at IS NULL AND status <> 'ready'
UNION ALL SELECT 'schema under a passing name', nspname FROM pg_namespace
    WHERE starts_with(nspname, 'pgtwin_copied_')
UNION ALL SELECT 'reader of another database', m.member::regrole::text
    FROM pg_auth_members m JOIN pgtwin.database_meta d
      ON m.member::regrole::text IN ('d' || d.id || '_prod', 'd' || d.id || '_test')
    WHERE m.roleid::regrole::text ~ '^d\\d+_'
UNION ALL SELECT 'rows of a dropped database', s.schema_name FROM pgtwin.schema_meta s
    JOIN pgtwin.database_meta d ON d.id = s.database_id
    WHERE d.deleted_at IS NOT NULL AND d.restorable_until IS NULL
"""


@dataclass(frozen=True)
class Truth:
    """What is really in a control database, as an administrator sees it."""

    url: str

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        async with self.session() as session:
            return list(await session.fetch(query, *arguments))

    async def remains(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in await self.fetch(REMAINS)]

    async def drift(self) -> list[Any]:
        database = Database(create_engine(self.url, Settings(), pooled=False))
        try:
            return list(await database.transaction(drift))
        finally:
            await database.close()

    async def becomes_clean(self, seconds: float) -> float:
        """Wait until nothing half-done is left; gives how long that took."""
        begun = time.monotonic()
        while remains := await self.remains():
            assert time.monotonic() < begun + seconds, remains
            await asyncio.sleep(0.05)
        assert await self.drift() == []
        return time.monotonic() - begun

    async def rows(self, uid: str, database_id: int) -> list[int]:
        """How many there are in the tables of a copy of SOURCE."""
        [counts] = await self.fetch(
            "SELECT "
            + ", ".join(
                f"(SELECT count(*) FROM {each}_{uid}_{database_id}.{table})"
                for each in ("prod", "test")
                for table in ("part", "sold", "seen")
            )
        )
        return list(counts)


def truth(settings: Settings, admin_url: str) -> Truth:
    """The control database of the settings, as the administrator of its server."""
    return Truth(with_database(admin_url, urlsplit(settings.dsn or "").path.lstrip("/")))


Call = Callable[..., Awaitable[Answer | None]]


@dataclass
class Storm:
    """Callers that create, clone and drop without a pause, and remember what they were told."""

    call: Call
    uid: str
    source: int
    copies: set[int] = field(default_factory=set)
    empty: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    names: dict[str, int | None] = field(default_factory=dict)
    answers: list[tuple[str, Answer | None]] = field(default_factory=list)
    over: bool = False

    async def blow(self, callers: int) -> None:
        await asyncio.gather(*(self._caller() for _ in range(callers)))

    async def _caller(self) -> None:
        held: list[int] = []
        while not self.over:
            action = CHANCE.choice(ACTIONS)
            if action == "drop_database":
                if held:
                    await self._drop(held.pop())
                continue
            name = f"n{len(self.names)}"
            self.names[name] = None
            fields: dict[str, Any] = {"database_name": name}
            if action == "clone_database":
                fields = {"database_id": self.source, "new_database_name": name}
            answer = await self._send(action, **fields)
            if answer is not None and answer.code == 0:
                made = int(answer.data["database_id"])
                held.append(made)
                self.names[name] = made
                (self.copies if action == "clone_database" else self.empty).add(made)

    async def _drop(self, database_id: int) -> None:
        # From here on it may be there or not, until an answer tells.
        self.copies.discard(database_id)
        self.empty.discard(database_id)
        answer = await self._send("drop_database", database_id=database_id)
        if answer is not None and answer.code == 0:
            self.gone.add(database_id)

    async def _send(self, action: str, **fields: Any) -> Answer | None:
        answer = await self.call(action, uid=self.uid, **fields)
        self.answers.append((action, answer))
        if answer is None or answer.code:
            await asyncio.sleep(0.05)
        return answer

    async def assert_told_the_truth(self, truth: Truth, api: Api) -> None:
        """Nobody was told an untruth, and no name is held by anything but a live database."""
        odd = [
            (action, answer.status, answer.body)
            for action, answer in self.answers
            if answer is not None
            and answer.code
            and not (answer.code in FAILURES and answer.error["retryable"])
        ]
        live = {
            row["name"]: row["id"]
            for row in await truth.fetch(
                "SELECT id, name FROM pgtwin.database_meta WHERE uid = $1 AND deleted_at IS NULL",
                self.uid,
            )
        }
        assert self.copies | self.empty <= set(live.values())
        assert not self.gone & set(live.values())
        for database_id in [*self.copies, self.source]:
            assert await truth.rows(self.uid, database_id) == [ROWS] * 6
        for name in [name for name in self.names if name not in live]:
            assert (await api.post("create_database", database_name=name, uid=self.uid)).code == 0
        assert await truth.drift() == []
        done = [action for action, answer in self.answers if answer and answer.code == 0]
        print({action: done.count(action) for action in sorted(set(done))}, end=" ")
        print(f"failed {sum(1 for _, a in self.answers if a is None or a.code)}", end=" ")
        # Whatever was killed first, there was something of each to kill.
        assert {action for action, _ in self.answers} == set(ACTIONS)
        assert "create_database" in done
        assert odd == []


@asynccontextmanager
async def own_folder() -> AsyncIterator[Path]:
    """A folder that PostgreSQL's unprivileged user may enter when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-", dir="/tmp"))
    await asyncio.to_thread(folder.chmod, 0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def started(server: EmbeddedServer) -> AsyncIterator[EmbeddedServer]:
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


def moment(longest: float) -> float:
    return CHANCE.uniform(0.01, longest)


@asynccontextmanager
async def storm(api: Api, settings: Settings, callers: int) -> AsyncIterator[Storm]:
    """A storm of calls to a service in this process, until the block ends."""
    uid = f"u{secrets.token_hex(4)}"
    source = await api.create("source", uid=uid)
    await load(settings, source, uid, SOURCE)

    async def call(action: str, **fields: Any) -> Answer:
        return await asyncio.wait_for(api.post(action, fields), 60)

    made = Storm(call, uid, source)
    made.names["source"] = source
    blowing = asyncio.create_task(made.blow(callers))
    try:
        yield made
    finally:
        made.over = True
        await blowing


async def test_sessions_of_the_service_are_killed_at_any_moment(admin_url: str) -> None:
    async with (
        control_database(admin_url, operation_lease=LEASE) as settings,
        running(settings) as app,
    ):
        api, killed = await admin_api(app), 0
        seen = truth(settings, admin_url)
        async with storm(api, settings, 4) as blown:
            deadline = time.monotonic() + 60
            while killed < SESSION_KILLS:
                await asyncio.sleep(moment(0.25))
                assert time.monotonic() < deadline
                # A copying session in every other turn, for there are few of these.
                killed += len(
                    await seen.fetch(
                        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                        " WHERE datname = current_database() AND application_name LIKE $1"
                        " AND (state <> 'idle' OR random() < 0.1) ORDER BY random() LIMIT 1) AS s",
                        "pgtwin clone" if killed % 2 else "pgtwin%",
                    )
                )
        took = await seen.becomes_clean(3 * LEASE)
        print(f"\nsessions: {killed} kills, clean after {took:.1f} s,", end=" ")
        await blown.assert_told_the_truth(seen, api)
        await api.client.aclose()


async def test_the_server_is_killed_at_any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.postgres.embedded.server.LONGEST_PAUSE_SECONDS", 0.1)
    options: dict[str, Any] = {"operation_lease": LEASE, "connect_timeout": 2}
    async with (
        own_folder() as folder,
        started(EmbeddedServer(folder, settings={"fsync": "off"})) as server,
        control_database(server.superuser_url, **options) as settings,
        running(settings) as app,
    ):
        api = await admin_api(app)
        seen = truth(settings, server.superuser_url)
        async with storm(api, settings, 4) as blown:
            for number in range(SERVER_KILLS):
                await asyncio.sleep(moment(1.2))
                os.kill(server.pid, signal.SIGKILL)
                await _until_restarted(server, number + 1)
        took = await seen.becomes_clean(3 * LEASE)
        print(f"\nserver: {SERVER_KILLS} kills, clean after {took:.1f} s,", end=" ")
        await blown.assert_told_the_truth(seen, api)
        await api.client.aclose()


async def _until_restarted(server: EmbeddedServer, times: int) -> None:
    deadline = time.monotonic() + 30
    while server.restarts < times:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_the_service_is_killed_at_any_moment() -> None:
    url: str | None = None

    async def call(action: str, **fields: Any) -> Answer | None:
        while url is None:  # noqa: ASYNC110  nobody says when the service is back
            await asyncio.sleep(0.05)
        try:
            async with _client(url, key) as client:
                return await Api(client).post(action, fields)
        except httpx.TransportError:
            return None

    with new_place(PGTWIN_OPERATION_LEASE=str(LEASE), PGTWIN_LOG_LEVEL="error") as place:
        with place.serving() as service:
            key = (await asyncio.to_thread(service.ready)).key
            seen = Truth(place.superuser_url)
            blown = Storm(call, "u1", await _prepared(service.url, key, seen))
            service.stop(signal.SIGKILL)
        blown.names["source"] = blown.source
        blowing = asyncio.create_task(blown.blow(4))
        for _ in range(SERVICE_KILLS):
            with place.serving() as service:
                url = (await asyncio.to_thread(service.ready)).url
                await asyncio.sleep(moment(2.0))
                service.stop(signal.SIGKILL)
                url = None
        blown.over = True
        with place.serving() as service:
            url = (await asyncio.to_thread(service.ready)).url
            await blowing
            took = await seen.becomes_clean(3 * LEASE)
            print(f"\nservice: {SERVICE_KILLS} kills, clean after {took:.1f} s,", end=" ")
            async with _client(url, key) as client:
                await blown.assert_told_the_truth(seen, Api(client))


def _client(url: str, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


async def _prepared(url: str, key: str, seen: Truth) -> int:
    """The source, filled by a superuser as its owners."""
    async with _client(url, key) as client:
        source = await Api(client).create("source", uid="u1")
    for environment in ("prod", "test"):
        async with seen.session() as session:
            await session.execute(
                f"SET ROLE d{source}_{environment};"
                f"SET search_path TO {environment}_u1_{source};" + SOURCE
            )
    return source


async def test_a_caller_who_goes_away_leaves_a_whole_copy_or_none(
    admin: Api, settings: Settings, admin_url: str, uid: str
) -> None:
    source = await admin.create("source", uid=uid)
    await load(settings, source, uid, SOURCE)
    fields = {"database_id": source, "uid": uid}
    for number in range(8):
        call = asyncio.create_task(
            admin.post("clone_database", fields | {"new_database_name": f"copy{number}"})
        )
        await asyncio.sleep(moment(0.3))
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    seen = truth(settings, admin_url)
    await seen.becomes_clean(20)
    for each in (await admin.get("databases", uid=uid)).data["databases"]:
        assert await seen.rows(uid, each["database_id"]) == [ROWS] * 6
