"""Transactions, the pool, and what happens when PostgreSQL or a client goes away."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from core.errors import DatabaseUnavailable, LockTimeout, PoolExhausted, TransactionConflict
from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import Database, Session, create_engine
from core.settings import Settings
from memory.api_keys.service import NewKey
from memory.caller import Scope
from memory.services import Services
from tests.api import Api
from tests.conftest import control_database, http_client, running


@asynccontextmanager
async def database(settings: Settings, **overrides: Any) -> AsyncIterator[Database]:
    changed = settings.model_copy(update=overrides)
    made = Database(create_engine(changed.dsn or "", changed))
    try:
        yield made
    finally:
        await made.close()


async def run(session: Session, statement: str) -> Any:
    return await session.fetchval(statement)


async def admin_api(app: FastAPI) -> Api:
    services: Services = app.state.services
    wanted = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}))
    _, token = await services.database.transaction(
        lambda session: services.api_keys(session).create(wanted)
    )
    return Api(http_client(app, Authorization=f"Bearer {token}"))


@pytest.fixture
async def counter(admin_connection: Any) -> AsyncIterator[str]:
    """A table with two rows that the service's login may change."""
    name = f"pgtwin_test_counter_{secrets.token_hex(4)}"
    await admin_connection.execute(
        f"CREATE TABLE pgtwin_ext.{name} (id int PRIMARY KEY, n int);"
        f"INSERT INTO pgtwin_ext.{name} VALUES (1, 0), (2, 0);"
        f"GRANT SELECT, INSERT, UPDATE ON pgtwin_ext.{name} TO pgtwin_control"
    )
    yield f"pgtwin_ext.{name}"
    await admin_connection.execute(f"DROP TABLE pgtwin_ext.{name}")


async def test_a_serialization_failure_at_the_commit_runs_the_work_again(
    settings: Settings, counter: str
) -> None:
    async with database(settings) as made:
        both_have_read = asyncio.Barrier(2)
        runs = 0

        async def work(session: Session) -> None:
            nonlocal runs
            runs += 1
            await run(session, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            total = await run(session, f"SELECT sum(n) FROM {counter}")
            if runs <= 2:
                await both_have_read.wait()
            await run(session, f"INSERT INTO {counter} VALUES ({runs + 10}, {total} + 1)")

        await asyncio.gather(made.transaction(work), made.transaction(work))
        assert runs == 3
        rows = await made.transaction(
            lambda session: run(session, f"SELECT count(*) FROM {counter} WHERE id > 10")
        )
        assert rows == 2


async def test_a_deadlock_runs_the_work_again(settings: Settings, counter: str) -> None:
    async with database(settings) as made:
        both_hold_one = asyncio.Barrier(2)
        runs: list[int] = []

        async def work(session: Session, first: int) -> None:
            runs.append(first)
            await run(session, f"UPDATE {counter} SET n = n + 1 WHERE id = {first}")
            if len(runs) <= 2:
                await both_hold_one.wait()
            await run(session, f"UPDATE {counter} SET n = n + 1 WHERE id = {3 - first}")

        await asyncio.gather(
            made.transaction(lambda session: work(session, 1)),
            made.transaction(lambda session: work(session, 2)),
        )
        # The one that was ended may meet the other once more before that one is done.
        assert 3 <= len(runs) <= 5
        total = await made.transaction(lambda s: run(s, f"SELECT sum(n) FROM {counter}"))
        assert total == 4


async def test_two_that_write_one_row_of_the_catalog_are_both_done(
    settings: Settings, admin_connection: Any
) -> None:
    schema = f"pgtwin_test_{secrets.token_hex(4)}"
    await admin_connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION pgtwin_control")
    both, runs = asyncio.Barrier(2), 0

    async def work(session: Session, right: str) -> None:
        nonlocal runs
        runs += 1
        await run(session, "SELECT 1")
        if runs <= 2:
            await both.wait()
        await run(session, f"GRANT {right} ON SCHEMA {schema} TO PUBLIC")
        await run(session, "SELECT pg_sleep(0.2)")

    async with database(settings) as made:
        await asyncio.gather(
            *(
                made.transaction(lambda s, right=right: work(s, right))  # type: ignore[misc]
                for right in ("USAGE", "CREATE")
            )
        )
    rights = await admin_connection.fetchval(
        "SELECT nspacl::text FROM pg_namespace WHERE nspname = $1", schema
    )
    await admin_connection.execute(f"DROP SCHEMA {schema}")
    assert "=UC/pgtwin_control" in rights
    assert runs == 3


async def test_a_conflict_that_stays_is_a_retryable_error_after_three_more_runs(
    settings: Settings,
) -> None:
    async with database(settings) as made:
        runs = 0

        async def work(session: Session) -> None:
            nonlocal runs
            runs += 1
            await run(session, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

        with pytest.raises(TransactionConflict) as caught:
            await made.transaction(work)
        assert (runs, caught.value.sqlstate, caught.value.retryable) == (4, "40001", True)


async def test_waiting_too_long_for_a_connection_names_the_pools_use(settings: Settings) -> None:
    options = {"pool_size": 1, "pool_max_overflow": 1, "pool_timeout": 0.2}
    async with database(settings, **options) as made:
        enough = asyncio.Event()

        async def hold(session: Session) -> None:
            await run(session, "SELECT 1")
            await enough.wait()

        holders = [asyncio.create_task(made.transaction(hold)) for _ in range(2)]
        while made.use().in_use < 2:  # noqa: ASYNC110  the pool has no event to wait for
            await asyncio.sleep(0.01)
        with pytest.raises(PoolExhausted, match="2 of 2"):
            await made.transaction(lambda session: run(session, "SELECT 1"))
        enough.set()
        await asyncio.gather(*holders)
        assert made.use().in_use == 0


async def test_a_lock_that_another_holds_is_a_retryable_error(
    settings: Settings, counter: str
) -> None:
    async with database(settings, lock_timeout=0.1) as made:

        async def locked(session: Session) -> None:
            await run(session, f"UPDATE {counter} SET n = 1 WHERE id = 1")
            with pytest.raises(LockTimeout) as caught:
                await made.transaction(
                    lambda other: run(other, f"UPDATE {counter} SET n = 2 WHERE id = 1")
                )
            assert caught.value.sqlstate == "55P03"

        await made.transaction(locked)


async def test_a_statement_gone_stale_through_a_migration_is_run_again(
    settings: Settings, counter: str, admin_connection: Any
) -> None:
    async with database(settings, pool_size=1, pool_max_overflow=0) as made:
        read = f"SELECT * FROM {counter} WHERE id = 1"
        assert await made.transaction(lambda session: run(session, read)) == 1
        await admin_connection.execute(f"ALTER TABLE {counter} ALTER n TYPE bigint")
        assert await made.transaction(lambda session: run(session, read)) == 1


async def test_fifty_creates_of_one_name_at_once_give_one_database(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    answers = await asyncio.gather(
        *(admin.post("create_database", database_name="same", uid=uid) for _ in range(50))
    )
    assert sorted(answer.code for answer in answers) == [0] + [25010] * 49
    assert {answer.status for answer in answers} == {200, 409}
    won = next(answer.data["database_id"] for answer in answers if answer.code == 0)
    schemas = await admin_connection.fetch(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)", f"prod_{uid}_"
    )
    assert [row["nspname"] for row in schemas] == [f"prod_{uid}_{won}"]


async def test_three_hundred_requests_at_once_are_all_answered(admin: Api, uid: str) -> None:
    async def mixed(number: int) -> int:
        if number % 3 == 0:
            return (await admin.post("create_database", database_name=f"n{number}", uid=uid)).code
        if number % 3 == 1:
            return (await admin.get("databases", uid=uid)).code
        return (await admin.post("drop_database", database_id=2**40 + number, uid=uid)).code

    codes = await asyncio.gather(*(mixed(number) for number in range(300)))
    assert codes == [0, 0, 25013] * 100


async def test_failed_and_cancelled_requests_leave_no_connection_checked_out(
    settings: Settings,
) -> None:
    async with running(settings.model_copy(update={"pool_size": 5})) as app:
        services: Services = app.state.services
        api = await admin_api(app)
        uid = f"u{secrets.token_hex(6)}"

        async def failing(number: int) -> None:
            await api.post("drop_database", database_id=2**40 + number, uid=uid)

        async def cancelled(number: int) -> None:
            call = asyncio.create_task(
                api.post("create_database", database_name=f"c{number}", uid=uid)
            )
            # At some point of the request's way: in the pool's queue, in SQL, or after it.
            await asyncio.sleep(secrets.randbelow(40) / 1000)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call

        for start in range(0, 1000, 50):
            await asyncio.gather(
                *(
                    (failing if number % 2 else cancelled)(number)
                    for number in range(start, start + 50)
                )
            )
        await asyncio.wait_for(_until_idle(services.database), 10)
        assert (await api.get("databases", uid=uid)).code == 0
        await _assert_no_half_database(services)
        await api.client.aclose()


async def _until_idle(database: Database) -> None:
    while database.use().in_use:  # noqa: ASYNC110  the pool has no event to wait for
        await asyncio.sleep(0.02)


async def _assert_no_half_database(services: Services) -> None:
    from memory.doctor.repository import DoctorRepository

    drift = await services.database.transaction(lambda s: DoctorRepository(s).drift())
    assert drift == []


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-own-"))
    folder.chmod(0o711)
    with EmbeddedServer(folder, supervise=False, settings={"fsync": "off"}) as server:
        yield server


async def test_a_server_that_goes_away_gives_retryable_errors_until_it_is_back(
    own_server: EmbeddedServer,
) -> None:
    async with (
        control_database(own_server.superuser_url, connect_timeout=2) as settings,
        running(settings) as app,
    ):
        api = await admin_api(app)
        before = await api.create("before", uid="u1")
        own_server.stop()
        for _ in range(5):
            failed = await asyncio.wait_for(api.get("databases"), 5)
            assert (failed.status, failed.code) == (503, 25010)
            assert failed.error["retryable"] is True
            assert failed.headers["Retry-After"] == "1"
        own_server.start()
        assert (await api.get(f"databases/{before}")).code == 0
        await api.client.aclose()


async def test_a_backend_killed_in_the_middle_fails_its_request_alone(
    settings: Settings, admin_connection: Any
) -> None:
    async with database(settings) as made:

        async def killed(session: Session) -> None:
            pid = await run(session, "SELECT pg_backend_pid()")
            await admin_connection.execute("SELECT pg_terminate_backend($1)", pid)
            await run(session, "SELECT pg_sleep(5)")

        with pytest.raises(DatabaseUnavailable):
            await made.transaction(killed)
        assert await made.transaction(lambda session: run(session, "SELECT 1")) == 1
        assert made.use().in_use == 0


async def test_a_server_that_does_not_accept_gives_up_within_the_connect_timeout(
    settings: Settings,
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Never answer the start-up packet."""
        await reader.read()
        writer.close()
        left.set()

    left = asyncio.Event()
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        options = {"database_url": None, "database_host": "127.0.0.1", "database_port": port}
        async with database(settings, connect_timeout=0.3, **options) as made:
            with pytest.raises(DatabaseUnavailable):
                await asyncio.wait_for(
                    made.transaction(lambda session: run(session, "SELECT 1")), 2
                )
        await asyncio.wait_for(left.wait(), 5)


async def test_nothing_is_committed_when_the_answer_is_an_error(
    settings: Settings, counter: str
) -> None:
    async with database(settings) as made:

        async def fails(session: Session) -> None:
            await run(session, f"UPDATE {counter} SET n = 100")
            raise asyncpg.DataError("no")

        with pytest.raises(Exception, match="operation failed"):
            await made.transaction(fails)
        assert await made.transaction(lambda s: run(s, f"SELECT sum(n) FROM {counter}")) == 0
