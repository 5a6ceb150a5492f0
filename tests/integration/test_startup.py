"""What the service waits for, refuses and names when it starts."""

import asyncio
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from pydantic import SecretStr

from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import create_engine
from core.postgres.identifiers import Identifier
from core.postgres.preparation import login_url, prepare
from core.postgres.startup import StartupError, ensure_database, wait_for_server
from core.settings import Settings
from memory.control_schema import migrate
from memory.runtime import check, make_ready
from tests.conftest import MASTER_SECRET, control_database, with_database

Lines = list[str]


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def refusal(start: Awaitable[object]) -> str:
    """The one line with which a start is refused."""
    with pytest.raises(StartupError) as caught:
        await start
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert "hunter2" not in message
    return message


def at(url: str, port: int) -> str:
    """The same URL, through another port of this machine."""
    login = urlsplit(url).netloc.rpartition("@")[0]
    return urlunsplit(urlsplit(url)._replace(netloc=f"{login}@127.0.0.1:{port}"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(url: str, log: Lines, limit: float = 1) -> Coroutine[Any, Any, None]:
    return wait_for_server(url, limit=limit, connect_timeout=10, log=log.append)


@asynccontextmanager
async def login(admin_url: str, attributes: str = "") -> AsyncIterator[str]:
    """The URL of a new login."""
    name = f"login_{secrets.token_hex(4)}"
    await run(admin_url, f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2' {attributes}")
    try:
        yield login_url(admin_url, name, "hunter2")
    finally:
        await run(admin_url, f"DROP ROLE {name}")


@asynccontextmanager
async def database(admin_url: str, options: str = "") -> AsyncIterator[str]:
    """An administrator's URL of a new database that holds nothing."""
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    await run(admin_url, f"CREATE DATABASE {name} TEMPLATE template0 {options}")
    try:
        yield with_database(admin_url, name)
    finally:
        await run(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_port_where_nobody_listens_is_given_up_at_the_limit() -> None:
    log: Lines = []
    started = time.monotonic()
    url = f"postgresql://u:hunter2@127.0.0.1:{free_port()}/d"
    message = await refusal(wait(url, log))
    assert 1 <= time.monotonic() - started < 2
    assert message.startswith(f"PostgreSQL at {url.replace(':hunter2', '')} did not answer within")
    assert len(log) == 1
    assert "hunter2" not in log[0]


async def test_a_server_that_accepts_and_says_nothing_is_given_up_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        await refusal(wait(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d", []))
        assert time.monotonic() - started < 2


async def test_a_server_that_comes_up_late_is_waited_for(admin_url: str) -> None:
    port, parts = free_port(), urlsplit(admin_url)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(parts.hostname, parts.port or 5432)
        await asyncio.gather(forward(reader, upstream[1]), forward(upstream[0], writer))

    log: Lines = []
    waiting = asyncio.create_task(wait(at(admin_url, port), log, limit=10))
    await asyncio.sleep(0.6)
    assert not waiting.done()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await waiting
    assert len(log) == 1


async def test_a_wrong_password_fails_at_once(admin_url: str) -> None:
    started = time.monotonic()
    async with login(admin_url) as url:
        wrong = url.replace("hunter2", "hunter2-not")
        assert "refuses the login: password authentication failed" in await refusal(
            wait(wrong, [], limit=30)
        )
    assert time.monotonic() - started < 5


async def test_a_login_without_connect_fails_at_once_in_one_line(admin_url: str) -> None:
    async with database(admin_url) as url, login(admin_url) as other:
        name = urlsplit(url).path.lstrip("/")
        await run(admin_url, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        assert "permission denied" in await refusal(wait(with_database(other, name), [], limit=30))


@pytest.mark.parametrize(
    "rest", ["u:hunter2@127.0.0.1:port/d", "u:hunter2@[::1/d", "u:hunter2@h/d?sslmode=x"]
)
async def test_a_url_that_can_not_be_read_is_refused_in_one_line(rest: str) -> None:
    await refusal(wait(f"postgresql://{rest}", []))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_an_encoding_other_than_utf8_is_refused(admin_url: str, encoding: str) -> None:
    options = f"ENCODING '{encoding}' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    async with database(admin_url, options) as url:
        message = await refusal(prepare(url, MASTER_SECRET))
        assert encoding in message
        assert "ENCODING 'UTF8'" in message
        settings = Settings(DATABASE_URL=SecretStr(url), master_secret=SecretStr(MASTER_SECRET))
        assert await refusal(check(settings)) == message


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TABLE public.invoices ()", "public.invoices"),
        ("CREATE VIEW public.totals AS SELECT 1 AS n", "public.totals"),
        ("CREATE SCHEMA theirs", "theirs"),
    ],
)
async def test_a_database_with_objects_of_others_is_not_prepared(
    admin_url: str, statement: str, name: str
) -> None:
    async with database(admin_url) as url:
        await run(url, statement)
        assert name in await refusal(prepare(url, MASTER_SECRET))
        assert await fetch(url, "SELECT to_regnamespace('pgtwin')") is None


async def test_a_login_without_createrole_may_not_prepare(admin_url: str) -> None:
    async with database(admin_url) as url, login(admin_url) as other:
        name = urlsplit(url).path.lstrip("/")
        assert "CREATEROLE" in await refusal(prepare(with_database(other, name), MASTER_SECRET))


@pytest.mark.parametrize("name", ["", "postgres", "template1"])
async def test_the_servers_own_databases_are_not_prepared(admin_url: str, name: str) -> None:
    assert "name another" in await refusal(prepare(with_database(admin_url, name), MASTER_SECRET))


@pytest.fixture
def fresh_url() -> Iterator[str]:
    """A superuser's URL of a server that nothing was prepared on."""
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-"))
    folder.chmod(0o711)
    with EmbeddedServer(folder, settings={"fsync": "off"}) as server:
        yield server.superuser_url
    shutil.rmtree(folder, ignore_errors=True)


async def test_another_secret_is_refused_unless_it_is_to_replace_the_first(fresh_url: str) -> None:
    url, other = with_database(fresh_url, "pgtwin"), f"another-{MASTER_SECRET}"
    first = await prepare(url, MASTER_SECRET)
    assert "--new-secret" in await refusal(prepare(url, other))
    await run(first.control_url, "SELECT 1")
    second = await prepare(url, other, new_secret=True)
    await run(second.control_url, "SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(first.control_url, "SELECT 1")


async def test_a_missing_database_is_created_by_a_login_that_may(admin_url: str) -> None:
    name = f'a "quoted" ü/{secrets.token_hex(4)}'
    async with login(admin_url, "CREATEDB") as creator:
        url = with_database(creator, quote(name, safe=""))
        try:
            await ensure_database(url, log=print)
            await ensure_database(url, log=print)
            assert await fetch(url, "SELECT current_database()") == name
            assert await fetch(url, "SHOW server_encoding") == "UTF8"
        finally:
            await run(admin_url, f"DROP DATABASE IF EXISTS {Identifier(name)}")


async def test_a_login_that_may_not_create_the_database_gets_the_sql(admin_url: str) -> None:
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    async with login(admin_url) as other:
        url = with_database(other, name)
        message = await refusal(ensure_database(url, log=print))
        try:
            await run(admin_url, message[message.index("CREATE DATABASE") :])
            await ensure_database(url, log=print)
        finally:
            await run(admin_url, f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture(scope="module")
async def own(admin_url: str) -> AsyncIterator[Settings]:
    """Settings over a control database whose rights these tests may take away."""
    async with control_database(admin_url) as settings:
        yield settings


def admin_of(settings: Settings, admin_url: str) -> str:
    return with_database(admin_url, urlsplit(settings.dsn or "").path.lstrip("/"))


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS"])
async def test_a_login_that_is_too_strong_is_refused(
    admin_url: str, own: Settings, attribute: str
) -> None:
    async with login(admin_url, attribute) as url:
        strong = SecretStr(with_database(url, urlsplit(own.dsn or "").path.lstrip("/")))
        message = await refusal(check(own.model_copy(update={"database_url": strong})))
    assert "pgtwind init --admin-url" in message


async def test_an_unprepared_database_is_refused(admin_url: str, own: Settings) -> None:
    async with database(admin_url) as url:
        control = with_database(own.dsn or "", urlsplit(url).path.lstrip("/"))
        bare = own.model_copy(update={"database_url": SecretStr(control)})
        message = await refusal(check(bare))
    assert "not prepared" in message
    assert "pgtwind init --admin-url" in message


RIGHTS = [
    "CREATE ON DATABASE {database}",
    "USAGE ON SCHEMA pgtwin",
    "USAGE ON SCHEMA pgtwin_admin",
    "USAGE ON SCHEMA pgtwin_ext",
    "EXECUTE ON FUNCTION pgtwin_admin.create_roles(bigint, text, text, text)",
    "EXECUTE ON FUNCTION pgtwin_admin.close_roles(bigint)",
    "EXECUTE ON FUNCTION pgtwin_admin.drop_roles(bigint)",
    "EXECUTE ON FUNCTION pgtwin_admin.version()",
    *(f"{each} ON pgtwin.database_meta" for each in ("SELECT", "INSERT", "UPDATE")),
    *(f"{each} ON pgtwin.schema_meta" for each in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *(f"{each} ON pgtwin.instance_lease" for each in ("SELECT", "UPDATE")),
    *(f"{each} ON pgtwin.audit_entry" for each in ("SELECT", "INSERT")),
    *(f"{each} ON pgtwin.api_key" for each in ("SELECT", "INSERT")),
    *(
        f"UPDATE ({column}) ON pgtwin.api_key"
        for column in ("expires_at", "revoked_at", "last_used_at")
    ),
    *(f"{each} ON pgtwin.idempotency" for each in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    "EXECUTE ON FUNCTION pgtwin.lock_idempotency_key(bigint, text, text)",
    "SELECT ON pgtwin.alembic_version",
]
GRANTED = """
    SELECT array_agg(found ORDER BY found) FROM (
        SELECT concat_ws(' ', 'database', x.*) AS found FROM pg_database, aclexplode(datacl) AS x
            WHERE datname = current_database()
        UNION ALL SELECT concat_ws(' ', nspname, x.*) FROM pg_namespace, aclexplode(nspacl) AS x
        UNION ALL SELECT concat_ws(' ', relname, x.*) FROM pg_class, aclexplode(relacl) AS x
            WHERE relnamespace = 'pgtwin'::regnamespace
        UNION ALL SELECT concat_ws(' ', attname, x.*) FROM pg_attribute, aclexplode(attacl) AS x
        UNION ALL SELECT concat_ws(' ', proname, x.*) FROM pg_proc, aclexplode(proacl) AS x
            WHERE pronamespace::regnamespace::text IN ('pgtwin', 'pgtwin_admin')
    ) AS everything"""


@pytest.mark.parametrize("right", RIGHTS)
async def test_a_missing_right_is_named_with_the_sql_that_grants_it(
    admin_url: str, own: Settings, right: str
) -> None:
    url = admin_of(own, admin_url)
    right = right.format(database=urlsplit(url).path.lstrip("/"))
    # Tenants need the extensions' schema too, so this one is everybody's.
    grantee = "PUBLIC" if "pgtwin_ext" in right else "pgtwin_control"
    before = await fetch(url, GRANTED)
    await run(url, f"REVOKE {right} FROM {grantee}")
    try:
        message = await refusal(make_ready(own, print))
        kind, _, subject = right.partition(" ON ")
        assert kind.split()[0] in message
        assert subject.removeprefix("DATABASE ").removeprefix("SCHEMA ") in message
        await run(url, message[message.index("GRANT ") :])
        await make_ready(own, print)
        assert await fetch(url, GRANTED) == before
    finally:
        await run(url, f"GRANT {right} TO {grantee}")


async def test_a_schema_behind_the_release_without_the_owners_url_is_refused(
    admin_url: str,
) -> None:
    async with control_database(admin_url) as settings:
        alone = settings.model_copy(update={"owner_url": None})
        await make_ready(alone, print)
        engine = create_engine(
            str(settings.owner_url and settings.owner_url.get_secret_value()), settings
        )
        try:
            await migrate(engine, "base")
        finally:
            await engine.dispose()
        for _ in range(2):
            message = await refusal(make_ready(alone, print))
            assert "at nothing" in message
            assert "PGTWIN_OWNER_URL" in message
            await run(admin_of(settings, admin_url), "DROP TABLE IF EXISTS pgtwin.alembic_version")
        log: Lines = []
        await make_ready(settings, log.append)
        assert len(log) == 1


async def test_a_schema_behind_is_refused_even_where_its_version_can_not_be_read(
    admin_url: str, own: Settings
) -> None:
    url = admin_of(own, admin_url)
    alone = own.model_copy(update={"owner_url": None})
    await run(url, "REVOKE SELECT ON pgtwin.alembic_version FROM pgtwin_control")
    try:
        assert "alembic_version" in await refusal(make_ready(alone, print))
    finally:
        await run(url, "GRANT SELECT ON pgtwin.alembic_version TO pgtwin_control")


async def test_a_missing_role_function_is_told_with_the_command_that_makes_it(
    admin_url: str,
) -> None:
    async with control_database(admin_url) as settings:
        await run(admin_of(settings, admin_url), "DROP FUNCTION pgtwin_admin.close_roles(bigint)")
        message = await refusal(make_ready(settings, print))
        assert "close_roles" in message
        assert "pgtwind init" in message
