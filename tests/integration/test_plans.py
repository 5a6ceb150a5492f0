"""What is found by its id is found through the key, also before there are statistics."""

from typing import Any

import pytest

from memory.connections import repository as connections
from memory.databases import repository as databases
from memory.ephemeral import repository as ephemeral

TABLES = ("database_meta", "schema_meta", "app_grant", "connection")
# The types that the service's driver finds out, in the order of the parameters.
QUERIES = {
    "find": (databases._FIND, "bigint, text, text, boolean", "1, NULL, '', true"),
    "describe": (
        databases._WHOLE,
        "bigint, text, text[], boolean, boolean",
        "1, NULL, '{}', true, true",
    ),
    "entry": (databases._ENTRY, "bigint", "1"),
    "connection": (connections._FIND, "bigint", "1"),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_database_is_read_through_its_key(admin_connection: Any, name: str) -> None:
    query, types, values = QUERIES[name]
    transaction = admin_connection.transaction()
    await transaction.start()
    try:
        # Copies that nothing has analyzed, and that a reading of all would cost dear.
        await admin_connection.execute("CREATE SCHEMA unknown")
        for table in TABLES:
            await admin_connection.execute(
                f"CREATE TABLE unknown.{table} (LIKE pgtwin.{table} INCLUDING ALL)"
            )
        await admin_connection.execute(
            "INSERT INTO unknown.database_meta (id, uid, name, create_by, update_by)"
            " SELECT 2147483648 + n, 'u', 'n' || n, 'u', 'u' FROM generate_series(1, 3000) AS n"
        )
        await admin_connection.execute(
            f"PREPARE looked_up ({types}) AS {query.replace('pgtwin.', 'unknown.')};"
            " SET LOCAL plan_cache_mode = force_generic_plan"
        )
        plan = await admin_connection.fetch(f"EXPLAIN EXECUTE looked_up ({values})")
    finally:
        await transaction.rollback()
        await admin_connection.execute("DEALLOCATE looked_up")
    lines = [line for (line,) in plan if " on database_meta" in line]
    assert len(lines) == 1
    assert "database_meta_pkey" in lines[0]


# What is looked for every second, or by label, among many that have none of it.
_LABELLED = (
    f"SELECT id FROM pgtwin.database_meta WHERE {databases._LIVE} AND labels <> '{{}}'::jsonb"
    " AND labels @> $1::text::jsonb ORDER BY id LIMIT 21"
)
SEARCHES = {
    "due": (ephemeral.DUE, "int", "100", {"expires_at", "restorable_until"}),
    "labelled": (_LABELLED, "text", '\'{"a": "b"}\'', {"labels"}),
}


@pytest.mark.parametrize("name", SEARCHES)
async def test_what_few_have_is_found_through_its_index(admin_connection: Any, name: str) -> None:
    query, types, values, indexes = SEARCHES[name]
    transaction = admin_connection.transaction()
    await transaction.start()
    try:
        await admin_connection.execute(
            "INSERT INTO pgtwin.database_meta (id, uid, name, create_by, update_by)"
            " SELECT 2147483648 + n, 'u', 'n' || n, 'u', 'u' FROM generate_series(1, 3000) AS n;"
            " ANALYZE pgtwin.database_meta;"
            f" PREPARE searched ({types}) AS {query};"
            " SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off"
        )
        plan = await admin_connection.fetch(f"EXPLAIN EXECUTE searched ({values})")
    finally:
        await transaction.rollback()
        await admin_connection.execute("DEALLOCATE searched")
    text = "\n".join(line for (line,) in plan)
    for index in indexes:
        assert f"ix_database_meta_{index}" in text, text
