"""The service and its sessions killed at any moment of drops and restores."""

import asyncio
import random
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.test_commands import new_place
from tests.api import Answer, Api
from tests.conftest import control_database, running
from tests.integration.test_bad_days import Truth, _client, truth
from tests.integration.test_transactions import admin_api

DATABASES, SESSION_KILLS, SERVICE_KILLS = 4, 40, 5
ACTIONS = ("drop_database", "restore_database")
CHANCE = random.SystemRandom()
Call = Callable[[str, dict[str, Any]], Awaitable[Answer | None]]
LOGINS = {"ddl", "prod_app", "test_app"}


@dataclass
class Seesaw:
    """Callers that drop and restore the same databases without a pause."""

    call: Call
    uid: str
    ids: list[int]
    over: bool = False
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))

    async def rock(self) -> None:
        await asyncio.gather(*(self._caller() for _ in range(2 * DATABASES)))

    async def _caller(self) -> None:
        while not self.over:
            action = CHANCE.choice(ACTIONS)
            body = {"database_id": CHANCE.choice(self.ids), "uid": self.uid}
            answer = await self.call(action, body)
            if answer is None or answer.code:
                await asyncio.sleep(0.01)
            else:
                self.done[action] += 1


async def made(api: Api, seen: Truth, uid: str) -> list[int]:
    """Databases with a table that has a row."""
    ids = [await api.create(f"n{number}", uid=uid) for number in range(DATABASES)]
    for database_id in ids:
        await seen.fetch(
            f"CREATE TABLE prod_{uid}_{database_id}.kept AS SELECT {database_id} AS id"
        )
    return ids


async def assert_each_is_whole(seen: Truth, ids: list[int]) -> dict[int, bool]:
    """Open in all its parts, or shut in all of them; gives which are open."""
    found = {}
    for database_id in ids:
        [row] = await seen.fetch(
            "SELECT deleted_at IS NULL AS live, restorable_until, closed_roles,"
            " ARRAY(SELECT substr(rolname, length($2) + 1)::text FROM pg_roles"
            "       WHERE starts_with(rolname, $2) AND rolcanlogin) AS open"
            " FROM pgtwin.database_meta WHERE id = $1",
            database_id,
            f"d{database_id}_",
        )
        found[database_id] = row["live"]
        if row["live"]:
            assert (row["restorable_until"], row["closed_roles"]) == (None, None)
            assert set(row["open"]) == LOGINS
        else:
            assert row["restorable_until"] is not None
            assert set(row["closed_roles"]) == {f"d{database_id}_{each}" for each in LOGINS}
            assert row["open"] == []
    assert await seen.drift() == []
    return found


async def assert_all_come_back(api: Api, seen: Truth, seesaw: Seesaw) -> None:
    live = await assert_each_is_whole(seen, seesaw.ids)
    for database_id in seesaw.ids:
        body = {"database_id": database_id, "uid": seesaw.uid}
        if not live[database_id]:
            assert (await api.post("restore_database", body)).code == 0
        [row] = await seen.fetch(f"SELECT id FROM prod_{seesaw.uid}_{database_id}.kept")
        assert row["id"] == database_id
        dml = {**body, "env": "prod", "dml": "SELECT 1 AS one"}
        answer = await api.post("exec_dml", dml)
        assert answer.data["exec_success"] == [{"one": 1}]
    assert all((await assert_each_is_whole(seen, seesaw.ids)).values())
    print(f"\n{seesaw.done}", end=" ")
    assert all(seesaw.done.values())


async def test_sessions_are_killed_at_any_moment(admin_url: str) -> None:
    async with (
        control_database(admin_url, drop_retention=600) as settings,
        running(settings) as app,
    ):
        api, uid, seen = (
            await admin_api(app),
            f"u{secrets.token_hex(4)}",
            truth(settings, admin_url),
        )
        seesaw = Seesaw(api.post, uid, await made(api, seen, uid))
        rocking = asyncio.create_task(seesaw.rock())
        killed, deadline = 0, time.monotonic() + 60
        while killed < SESSION_KILLS:
            await asyncio.sleep(CHANCE.uniform(0.01, 0.15))
            assert time.monotonic() < deadline
            killed += len(
                await seen.fetch(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'pgtwin_control'"
                    " AND state <> 'idle' ORDER BY random() LIMIT 1) AS s"
                )
            )
        seesaw.over = True
        await rocking
        await assert_all_come_back(api, seen, seesaw)
        await api.client.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_the_service_is_killed_at_any_moment() -> None:
    url: str | None = None

    async def call(action: str, body: dict[str, Any]) -> Answer | None:
        while url is None:  # noqa: ASYNC110  nobody says when the service is back
            await asyncio.sleep(0.05)
        try:
            async with _client(url, key) as client:
                return await Api(client).post(action, body)
        except httpx.TransportError:
            return None

    with new_place(PGTWIN_LOG_LEVEL="error") as place:
        with place.serving() as service:
            key = (await asyncio.to_thread(service.ready)).key
            seen = Truth(place.superuser_url)
            async with _client(service.url, key) as client:
                seesaw = Seesaw(call, "u1", await made(Api(client), seen, "u1"))
            service.stop(signal.SIGKILL)
        rocking = asyncio.create_task(seesaw.rock())
        for _ in range(SERVICE_KILLS):
            with place.serving() as service:
                url = (await asyncio.to_thread(service.ready)).url
                await asyncio.sleep(CHANCE.uniform(0.2, 1.0))
                service.stop(signal.SIGKILL)
                url = None
        seesaw.over = True
        with place.serving() as service:
            url = (await asyncio.to_thread(service.ready)).url
            await rocking
            async with _client(url, key) as client:
                await assert_all_come_back(Api(client), seen, seesaw)
