import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from core.postgres.engine import create_engine
from core.postgres.preparation import prepare
from core.settings import AuthMode, Settings
from core.telemetry import configure_logs
from memory.api_keys.service import NewKey
from memory.app import create_app
from memory.caller import USUAL, Scope
from memory.control_schema import migrate
from memory.services import Services
from tests.api import Api
from tests.server import PostgresForTests

# Programs under test get the signals that a terminal sends, even where a shell in the background
# has had them ignored.
for number, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)
# Projects of their own, whose tests are run as theirs.
collect_ignore = ["samples"]
# Several services share one server with 100 connections.
SESSIONS = 12
# The service's roles are shared by all databases of a server, so all workers use one secret.
MASTER_SECRET = "a-secret-of-the-tests-and-of-nothing-else"
_server = pytest.StashKey[PostgresForTests]()


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("PGTWIN_")]:
        del os.environ[name]
    Settings.model_config["env_file"] = None
    configure_logs(Settings(DATABASE_URL=None, log_format="json", log_level="error"))
    if hasattr(config, "workerinput") or config.option.collectonly:
        os.environ.pop("DATABASE_URL", None)
        return
    server = PostgresForTests()
    server.start()
    config.stash[_server] = server


def pytest_configure_node(node: Any) -> None:
    node.workerinput["admin_url"] = node.config.stash[_server].admin_url


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(_server, None)
    if server is not None:
        server.stop()


@pytest.fixture(scope="session")
def admin_url(request: pytest.FixtureRequest) -> str:
    """An administrator's URL of the server, for tests that make databases of their own."""
    given = getattr(request.config, "workerinput", None)
    url: str = given["admin_url"] if given else request.config.stash[_server].admin_url
    return url


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@asynccontextmanager
async def control_database(
    admin_url: str, harden: bool = True, **overrides: Any
) -> AsyncIterator[Settings]:
    """A prepared and migrated control database, dropped with all its roles at the end."""
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    url = with_database(admin_url, name)
    prepared = await prepare(url, MASTER_SECRET, harden=harden, log=lambda _line: None)
    settings = Settings(
        DATABASE_URL=SecretStr(prepared.control_url),
        owner_url=SecretStr(prepared.owner_url),
        master_secret=SecretStr(MASTER_SECRET),
        # What is dropped is gone, so that tests can see that nothing is left.
        **{"sql_sessions": SESSIONS, "drop_retention": 0, **overrides},
    )
    engine = create_engine(prepared.owner_url, settings, pooled=False)
    try:
        await migrate(engine)
        yield settings
    finally:
        await engine.dispose()
        await drop_control_database(admin_url, name)


async def drop_control_database(admin_url: str, name: str) -> None:
    """With all its roles, which would look like drift to the other services of the server."""
    connection = await asyncpg.connect(with_database(admin_url, name))
    try:
        # What a killed service has begun may end in the server long after it, and make roles.
        await connection.fetch(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            name,
        )
        if await connection.fetchval("SELECT to_regclass('pgtwin.database_meta')"):
            rows = await connection.fetch(
                "SELECT id FROM pgtwin.database_meta m WHERE EXISTS"
                " (SELECT FROM pg_roles WHERE starts_with(rolname, format('d%s_', m.id)))"
            )
            for row in rows:
                await connection.execute("SELECT pgtwin_admin.drop_roles($1)", row["id"])
    finally:
        await connection.close()
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def settings(admin_url: str) -> AsyncIterator[Settings]:
    """Settings of a service over this worker's control database."""
    async with control_database(admin_url) as settings:
        yield settings


@pytest.fixture(scope="session")
async def admin_connection(admin_url: str, settings: Settings) -> AsyncIterator[Any]:
    """A superuser's connection to the control database, to look at what is really there."""
    name = urlsplit(settings.dsn or "").path.lstrip("/")
    connection = await asyncpg.connect(with_database(admin_url, name))
    yield connection
    await connection.close()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    async with running(settings) as app:
        yield app


@pytest.fixture(scope="session")
def services(app: FastAPI) -> Services:
    found: Services = app.state.services
    return found


def http_client(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://pgtwin.test",
        headers=headers,
        timeout=60,
    )


MakeKey = Callable[..., Awaitable[str]]


async def token_of(
    services: Services,
    uid: str | None = None,
    *scopes: Scope,
    spaces: tuple[str, ...] = (),
    **options: Any,
) -> str:
    """The token of a new key of a uid, or with the scope admin."""
    default = {Scope.ADMIN} if uid is None else USUAL
    wanted = NewKey(
        uid=uid, scopes=frozenset(scopes or default), spaces=frozenset(spaces), **options
    )
    _, token = await services.database.transaction(
        lambda session: services.api_keys(session).create(wanted)
    )
    return token


@pytest.fixture(scope="session")
def make_key(services: Services) -> MakeKey:
    """Make a key of a uid, or with the scope admin; gives its token."""
    return partial(token_of, services)


@pytest.fixture(scope="session")
async def admin(app: FastAPI, make_key: MakeKey) -> AsyncIterator[Api]:
    """The API under an administrator's key, which acts for any uid."""
    async with http_client(app, Authorization=f"Bearer {await make_key()}") as client:
        yield Api(client)


@pytest.fixture
async def api_for(app: FastAPI, make_key: MakeKey) -> AsyncIterator[Callable[..., Awaitable[Api]]]:
    """The API under a new key of a uid."""
    clients: list[httpx.AsyncClient] = []

    async def make(uid: str | None, *scopes: Scope, **options: Any) -> Api:
        token = await make_key(uid, *scopes, **options)
        clients.append(http_client(app, Authorization=f"Bearer {token}"))
        return Api(clients[-1])

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture(scope="session")
async def drop_in(settings: Settings) -> AsyncIterator[Api]:
    """The drop-in mount of a service behind a gateway on this machine."""
    async with (
        running(settings.model_copy(update={"auth_mode": AuthMode.GATEWAY})) as app,
        http_client(app, **{"X-Consumer-Username": "app1"}) as client,
    ):
        yield Api(client, "/xingchen-db/v1")


@pytest.fixture
def uid() -> str:
    """A uid that no other test uses."""
    return f"u{secrets.token_hex(6)}"
