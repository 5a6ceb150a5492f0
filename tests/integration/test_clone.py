"""Clone a database, and what becomes of it when things go wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url
from core.settings import Settings
from tests.api import Api
from tests.conftest import MASTER_SECRET


@asynccontextmanager
async def owner_session(
    settings: Settings, database_id: int, environment: Environment, uid: str
) -> AsyncIterator[Any]:
    """A session as the owner of one environment, in its schema."""
    ddl = RoleName.ddl(database_id).name
    url = login_url(settings.dsn or "", ddl, derive(MASTER_SECRET, ddl))
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"SET ROLE {RoleName.owner(environment, database_id)};"
        f"SET search_path TO {SchemaName.of(environment, uid, database_id)}"
    )
    try:
        yield connection
    finally:
        await connection.close()


async def load(settings: Settings, database_id: int, uid: str, script: str) -> None:
    for environment in Environment:
        async with owner_session(settings, database_id, environment, uid) as session:
            await session.execute(script)


async def read(settings: Settings, database_id: int, uid: str, query: str) -> Any:
    async with owner_session(settings, database_id, Environment.PROD, uid) as session:
        return await session.fetchval(query)


ORDERS = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE customer (id bigserial PRIMARY KEY, name text NOT NULL, feels mood DEFAULT 'happy');
CREATE TABLE "Order" (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint REFERENCES customer ON DELETE CASCADE,
    total numeric(10, 2) CHECK (total >= 0), doubled numeric GENERATED ALWAYS AS (total * 2) STORED
);
CREATE INDEX ON "Order" (customer_id) WHERE total > 10;
CREATE VIEW rich AS SELECT c.name, sum(o.total) AS total FROM customer c
    JOIN "Order" o ON o.customer_id = c.id GROUP BY c.name;
INSERT INTO customer (name, feels) SELECT 'c' || i, 'sad' FROM generate_series(1, 10) i;
INSERT INTO "Order" (customer_id, total) SELECT 1 + i % 10, i FROM generate_series(1, 100) i;
"""


async def test_a_clone_has_everything_and_owes_nothing(
    admin: Api, settings: Settings, uid: str
) -> None:
    source = await admin.create("orders", uid=uid, description="what people order")
    await load(settings, source, uid, ORDERS)
    answer = await admin.post(
        "clone_database", database_id=source, uid=uid, new_database_name="copy"
    )
    assert answer.code == 0, answer.message
    copy = answer.data["database_id"]
    operation = await admin.get(f"operations/{answer.data['operation_id']}")
    assert operation.data["state"] == "finished"
    described = (await admin.get(f"databases/{copy}")).data
    assert (described["description"], described["status"]) == ("what people order", "ready")
    assert [schema["tables"] for schema in described["schemas"]] == [2, 2]
    assert (await admin.post("drop_database", database_id=source, uid=uid)).code == 0
    assert await read(settings, copy, uid, 'SELECT count(*) FROM "Order"') == 100
    assert await read(settings, copy, uid, "SELECT sum(total) FROM rich") == 5050
    inserted = 'INSERT INTO "Order" (customer_id, total) VALUES (1, 5) RETURNING id'
    assert await read(settings, copy, uid, inserted) == 101


async def test_two_clones_of_one_source_at_once(admin: Api, settings: Settings, uid: str) -> None:
    source = await admin.create("orders", uid=uid)
    await load(settings, source, uid, ORDERS)
    answers = await asyncio.gather(
        *(
            admin.post(
                "clone_database", database_id=source, uid=uid, new_database_name=f"copy{number}"
            )
            for number in range(4)
        )
    )
    assert [answer.code for answer in answers] == [0] * 4
    for answer in answers:
        rows = await read(settings, answer.data["database_id"], uid, 'SELECT count(*) FROM "Order"')
        assert rows == 100
