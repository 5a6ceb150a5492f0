"""Transactions that begin along with a login."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from core.errors import DatabaseUnavailable, StatementTimeout
from core.postgres.outcomes import Utility
from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import TenantServer
from core.postgres.tenant_sessions import TenantSessions
from tests.integration.test_preparation import own_server, run
from tests.integration.test_tenant_connection import Tap, carry
from tests.integration.test_tenant_logins import with_tls
from tests.tenants import BYTE_LIMIT

TOKYO = "BEGIN; SET LOCAL timezone = 'Asia/Tokyo'"
ZONE = "SELECT current_setting('timezone'), $1::int"
METHODS = ("md5", "password", "trust")
REFUSED = "BEGIN; SET LOCAL ROLE nobody_there"


def server_at(url: str) -> TenantServer:
    return TenantServer(url, timeout=30, byte_limit=BYTE_LIMIT)


async def begins(connection: TenantConnection, beginning: str = TOKYO) -> None:
    """It speaks as one whose transaction the beginning began, and then as one without any."""
    connection.begin_with(beginning)
    shown = await connection.run(ZONE, [1])
    assert [tuple(row) for row in shown.rows] == [("Asia/Tokyo", "1")]
    assert connection.has_begun
    assert connection.is_in_transaction()
    assert connection.get_settings().TimeZone == "Asia/Tokyo"
    await connection.execute("ROLLBACK")
    assert connection.is_reusable
    assert (await connection.run(ZONE, [2])).rows[0][0] == "UTC"


async def bit_by_bit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        for place in range(len(data)):
            writer.write(data[place : place + 1])
            await asyncio.sleep(0)
    writer.close()


class Logins:
    """Logins to a server, by a way on which is written down what goes out."""

    def __init__(self, server: TenantServer, tap: Tap) -> None:
        self.server, self.tap = server, tap

    @asynccontextmanager
    async def logged_in(self, beginning: str) -> AsyncIterator[TenantConnection]:
        connection = await self.server.log_in(beginning=beginning)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def watched(url: str, *, in_bits: bool = False) -> AsyncIterator[Logins]:
    """One login can be watched."""
    tap, parts, tasks = Tap(), urlsplit(url), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        tasks.append(asyncio.create_task(tap.carry(reader, back)))
        back_carry = bit_by_bit if in_bits else carry
        tasks.append(asyncio.create_task(back_carry(there, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    through = parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable")
    yield Logins(server_at(urlunsplit(through)), tap)
    await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("in_bits", [False, True])
async def test_it_goes_out_along_with_the_login_and_only_then(
    admin_url: str, in_bits: bool
) -> None:
    async with watched(admin_url, in_bits=in_bits) as logins, logins.logged_in(TOKYO) as tenant:
        assert logins.tap.kinds == "Q"
        assert not tenant.is_reusable
        await begins(tenant)
        assert logins.tap.kinds == "PDHBES" + "Q" + "PDHBES"


@pytest.mark.parametrize("waits", [False, True])
async def test_where_it_was_refused_nothing_is_executed(admin_url: str, waits: bool) -> None:
    async with watched(admin_url) as logins, logins.logged_in(REFUSED) as tenant:
        if waits:
            await asyncio.sleep(0.1)
        tenant.begin_with(REFUSED)
        assert "Q" in logins.tap.kinds
        with pytest.raises(asyncpg.InvalidParameterValueError, match="nobody_there"):
            await tenant.run("SELECT 1")
        assert not tenant.has_begun
        # Where it is known by then, the statement is not even sent.
        assert not (waits and logins.tap.kinds)


async def test_utilities_wait_until_it_is_done(admin_url: str) -> None:
    slow = "BEGIN; SELECT pg_sleep(0.2)"
    async with watched(admin_url) as logins, logins.logged_in(slow) as tenant:
        tenant.begin_with(slow)
        assert logins.tap.kinds == "Q"
        (made,) = await tenant.run_utilities([Utility("CREATE TEMP TABLE a ()")])
        assert made.tag == "CREATE TABLE"
        assert logins.tap.kinds == "QPBES"
        await tenant.execute("ROLLBACK")
    refused = f"{slow}; SET LOCAL ROLE nobody_there"
    async with watched(admin_url) as logins, logins.logged_in(refused) as tenant:
        tenant.begin_with(refused)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="nobody_there"):
            await tenant.run_utilities([Utility("CREATE TEMP TABLE a ()")])
        await tenant.execute("ROLLBACK")
        found = await tenant.run("SELECT to_regclass('pg_temp.a')")
        assert found.rows[0][0] is None


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    "act",
    [
        TenantConnection.begin_now,
        lambda tenant: tenant.execute("COMMIT; RESET ALL"),
        lambda tenant: tenant.copy_in("COPY nothing FROM STDIN", b""),
        lambda tenant: tenant.describe("SELECT 1", timeout=5),
    ],
    ids=["begin", "execute", "copy", "describe"],
)
async def test_whatever_comes_first_is_told_of_the_refusal(
    admin_url: str, act: Callable[[TenantConnection], Awaitable[Any]], waits: bool
) -> None:
    async with watched(admin_url) as logins, logins.logged_in(REFUSED) as tenant:
        if waits:
            await asyncio.sleep(0.1)
        tenant.begin_with(REFUSED)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="nobody_there"):
            await act(tenant)
        assert not tenant.has_begun
        await tenant.execute("ROLLBACK")
        assert tenant.is_reusable


async def test_nothing_is_done_outside_of_a_transaction(admin_url: str) -> None:
    refused = "SET nothing_of_the_kind = 1; BEGIN"
    async with watched(admin_url) as logins, logins.logged_in(refused) as tenant:
        tenant.begin_with(refused)
        with pytest.raises(asyncpg.UndefinedObjectError, match="nothing_of_the_kind"):
            await tenant.execute("CREATE TEMP TABLE a ()")
        await tenant.execute("ROLLBACK")
        found = await tenant.run("SELECT to_regclass('pg_temp.a')")
        assert found.rows[0][0] is None


async def test_to_begin_now_takes_no_snapshot(admin_url: str) -> None:
    repeatable = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    async with watched(admin_url) as logins, logins.logged_in(repeatable) as tenant:
        tenant.begin_with(repeatable)
        assert tenant.has_only_begun
        await tenant.begin_now()
        assert not tenant.has_only_begun
        await tenant.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        await tenant.execute("SET TRANSACTION READ ONLY; ROLLBACK")


async def test_utilities_wait_no_longer_than_they_may(admin_url: str) -> None:
    endless = "BEGIN; SELECT pg_sleep(60)"
    async with watched(admin_url) as logins, logins.logged_in(endless) as tenant:
        tenant.begin_with(endless)
        with pytest.raises(StatementTimeout):
            await tenant.run_utilities([Utility("CREATE TEMP TABLE a ()")], timeout=0.1)
        await tenant.execute("ROLLBACK")
        assert tenant.is_reusable


async def test_it_goes_out_once_where_a_password_is_asked_for_twice() -> None:
    said: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4), "big")
        await reader.readexactly(length - 4)
        for _ in range(2):
            writer.write(b"R\0\0\0\x08\0\0\0\3")
            said.append(await reader.read(1_000))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://a:secret@127.0.0.1:{port}/a?sslmode=disable"
        with pytest.raises((OSError, asyncpg.PostgresConnectionError, DatabaseUnavailable)):
            await server_at(url).log_in(beginning=TOKYO)
    assert [TOKYO.encode() in each for each in said] == [True, False]
    assert all(b"secret" in each for each in said)


async def test_another_can_not_begin_in_its_place(admin_url: str) -> None:
    tenant = await server_at(admin_url).log_in(beginning=TOKYO)
    with pytest.raises(asyncpg.InterfaceError):
        tenant.begin_with("BEGIN")
    assert tenant.is_closed()


async def test_a_session_that_nobody_went_on_with_is_nobody_elses(admin_url: str) -> None:
    server = server_at(admin_url)

    async def log_in(_login: str, beginning: str) -> TenantConnection:
        return await server.log_in(beginning=beginning)

    sessions = TenantSessions(log_in, limit=2, per_login=2, idle=60, patience=10)
    # The first learns that there is no TLS.
    async with sessions.session("a", lambda: TOKYO) as first:
        await begins(first)
    async with sessions.session("a") as again:
        assert again is first
        async with sessions.session("a", lambda: TOKYO) as second:
            pass
        assert second.is_closed()
        async with sessions.session("a", lambda: TOKYO) as third:
            await begins(third)
    await asyncio.gather(*sessions._ending)
    sessions.close_idle()


@pytest.fixture(scope="module")
def methods() -> Iterator[str]:
    """A server that asks each login for its password by a method of its own."""
    with own_server() as url:
        file = Path(asyncio.run(prepare(url)))
        lines = "".join(f"host all by_{name} all {name}\n" for name in METHODS)
        file.write_text(lines + file.read_text())
        asyncio.run(run(url, "SELECT pg_reload_conf()"))
        yield url


async def prepare(url: str) -> str:
    """Make a login for each method; gives the file that says which it is."""
    admin = await asyncpg.connect(url)
    try:
        await admin.execute("SET password_encryption = 'md5'")
        for name in METHODS:
            await admin.execute(f"CREATE ROLE by_{name} LOGIN PASSWORD 'x'")
        file: str = await admin.fetchval("SHOW hba_file")
        return file
    finally:
        await admin.close()


@pytest.mark.parametrize("method", METHODS)
async def test_by_whatever_method_the_password_is_asked_for(methods: str, method: str) -> None:
    parts = urlsplit(methods)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"by_{method}:x@{host}"))
    async with watched(url) as logins, logins.logged_in(TOKYO) as tenant:
        # Nothing is asked for where everybody is trusted, and it goes out as ever.
        assert logins.tap.kinds == ("" if method == "trust" else "Q")
        await begins(tenant)


async def test_a_wrong_password(methods: str) -> None:
    await run(methods, "CREATE ROLE somebody LOGIN PASSWORD 'x'")
    host = urlsplit(methods).netloc.rpartition("@")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await server_at(f"postgresql://somebody:y@{host}/postgres").log_in(beginning=TOKYO)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("mode", ["require", "prefer"])
async def test_with_tls(mode: str) -> None:
    # Debian's, for the embedded ones are built without.
    with own_server(15) as url:
        await with_tls(url)
        tenant = await server_at(f"{url}?sslmode={mode}").log_in(beginning=TOKYO)
        assert not tenant.is_reusable
        await begins(tenant)
        await tenant.close()
