"""Create, describe, list, modify and drop, and what is in PostgreSQL afterwards."""

from typing import Any

from tests.api import Api


async def names_in_postgres(connection: Any, database_id: int) -> tuple[set[str], set[str]]:
    schemas = await connection.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%' || $1", f"_{database_id}"
    )
    roles = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE $1 || '%'", f"d{database_id}_"
    )
    return {row[0] for row in schemas}, {row[0] for row in roles}


async def test_create_makes_both_schemas_and_all_roles(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid, description="what people order")
    schemas, roles = await names_in_postgres(admin_connection, database_id)
    assert schemas == {f"prod_{uid}_{database_id}", f"test_{uid}_{database_id}"}
    stem = f"d{database_id}"
    assert roles == {
        f"{stem}_prod",
        f"{stem}_test",
        f"{stem}_prod_app",
        f"{stem}_test_app",
        f"{stem}_ddl",
    }


async def test_drop_leaves_a_tombstone_and_nothing_else(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    assert (await admin.post("drop_database", database_id=database_id, uid=uid)).code == 0
    assert await names_in_postgres(admin_connection, database_id) == (set(), set())
    row = await admin_connection.fetchrow(
        "SELECT deleted_at, update_by, (SELECT count(*) FROM pgtwin.schema_meta"
        " WHERE database_id = $1) AS schemas FROM pgtwin.database_meta WHERE id = $1",
        database_id,
    )
    assert row["deleted_at"] is not None
    assert (row["update_by"], row["schemas"]) == (uid, 0)
    assert await admin.create("orders", uid=uid) != database_id
