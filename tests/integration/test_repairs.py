"""What catalog and control schema disagree about is mended, and data that has an owner kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.settings import Settings
from memory.doctor.service import drift
from memory.services import Services
from tests.api import Api
from tests.conftest import control_database, running, with_database
from tests.integration.test_clone import load, read
from tests.integration.test_transactions import admin_api

TABLE = "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1), (2)"


@dataclass
class Place:
    settings: Settings
    services: Services
    api: Api
    admin: Any

    async def differences(self) -> list[tuple[str, str]]:
        rows = await self.services.database.transaction(drift)
        return [(row.kind, row.name) for row in rows]

    async def repair(self) -> None:
        for kind, name in await self.differences():
            await self.services.database.transaction(
                lambda session, kind=kind, name=name: self.services.repairs(session).mend(  # type: ignore[misc]
                    kind, name
                )
            )


@pytest.fixture
async def place(admin_url: str) -> AsyncIterator[Place]:
    async with control_database(admin_url) as settings, running(settings) as app:
        name = urlsplit(settings.dsn or "").path.lstrip("/")
        admin = await asyncpg.connect(with_database(admin_url, name))
        api = await admin_api(app)
        yield Place(settings, app.state.services, api, admin)
        await api.client.aclose()
        await admin.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DROP SCHEMA {test} CASCADE",
        "DELETE FROM pgtwin.schema_meta WHERE database_id = {id} AND env = 'prod'",
        "DROP OWNED BY {app}; DROP ROLE {app}",
        "DELETE FROM pgtwin.schema_meta WHERE database_id = {id}; DROP SCHEMA {test} CASCADE",
    ],
)
async def test_a_live_database_gets_back_what_it_lacks(place: Place, uid: str, damage: str) -> None:
    database_id = await place.api.create("orders", uid=uid)
    await load(place.settings, database_id, uid, TABLE)
    await place.admin.execute(
        damage.format(
            id=database_id,
            test=SchemaName.of(Environment.TEST, uid, database_id),
            app=RoleName.app(Environment.TEST, database_id),
        )
    )
    assert await place.differences()
    await place.repair()
    assert await place.differences() == []
    assert await read(place.settings, database_id, uid, "SELECT count(*) FROM kept") == 2
    described = (await place.api.get(f"databases/{database_id}")).data
    assert [schema["env"] for schema in described["schemas"]] == ["prod", "test"]
    assert (await place.api.post("drop_database", database_id=database_id, uid=uid)).code == 0
    assert await place.differences() == []


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM pgtwin.database_meta WHERE id = {id}",
        "UPDATE pgtwin.database_meta SET deleted_at = now() WHERE id = {id};"
        "DELETE FROM pgtwin.schema_meta WHERE database_id = {id}",
        "DELETE FROM pgtwin.database_meta WHERE id = {id}; DROP SCHEMA {test} CASCADE",
    ],
)
async def test_what_belongs_to_no_live_database_is_dropped(
    place: Place, uid: str, damage: str
) -> None:
    other = await place.api.create("other", uid=uid)
    database_id = await place.api.create("orders", uid=uid)
    await load(place.settings, database_id, uid, TABLE)
    await load(place.settings, other, uid, TABLE)
    test = SchemaName.of(Environment.TEST, uid, database_id)
    await place.admin.execute(damage.format(id=database_id, test=test))
    assert await place.differences()
    await place.repair()
    assert await place.differences() == []
    left = await place.admin.fetchval(
        "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%' || $1", f"_{database_id}"
    )
    assert left == 0
    assert await read(place.settings, other, uid, "SELECT count(*) FROM kept") == 2
