"""Workers keep what they know of keys, for as long as they hear of changes to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import pytest

from core.postgres.engine import Session
from core.postgres.notices import Listener
from core.settings import Settings
from memory.services import Services
from tests.api import Api
from tests.conftest import MakeKey, http_client, running

SECONDS = 5.0


@pytest.fixture(scope="module")
async def two_workers(settings: Settings) -> AsyncIterator[tuple[Services, Services, Any, Any]]:
    async with running(settings) as first, running(settings) as second:
        parts = first.state.services, second.state.services
        for services in parts:
            await until(partial(is_open, services.known_keys))
        yield *parts, first, second


def is_open(keys: Any) -> bool:
    return bool(keys._keys._is_open)


def is_unknown(keys: Any, prefix: str) -> bool:
    return keys.get(prefix) is None


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def refused(api: Api) -> None:
    deadline = time.monotonic() + SECONDS
    while (await api.get("databases")).status != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_known_key_is_not_looked_up_again(
    two_workers: Any, make_key: MakeKey, admin_connection: Any
) -> None:
    services, _, app, _ = two_workers
    token = await make_key("alice")
    async with http_client(app, Authorization=f"Bearer {token}") as client:
        assert (await Api(client).get("databases")).status == 200
        assert services.known_keys.get(token[4:16]) is not None
        wrong = f"{token[:-1]}{'0' if token[-1] != '0' else '1'}"
        answer = await Api(client).send(
            "GET", "databases", headers={"Authorization": f"Bearer {wrong}"}
        )
        assert answer.status == 401
        # The service does not see this change: it is made where no trigger tells of it.
        async with admin_connection.transaction():
            await admin_connection.execute("SET LOCAL session_replication_role = replica")
            await admin_connection.execute(
                "UPDATE pgtwin.api_key SET revoked_at = now() WHERE prefix = $1", token[4:16]
            )
        assert (await Api(client).get("databases")).status == 200


@pytest.mark.parametrize("change", ["revoke", "expire", "narrow"])
async def test_all_workers_hear_of_a_change(
    two_workers: Any, make_key: MakeKey, admin_connection: Any, change: str
) -> None:
    services, other, first, second = two_workers
    token = await make_key("alice")
    headers = {"Authorization": f"Bearer {token}"}
    async with http_client(first, **headers) as one, http_client(second, **headers) as two:
        for client in (one, two):
            assert (await Api(client).get("databases")).status == 200
        prefix = token[4:16]
        assert other.known_keys.get(prefix) is not None
        if change == "revoke":
            await services.database.transaction(lambda s: services.api_keys(s).revoke(token))
        elif change == "expire":
            await admin_connection.execute(
                "UPDATE pgtwin.api_key SET expires_at = now() WHERE prefix = $1", prefix
            )
        else:
            await admin_connection.execute(
                "UPDATE pgtwin.api_key SET scopes = '{}' WHERE prefix = $1", prefix
            )
        for client, worker in ((one, services), (two, other)):
            if change == "narrow":
                await until(partial(is_unknown, worker.known_keys, prefix))
                assert (await Api(client).get("databases")).status == 403
            else:
                await refused(Api(client))


async def test_a_key_expires_without_a_notice(
    two_workers: Any, make_key: MakeKey, admin_connection: Any
) -> None:
    _, _, app, _ = two_workers
    token = await make_key("alice")
    await admin_connection.execute(
        "UPDATE pgtwin.api_key SET expires_at = now() + interval '700 ms' WHERE prefix = $1",
        token[4:16],
    )
    async with http_client(app, Authorization=f"Bearer {token}") as client:
        assert (await Api(client).get("databases")).status == 200
        await asyncio.sleep(0.8)
        assert (await Api(client).get("databases")).status == 401


async def test_its_use_does_not_make_a_key_unknown(
    two_workers: Any, make_key: MakeKey, admin_connection: Any
) -> None:
    services, _, app, _ = two_workers
    token = await make_key("alice")
    async with http_client(app, Authorization=f"Bearer {token}") as client:
        await Api(client).get("databases")
    version = services.known_keys.version
    await admin_connection.execute(
        "UPDATE pgtwin.api_key SET last_used_at = now() WHERE prefix = $1", token[4:16]
    )
    await asyncio.sleep(0.2)
    assert services.known_keys.version == version


async def test_nothing_is_kept_while_changes_are_not_heard_of(
    two_workers: Any, make_key: MakeKey, admin_connection: Any
) -> None:
    services, _, app, _ = two_workers
    token = await make_key("alice")
    async with http_client(app, Authorization=f"Bearer {token}") as client:
        api = Api(client)
        assert (await api.get("databases")).status == 200
        await admin_connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pgtwin notices' AND datname = current_database()"
        )
        await until(lambda: not is_open(services.known_keys))
        assert (await api.get("databases")).status == 200
        assert services.known_keys.get(token[4:16]) is None
        await until(lambda: is_open(services.known_keys))
        assert (await api.get("databases")).status == 200
        assert services.known_keys.get(token[4:16]) is not None


async def test_a_connection_that_carries_nothing_counts_as_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler in transaction mode: LISTEN succeeds and nothing comes."""
    events: list[str] = []
    deaf = Listener(
        settings.dsn or "",
        "pgtwin_test",
        heard=events.append,
        ready=lambda: events.append("ready"),
        lost=lambda: events.append("lost"),
        every=0.05,
    )
    monkeypatch.setattr("core.postgres.notices.PATIENCE_SECONDS", 0.3)
    task = asyncio.create_task(deaf.keep())
    await until(lambda: events == ["ready"])

    async def silent(_connection: asyncpg.Connection) -> None:
        await asyncio.sleep(0)
        raise TimeoutError

    deaf._check = silent  # type: ignore[method-assign, assignment]
    await until(lambda: events[:2] == ["ready", "lost"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(6))
async def test_listening_ends_when_cancelled_while_the_echo_comes(
    settings: Settings, turns: int
) -> None:
    loop = asyncio.get_running_loop()
    listener = Listener(
        settings.dsn or "",
        "pgtwin_test",
        heard=lambda _: None,
        ready=lambda: None,
        lost=lambda: None,
        every=0.01,
    )
    echoed, echoes = listener._on_notice, 0

    def cancel_in(left: int) -> None:
        if left:
            loop.call_soon(cancel_in, left - 1)
        else:
            task.cancel()

    def on_notice(*notice: Any) -> None:
        nonlocal echoes
        echoes += 1
        echoed(*notice)
        if echoes == 2:
            cancel_in(turns)

    listener._on_notice = on_notice  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(listener.keep())
    await asyncio.wait({task}, timeout=SECONDS)
    assert task.cancelled()


async def test_a_look_up_that_meets_a_revocation_keeps_nothing(
    two_workers: Any, make_key: MakeKey
) -> None:
    services, _, _, _ = two_workers
    token = await make_key("alice")
    found = asyncio.Event()
    revoked = asyncio.Event()

    async def slowly(session: Session) -> None:
        keys = services.api_keys(session)
        usable: Callable[[str], Awaitable[Any]] = keys._keys.usable_at

        async def hold(prefix: str) -> Any:
            key = await usable(prefix)
            found.set()
            await revoked.wait()
            return key

        keys._keys.usable_at = hold
        await keys.authenticate(token)

    looking = asyncio.create_task(services.database.reading(slowly))
    await found.wait()
    version = services.known_keys.version
    await services.database.transaction(lambda s: services.api_keys(s).revoke(token))
    await until(lambda: services.known_keys.version > version)
    revoked.set()
    await looking
    assert services.known_keys.get(token[4:16]) is None
