"""The calls of the client, against a service on a socket."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from pgtwin import AsyncClient, Client, errors, models
from tests.client.conftest import Door

ITEMS = "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric)"


@pytest.fixture
async def database(client: AsyncClient) -> models.DatabaseRef:
    made = await client.create_database("shop", description="of the tests")
    await client.exec_ddl(made.id, ITEMS)
    return made


async def test_databases(client: AsyncClient, database: models.DatabaseRef, uid: str) -> None:
    found = await client.get_database(database.id)
    assert (found.id, found.name, found.uid, found.status) == (database.id, "shop", uid, "ready")
    assert found.description == "of the tests"
    assert [(each.env, each.tables) for each in found.schemas] == [("prod", 1), ("test", 1)]
    assert isinstance(found.create_at, datetime)
    await client.set_description(database.id, None)
    assert (await client.get_database(database.id)).description is None
    with pytest.raises(errors.NameTaken) as caught:
        await client.create_database("shop")
    assert (caught.value.code, caught.value.status, caught.value.type) == (25010, 409, "name_taken")
    assert caught.value.request_id
    assert caught.value.hint
    await client.drop_database(database.id)
    with pytest.raises(errors.DatabaseNotFound):
        await client.get_database(database.id)


async def test_pages_are_asked_for_as_needed(client: AsyncClient) -> None:
    made = [(await client.create_database(f"d{number}")).id for number in range(5)]
    found = [each.id async for each in client.list_databases(page_size=2)]
    assert found == made[::-1]
    found = [each.id async for each in client.list_databases(name_prefix="d3")]
    assert found == [made[3]]


async def test_sql(client: AsyncClient, database: models.DatabaseRef) -> None:
    done = await client.exec_dml(
        database.id, "INSERT INTO item VALUES ($1, $2, $3)", params=[[1, "tea", 2.5], [2, "oil", 9]]
    )
    assert done.affected == 2
    found = await client.exec_dml(
        database.id,
        "SELECT name, price FROM item ORDER BY id; SELECT count(*) AS n FROM item",
        read_only=True,
    )
    assert [each.command for each in found.statements] == ["SELECT", "SELECT"]
    assert found.statements[0].rows[0]["name"] == "tea"
    assert [each.name for each in found.statements[1].columns] == ["n"]
    assert found.statements[1].rows == [{"n": 2}]
    arrays = await client.exec_dml(database.id, "SELECT 1, 'x'", rows="arrays")
    assert (arrays.rows, arrays.value) == ([[1, "x"]], 1)
    assert (await client.exec_dml(database.id, "SELECT 1 WHERE false")).value is None
    plan = await client.exec_dml(database.id, "SELECT * FROM item", explain="plan")
    assert "Plan" in json.dumps(plan.rows)
    assert (await client.exec_dml(database.id, "SELECT count(*) FROM item", env="test")).value == 0
    with pytest.raises(errors.UnknownTable) as caught:
        await client.exec_dml(database.id, "SELECT * FROM nowhere")
    assert (caught.value.sqlstate, caught.value.position) == ("42P01", 15)
    with pytest.raises(errors.DdlNotAllowed):
        await client.exec_ddl(database.id, "CREATE ROLE x")
    told = await client.rehearse_ddl(database.id, "DROP TABLE item", env="test")
    assert {change["change"] for change in told.changes} == {"removed"}


async def test_rows_come_as_they_are_made(
    client: AsyncClient, database: models.DatabaseRef
) -> None:
    rows = client.stream_rows(database.id, "SELECT n FROM generate_series(1, 5000) AS n")
    assert [row["n"] async for row in rows] == list(range(1, 5001))
    none = client.stream_rows(database.id, "SELECT 1 WHERE false", rows="arrays")
    assert [row async for row in none] == []
    failing = "SELECT 1 / (4000 - n) AS n FROM generate_series(1, 5000) AS n"
    with pytest.raises(errors.StatementFailed) as caught:
        _ = [row async for row in client.stream_rows(database.id, failing)]
    assert caught.value.sqlstate == "22012"
    with pytest.raises(errors.UnknownTable):
        await anext(client.stream_rows(database.id, "SELECT * FROM nowhere"))


async def test_files(client: AsyncClient, database: models.DatabaseRef, tmp_path: Path) -> None:
    content = b"id,name,price\n1,tea,2.5\n2,oil,9\n"
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    assert (await client.upload_data(database.id, "item", path)).succeeded == 2
    again = await client.upload_data(database.id, "item", content, on_error="skip")
    assert (again.succeeded, again.failed, again.failed_rows[0].line) == (0, 2, 2)
    changed = await client.upload_data(
        database.id,
        "item",
        io.BytesIO(b'[{"id": 1, "price": 3}]'),
        name="new.json",
        mode="update",
        key=["id"],
    )
    assert changed.succeeded == 1
    with pytest.raises(errors.RowRefused):
        await client.upload_data(database.id, "item", content)
    exported = b"".join([part async for part in client.export_data(database.id, "item")])
    assert sorted(exported.splitlines()) == [b"1,tea,3", b"2,oil,9", b"id,name,price"]
    target = tmp_path / "out.ndjson"
    sql = "SELECT name FROM item ORDER BY id"
    written = await client.export_to(target, database.id, sql=sql, format="ndjson")
    assert written == target.stat().st_size
    assert target.read_text() == '{"name":"tea"}\n{"name":"oil"}\n'
    broken = tmp_path / "broken.csv"
    failing = "SELECT 1 / (100000 - n) AS q, repeat('x', 200) FROM generate_series(1, 200000) n"
    with pytest.raises(errors.StreamBroken):
        await client.export_to(broken, database.id, sql=failing)
    assert not broken.exists()
    assert not broken.with_name("broken.csv.part").exists()
    with pytest.raises(errors.UnknownTable):
        await client.export_to(broken, database.id, "nowhere")


async def test_what_there_is(client: AsyncClient, database: models.DatabaseRef) -> None:
    schema = await client.get_schema(database.id)
    assert [table["name"] for table in schema["tables"]] == ["item"]
    text = await client.get_schema_text(database.id, tables=["item"])
    assert "item" in text
    assert "CREATE TABLE" in await client.get_ddl(database.id)
    assert "tables" in await client.get_stats(database.id, env="test")


async def test_connections(client: AsyncClient, database: models.DatabaseRef) -> None:
    made = await client.create_connection(
        database.id, env="test", ttl_seconds=600, connection_limit=2, name="mine"
    )
    assert made.uri is not None
    assert made.uri not in repr(made)
    assert made.expires_at is not None
    assert made.expires_at - datetime.now(UTC) < timedelta(seconds=601)
    direct = await asyncpg.connect(made.uri)
    assert await direct.fetchval("SELECT count(*) FROM item") == 0
    await direct.close()
    rotated = await client.rotate_connection(made.connection_id)
    assert rotated.uri != made.uri
    await client.revoke_connection(made.connection_id)
    [listed] = [each async for each in client.list_connections(database.id)]
    assert (listed.connection_id, listed.status, listed.uri) == (
        made.connection_id,
        "revoked",
        None,
    )


async def test_clones_and_operations(client: AsyncClient, database: models.DatabaseRef) -> None:
    await client.exec_dml(database.id, "INSERT INTO item VALUES (1, 'tea', 2)")
    copy = await client.clone_database(database.id, "copy")
    assert (await client.exec_dml(copy.id, "SELECT name FROM item")).value == "tea"
    looks: list[models.Operation] = []
    ended = await client.wait_for_operation(copy.operation_id, timeout=10, progress=looks.append)
    assert (ended.state, ended.kind, ended.has_ended) == ("finished", "clone_database", True)
    assert looks == [ended]
    empty = await client.clone_database(database.id, "empty", env="prod", data="none")
    assert (await client.exec_dml(empty.id, "SELECT count(*) FROM item")).value == 0


async def test_applications(client: AsyncClient, database: models.DatabaseRef) -> None:
    await client.grant_app(database.id, "shop")
    await client.revoke_app(database.id, "shop")


async def test_the_blocking_client_does_the_same(
    blocking: Client, tmp_path: Path, door: Door
) -> None:
    def work() -> None:
        with blocking as client:
            made = client.create_database("shop")
            client.exec_ddl(made.id, ITEMS)
            client.exec_dml(made.id, "INSERT INTO item VALUES ($1, $2, 1)", params=[1, "tea"])
            assert client.exec_dml(made.id, "SELECT name FROM item").value == "tea"
            assert [each.name for each in client.list_databases()] == ["shop"]
            assert list(client.stream_rows(made.id, "SELECT 7 AS n")) == [{"n": 7}]
            client.upload_data(made.id, "item", b"id,name\n2,oil\n")
            assert client.export_to(tmp_path / "all.csv", made.id, "item") > 0
            with pytest.raises(errors.NameTaken):
                client.create_database("shop")
            client.drop_database(made.id)

    await asyncio.to_thread(work)
    assert door.url == blocking.url


async def test_fifty_calls_at_once(client: AsyncClient, database: models.DatabaseRef) -> None:
    done = await asyncio.gather(
        *(
            client.exec_dml(database.id, "INSERT INTO item VALUES ($1, 'x', 1)", params=[number])
            for number in range(50)
        )
    )
    assert sum(each.affected for each in done) == 50
