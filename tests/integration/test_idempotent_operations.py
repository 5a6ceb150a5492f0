"""Idempotency keys of what goes on after the commit, and of a service that dies there."""

import asyncio
import signal
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from fastapi import FastAPI

from core.postgres.identifiers import Environment
from core.settings import Settings
from memory.services import Services
from tests.acceptance.test_commands import new_place
from tests.api import Answer, Api
from tests.conftest import MASTER_SECRET, MakeKey, control_database, http_client, running
from tests.integration.test_bad_days import Truth, truth
from tests.integration.test_clone import load, owner_session, read
from tests.integration.test_idempotency import (
    REPLAYED,
    assert_again,
    assert_in_flight,
    key,
    keyed,
    live,
)
from tests.integration.test_operations import ROWS, holding, until, until_copy_waits

__all__ = ["key"]
LEASE = 1.0


@pytest.fixture
def seen(settings: Settings, admin_url: str) -> Truth:
    return truth(settings, admin_url)


@asynccontextmanager
async def another_service(
    settings: Settings, token: str, **overrides: Any
) -> AsyncIterator[tuple[FastAPI, Api]]:
    """One more service over the same server, called with the same key."""
    async with (
        running(settings.model_copy(update=overrides)) as app,
        http_client(app, Authorization=f"Bearer {token}") as client,
    ):
        yield app, Api(client)


async def once_decided(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The first answer to the retries of a client that is told to try again."""
    async with asyncio.timeout(30):
        while True:
            found = await ask()
            if found.code != 25017:
                return found
            assert_in_flight(found)
            await asyncio.sleep(0.05)


async def test_twenty_clones_at_once_make_one_copy(
    admin: Api, admin_connection: Any, settings: Settings, uid: str, key: str
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    fields = {"database_id": source, "uid": uid, "new_database_name": "copy"}
    answers = await asyncio.gather(
        *(keyed(admin, key, "clone_database", **fields) for _ in range(20))
    )
    [first] = [each for each in answers if each.code == 0 and REPLAYED not in each.headers]
    for each in answers:
        if each.code:
            assert_in_flight(each)
        elif each is not first:
            assert_again(first, each)
    assert await live(admin_connection, uid) == [source, first.data["database_id"]]
    assert_again(first, await keyed(admin, key, "clone_database", **fields))
    rows = await read(settings, first.data["database_id"], uid, "SELECT count(*) FROM t")
    assert rows == 3000


async def test_while_a_clone_copies_its_key_is_in_flight(
    admin: Api, settings: Settings, seen: Truth, uid: str, key: str
) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    fields = {"database_id": source, "uid": uid, "new_database_name": "copy"}
    async with holding(settings, source, uid, "LOCK TABLE t") as session:
        cloning = asyncio.create_task(keyed(admin, key, "clone_database", **fields))
        await until_copy_waits(seen)
        assert_in_flight(await keyed(admin, key, "clone_database", **fields))
        other = await keyed(admin, key, "clone_database", **fields | {"new_database_name": "x"})
        assert (other.status, other.code) == (422, 25003)
        assert not cloning.done()
        await session.execute("COMMIT")
        first = await cloning
    assert_again(first, await keyed(admin, key, "clone_database", **fields))


async def test_a_clone_that_failed_is_made_anew_under_its_key(
    admin: Api,
    settings: Settings,
    make_key: MakeKey,
    admin_connection: Any,
    uid: str,
    key: str,
    tmp_path: Path,
) -> None:
    token = await make_key()
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    fields = {"database_id": source, "uid": uid, "new_database_name": "copy"}
    async with another_service(settings, token, pg_bin_dir=tmp_path) as (_, lacking):
        for _ in range(2):
            failed = await keyed(lacking, key, "clone_database", **fields)
            assert (failed.code, failed.error["type"]) == (25011, "client_program_missing")
            assert REPLAYED not in failed.headers
    async with another_service(settings, token) as (_, whole):
        first = await keyed(whole, key, "clone_database", **fields)
        assert_again(first, await keyed(whole, key, "clone_database", **fields))
    assert await live(admin_connection, uid) == [source, first.data["database_id"]]


async def test_a_clone_whose_worker_died_is_made_anew_once_that_is_known(
    admin: Api,
    settings: Settings,
    make_key: MakeKey,
    admin_connection: Any,
    seen: Truth,
    uid: str,
    key: str,
) -> None:
    token = await make_key()
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ROWS)
    fields = {"database_id": source, "uid": uid, "new_database_name": "copy"}
    async with another_service(settings, token) as (app, dying):
        services: Services = app.state.services
        async with holding(settings, source, uid, "LOCK TABLE t"):
            cloning = asyncio.create_task(keyed(dying, key, "clone_database", **fields))
            await until_copy_waits(seen)
            await services.runner.stop(0)
            with suppress(asyncio.CancelledError):
                await cloning
        assert_in_flight(await keyed(dying, key, "clone_database", **fields))
    async with another_service(settings, token, operation_lease=LEASE) as (_, heir):
        first = await once_decided(lambda: keyed(heir, key, "clone_database", **fields))
        assert_again(first, await keyed(heir, key, "clone_database", **fields))
    assert await live(admin_connection, uid) == [source, first.data["database_id"]]
    assert await seen.remains() == []


async def test_a_large_drop_that_another_worker_ends_is_answered_as_done(
    admin: Api,
    settings: Settings,
    make_key: MakeKey,
    admin_connection: Any,
    seen: Truth,
    uid: str,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = await make_key()
    # Every drop is a large one.
    monkeypatch.setattr("memory.databases.dropping.SHARE_OF_LOCKS", 10**9)
    database_id = await admin.create("orders", uid=uid)
    await load(settings, database_id, uid, ROWS)
    fields = {"database_id": database_id, "uid": uid}
    async with another_service(settings, token) as (app, dying):
        services: Services = app.state.services
        table = f"prod_{uid}_{database_id}.t"
        async with admin_connection.transaction():
            await admin_connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            dropping = asyncio.create_task(keyed(dying, key, "drop_database", **fields))
            await until(
                seen,
                "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation'",
            )
            await services.runner.stop(0)
            with suppress(asyncio.CancelledError):
                await dropping
        assert_in_flight(await keyed(dying, key, "drop_database", **fields))
    async with another_service(settings, token, operation_lease=LEASE) as (_, heir):
        done = await once_decided(lambda: keyed(heir, key, "drop_database", **fields))
    assert (done.code, done.headers[REPLAYED]) == (0, "true")
    assert await seen.remains() == []
    assert await seen.drift() == []


# The service dies between the commit and the answer.


class Wire:
    """Between a service and PostgreSQL; breaks once an answer that has a key is committed.

    Then the service's COMMIT has gone through, and what PostgreSQL says to it is lost.

    Args:
        storing: what is in the statement that stores the answer.
    """

    def __init__(self, dsn: str, storing: bytes = b"INSERT INTO pgtwin.idempotency") -> None:
        self._dsn = urlsplit(dsn)
        self._storing = storing
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._ended: set[asyncio.Task[Any]] = set()
        self.cut = asyncio.Event()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._ended)

    @property
    def dsn(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        login = self._dsn.netloc.rpartition("@")[0]
        return urlunsplit(self._dsn._replace(netloc=f"{login}@127.0.0.1:{port}"))

    async def _connected(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ended.add(task)
        up_reader, up_writer = await asyncio.open_connection(self._dsn.hostname, self._dsn.port)
        self._writers |= {writer, up_writer}
        cut = asyncio.Event()
        await asyncio.gather(
            self._to_server(reader, up_writer, cut), self._to_service(up_reader, writer, cut)
        )

    async def _to_server(self, reader: Reader, writer: Writer, cut: asyncio.Event) -> None:
        stored = False
        with suppress(ConnectionError):
            while sent := await reader.read(65536):
                stored = stored or self._storing in sent
                if stored and b"COMMIT" in sent:
                    cut.set()
                    self.cut.set()
                writer.write(sent)
                await writer.drain()
        writer.close()

    async def _to_service(self, reader: Reader, writer: Writer, cut: asyncio.Event) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(65536):
                if not cut.is_set():
                    writer.write(said)
                    await writer.drain()
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("action", ["create_database", "clone_database"])
async def test_a_service_killed_between_commit_and_answer_has_answered_for_the_next(
    admin_url: str, uid: str, key: str, action: str
) -> None:
    async with (
        control_database(admin_url, operation_lease=LEASE) as settings,
        Wire(settings.dsn or "") as wire,
    ):
        seen = truth(settings, admin_url)
        variables = {"DATABASE_URL": wire.dsn, "PGTWIN_MASTER_SECRET": MASTER_SECRET}
        with new_place(**variables) as place, place.serving() as service:
            token = (await asyncio.to_thread(service.ready)).key
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
                source = await Api(client).create("source", uid=uid)
                async with owner_session(settings, source, Environment.PROD, uid) as session:
                    await session.execute(ROWS)
                fields: dict[str, Any] = {"database_name": "made", "uid": uid}
                if action == "clone_database":
                    fields = {"database_id": source, "new_database_name": "made", "uid": uid}
                asked = asyncio.create_task(keyed(Api(client), key, action, **fields))
                await asyncio.wait_for(wire.cut.wait(), 30)
                await until(seen, "SELECT count(*) > 0 FROM pgtwin.idempotency")
                [stored] = await seen.fetch("SELECT body FROM pgtwin.idempotency")
                assert not asked.done()
                await asyncio.to_thread(service.stop, signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asked
        async with another_service(settings, token) as (_, heir):
            found = await once_decided(lambda: keyed(heir, key, action, **fields))
            assert found.code == 0, found.body
            replayed = found.headers.get(REPLAYED)
            assert replayed == ("true" if action == "create_database" else None)
            assert (str(found.data["database_id"]).encode() in stored["body"]) == bool(replayed)
            again = await keyed(heir, key, action, **fields)
            assert (again.headers[REPLAYED], again.data) == ("true", found.data)
            listed = await heir.get("databases", uid=uid)
            ids = [each["database_id"] for each in listed.data["databases"]]
            assert ids == [found.data["database_id"], source]
        assert await seen.remains() == []
        assert await seen.drift() == []
