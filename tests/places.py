"""A service on a server, and databases in it as their users see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from core.postgres.identifiers import Environment, SchemaName
from core.settings import Settings
from memory.doctor.service import drift
from memory.services import Services
from tests.api import Api
from tests.conftest import control_database, running, with_database
from tests.integration.test_transactions import admin_api
from tests.sql import Twin


@asynccontextmanager
async def logged_in(uri: str, **options: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(uri, timeout=10, **options)
    try:
        yield connection
    finally:
        connection.terminate()


class Place:
    """A service, and databases in it as their users see them."""

    def __init__(self, settings: Settings, services: Services, api: Api, admin: Any) -> None:
        self.settings, self.services, self.api, self.admin = settings, services, api, admin

    async def twin(self, uid: str, name: str = "orders") -> Twin:
        return Twin(self.api, await self.api.create(name, uid=uid), uid)

    async def connection(self, twin: Twin, env: str = "prod", /, **fields: Any) -> dict[str, Any]:
        body = {"database_id": twin.id, "uid": twin.uid, "env": env, "connection_limit": 2}
        made = await self.api.post("create_connection", {**body, **fields})
        assert made.code == 0, made.body
        found: dict[str, Any] = made.data
        return found

    async def uri(self, twin: Twin, env: str = "prod", /, **fields: Any) -> str:
        return str((await self.connection(twin, env, **fields))["uri"])

    async def reader(self, twin: Twin, env: str = "prod") -> str:
        return await self.uri(twin, env, mode="read_only")

    async def roles(self, twin: Twin) -> set[str]:
        rows = await self.admin.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE $1", f"d{twin.id}_c%"
        )
        return {row["rolname"] for row in rows}

    async def differences(self) -> list[tuple[str, str]]:
        return [(row.kind, row.name) for row in await self.services.database.transaction(drift)]

    async def repair(self) -> None:
        for kind, name in await self.differences():
            await self.services.mend(kind, name)


@asynccontextmanager
async def place_on(admin_url: str, **overrides: Any) -> AsyncIterator[Place]:
    overrides = {"connection_limit_total": 1000, **overrides}
    async with control_database(admin_url, **overrides) as settings, running(settings) as app:
        name = urlsplit(settings.dsn or "").path.lstrip("/")
        admin = await asyncpg.connect(with_database(admin_url, name))
        api = await admin_api(app)
        try:
            yield Place(settings, app.state.services, api, admin)
        finally:
            await api.client.aclose()
            await admin.close()


def schema(twin: Twin, env: str = "prod") -> SchemaName:
    return SchemaName.of(Environment(env), twin.uid, twin.id)
