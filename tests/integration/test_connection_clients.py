"""Programs that people use, through the URIs that they are given, and through PgBouncer."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from core.postgres.embedded import bundled_binaries
from core.postgres.passwords import scram_verifier
from core.postgres.preparation import login_url
from core.postgres.public_address import PublicAddress
from core.settings import Settings
from tests.conftest import with_database
from tests.integration.test_connections import ENDED
from tests.places import Place, logged_in, place_on, schema
from tests.sql import NOTES, as_user

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "connections.md"
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PASSWORD = "one-of-the-tests"


@pytest.fixture(scope="module")
async def place(admin_url: str) -> AsyncIterator[Place]:
    async with place_on(admin_url) as found:
        yield found


async def program(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_psql(place: Place, uid: str) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("there is no psql")
    twin = await place.twin(uid)
    await twin.make("CREATE TABLE items (n int)")
    uri = await place.uri(twin, "test")
    sql = "INSERT INTO items VALUES (7) RETURNING n"
    assert (await program(psql, uri, "-qAtc", sql)).strip() == "7"
    assert "items" in await program(psql, uri, "-c", r"\dt")


async def test_sqlalchemy(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    uri = (await place.uri(twin)).replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(uri)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE items (n int)"))
            await connection.execute(text("INSERT INTO items VALUES (:n)"), {"n": 3})
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT n FROM items"))).scalar_one() == 3
    finally:
        await engine.dispose()
    assert await twin.rows("SELECT n FROM items") == [{"n": 3}]


async def test_dumps(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    await twin.rows("INSERT INTO notes (body) VALUES ('kept')", **as_user(uid, ""))
    pg_dump = str(bundled_binaries(18).pg_dump)
    for uri, options in (
        (await place.uri(twin), ()),
        (await place.reader(twin), ("--enable-row-security",)),
    ):
        dump = await program(pg_dump, uri, f"--schema={schema(twin).name}", *options)
        assert "CREATE TABLE" in dump
        assert "kept" in dump


async def test_passwords_are_good_with_the_verifier_of_one_iteration(
    place: Place, uid: str
) -> None:
    twin = await place.twin(uid)
    made = await place.connection(twin)
    stored = await place.admin.fetchval(
        "SELECT rolpassword FROM pg_authid WHERE rolname = $1", made["user"]
    )
    password = urlsplit(made["uri"]).password or ""
    assert len(password) == 43
    assert stored.startswith("SCRAM-SHA-256$1:")
    assert stored != scram_verifier(password)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(login_url(made["uri"], made["user"], password[:-1]))


# PgBouncer.


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@contextmanager
def pgbouncer(server: str) -> Iterator[str]:
    """The guide's PgBouncer in front of a server's database; gives its address."""
    parts = urlsplit(server)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-pgbouncer-"))
    folder.chmod(0o755)
    [ini] = blocks("ini")
    name = parts.path.lstrip("/")
    for old, new in (
        (
            "pgtwin = host=127.0.0.1 port=5432 dbname=pgtwin",
            f"{name} = host={parts.hostname} port={parts.port} dbname={name}",
        ),
        ("listen_port = 6432", f"listen_port = {port}\nunix_socket_dir ="),
        ("/etc/pgbouncer/userlist.txt", str(folder / "userlist.txt")),
        ("default_pool_size = 5", "default_pool_size = 1"),
        ("query_wait_timeout = 10", "query_wait_timeout = 2"),
    ):
        assert old in ini
        ini = ini.replace(old, new)
    (folder / "pgbouncer.ini").write_text(ini)
    (folder / "userlist.txt").write_text(f'"pgtwin_pgbouncer" "{PASSWORD}"\n')
    # It refuses to run as root.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PGBOUNCER or "", *user, str(folder / "pgbouncer.ini")], stdout=log, stderr=log
        )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


async def patiently(uri: str) -> asyncpg.Connection:
    """A connection to what has just been started."""
    for _ in range(50):
        try:
            return await asyncpg.connect(uri, statement_cache_size=0, timeout=5)
        except OSError:
            await asyncio.sleep(0.1)
    return await asyncpg.connect(uri, statement_cache_size=0, timeout=5)


@pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer")
async def test_pgbouncer_in_transaction_mode(place: Place, uid: str, admin_url: str) -> None:
    name = urlsplit(place.settings.dsn or "").path.lstrip("/")
    [sql] = blocks("sql")
    await place.admin.execute(sql.replace("CHOOSE-ONE", PASSWORD))
    try:
        with pgbouncer(with_database(admin_url, name)) as address:
            await through_pgbouncer(place, uid, address)
    finally:
        await place.admin.execute(
            "DROP OWNED BY pgtwin_pgbouncer; DROP ROLE pgtwin_pgbouncer;"
            "DROP FUNCTION public.pgtwin_login"
        )


async def through_pgbouncer(place: Place, uid: str, address: str) -> None:
    twin = await place.twin(uid)

    def behind(uri: str) -> str:
        parts = urlsplit(uri)
        return uri.replace(f"@{parts.hostname}:{parts.port}/", f"@{address}/")

    made = await place.connection(twin)
    first = await patiently(behind(made["uri"]))
    # Both share the one connection to the server.
    second = await patiently(behind(made["uri"]))
    await first.execute("CREATE TABLE items (n int)")
    for turn in range(3):
        for connection in (first, second):
            async with connection.transaction():
                await connection.execute(f"INSERT INTO items VALUES ({turn})")
                assert await connection.fetchval("SELECT current_user") == f"d{twin.id}_prod"
    assert await second.fetchval("SELECT count(*) FROM items") == 6
    reader = await patiently(behind(await place.reader(twin)))
    assert await reader.fetchval("SELECT count(*) FROM items") == 6
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reader.execute("DELETE FROM items")
    with pytest.raises(asyncpg.PostgresError):
        await patiently(behind(login_url(made["uri"], made["user"], "another")))
    revoked = await place.api.post(
        "revoke_connection", connection_id=made["connection_id"], uid=uid
    )
    assert revoked.code == 0, revoked.body
    with pytest.raises((asyncpg.PostgresError, *ENDED)):
        await first.fetchval("SELECT count(*) FROM items")
    with pytest.raises((asyncpg.PostgresError, TimeoutError, *ENDED)):
        await ask_late(behind(made["uri"]))
    for connection in (first, second, reader):
        connection.terminate()


async def ask_late(uri: str) -> None:
    await (await patiently(uri)).fetchval("SELECT 1", timeout=10)


# The address in a URI.


@pytest.mark.parametrize(
    ("dsn", "changes", "uri"),
    [
        ("postgresql://c:x@db.internal/pgtwin", {}, "db.internal:5432/pgtwin"),
        ("postgresql://c:x@[::1]:5433/pgtwin", {}, "[::1]:5433/pgtwin"),
        ("postgresql://c:x@a:1,b:2/pgtwin", {}, "a:1/pgtwin"),
        ("postgresql://c:x@/pgtwin?host=h&port=7", {}, "h:7/pgtwin"),
        ("postgresql://c:x@h/p?sslmode=require", {}, "h:5432/p?sslmode=require"),
        ("postgresql://c:x@h/p?sslmode=prefer", {}, "h:5432/p"),
        (
            "postgresql://c:x@h/p?sslmode=require",
            {"public_database_host": "pool", "public_database_port": 6432},
            "pool:6432/p?sslmode=require",
        ),
        (
            "postgresql://c:x@h/p",
            {"public_database_sslmode": "verify-full"},
            "h:5432/p?sslmode=verify-full",
        ),
        ("postgresql://c:x@h/a%20b", {}, "h:5432/a%20b"),
    ],
)
def test_the_address_in_a_uri(dsn: str, changes: dict[str, Any], uri: str) -> None:
    settings = Settings(DATABASE_URL=dsn, master_secret="m" * 32, **changes)
    assert PublicAddress.of(settings).uri("u", "p/:") == f"postgresql://u:p%2F%3A@{uri}"


async def test_a_uri_leads_where_the_settings_say(admin_url: str, uid: str) -> None:
    overrides = {"public_database_host": "pool.example", "public_database_port": 6432}
    async with place_on(admin_url, **overrides) as elsewhere:
        made = await elsewhere.connection(await elsewhere.twin(uid))
        assert (made["host"], made["port"]) == ("pool.example", 6432)
        assert "@pool.example:6432/" in made["uri"]


async def test_a_session_is_unaffected_by_the_one_that_made_it(place: Place, uid: str) -> None:
    """The service becomes the login for a moment, and is itself again."""
    twin = await place.twin(uid)
    async with logged_in(await place.uri(twin)):
        left = await place.admin.fetchval(
            "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
            " WHERE r.rolname LIKE $1 AND m.member = 'pgtwin_control'::regrole",
            f"d{twin.id}_c%",
        )
    assert left == 0
