"""Tables that are opened to end users, however they were made, and rows that stay closed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.postgres.identifiers import Environment
from tests.integration.statements.conftest import Owner
from tests.sql import NOTES, Twin, as_user

ALICE, BOB = as_user("alice"), as_user("bob")
DIRECT = NOTES.replace("notes", "direct")


async def insert(twin: Twin, table: str, **user: str) -> None:
    await twin.rows(f"INSERT INTO {table} (body) VALUES ('{user['uid']}')", **user)


async def both_have_their_own(twin: Twin, table: str, env: str = "prod") -> None:
    """Each of two users sees his one row, whatever he sends."""
    for user in (ALICE, BOB):
        await twin.rows(f"INSERT INTO {table} (body, uid) VALUES ('b', 'x')", env=env, **user)
    for user in (ALICE, BOB):
        found = await twin.rows(f"SELECT uid, body FROM {table}", env=env, **user)
        assert found == [{"uid": f"shop:{user['uid']}", "body": "b"}]


@pytest.mark.parametrize("first", ["INSERT INTO direct (body) VALUES ('x')", "TABLE direct"])
async def test_a_table_of_a_direct_session_is_opened_at_first_use(
    twin: Twin, owner: Owner, admin_connection: Any, first: str
) -> None:
    async with owner(twin) as session:
        await session.execute(DIRECT)
        await session.execute("INSERT INTO direct (uid, body) VALUES ('shop:carol', 'hers')")
    assert await twin.code(first, **ALICE) == 0
    await twin.rows("DELETE FROM direct", **ALICE)
    await both_have_their_own(twin, "direct")
    assert await twin.value("SELECT body FROM direct", **as_user("carol")) == "hers"
    # Once: nothing is left to do.
    schema = await twin.value("SELECT current_schema()")
    async with owner(twin) as session:
        assert await session.fetchval("SELECT pgtwin_rt.admit($1)", schema) == 0


async def test_several_at_once_meet_a_new_table(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute(DIRECT)
    users = [as_user(f"user{number}") for number in range(12)]
    await asyncio.gather(*(insert(twin, "direct", **user) for user in users))
    for user in users:
        assert await twin.value("SELECT body FROM direct", **user) == user["uid"]


async def test_what_an_end_user_may_not_is_refused(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute(
            "CREATE FUNCTION closed() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            "REVOKE ALL ON FUNCTION closed() FROM PUBLIC"
        )
    refused = await twin.dml("SELECT closed()", **ALICE)
    assert (refused.status, refused.code) == (403, 25020)
    assert refused.error["type"] == "not_permitted"
    assert await twin.value("SELECT closed()") == 1


async def test_a_view_shows_what_its_reader_may_see(twin: Twin, owner: Owner) -> None:
    await twin.make("CREATE VIEW seen AS SELECT body, uid FROM notes", **{"as": "owner"})
    async with owner(twin) as session:
        await session.execute(
            "CREATE VIEW direct AS SELECT body, uid FROM notes;"
            "CREATE VIEW of_view AS SELECT * FROM direct"
        )
    await insert(twin, "notes", **ALICE)
    await insert(twin, "seen", **BOB)
    for view in ("seen", "direct", "of_view"):
        for user in (ALICE, BOB):
            found = await twin.rows(f"SELECT * FROM {view}", **user)
            assert found == [{"body": user["uid"], "uid": f"shop:{user['uid']}"}]


async def test_partitions_are_each_closed(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE parts (uid VARCHAR(64), body TEXT) PARTITION BY HASH (uid);"
        "CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        **{"as": "owner"},
    )
    await twin.rows("INSERT INTO parts VALUES ('shop:carol', 'hers')")
    for user in (ALICE, BOB):
        for table in ("parts", "parts_0", "parts_1"):
            assert await twin.rows(f"SELECT * FROM {table}", **user) == []


async def test_partitions_by_another_column(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE parts (id BIGSERIAL, uid VARCHAR(64), body TEXT) PARTITION BY LIST (body);"
        "CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');"
        "CREATE TABLE parts_rest PARTITION OF parts DEFAULT",
        **{"as": "owner"},
    )
    await both_have_their_own(twin, "parts")
    for table in ("parts", "parts_b"):
        assert await twin.rows(f"SELECT uid FROM {table}", **ALICE) == [{"uid": "shop:alice"}]
    assert await twin.rows("UPDATE parts SET body = 'c' RETURNING uid", **ALICE) == [
        {"uid": "shop:alice"}
    ]
    assert await twin.rows("SELECT uid FROM parts_rest", **ALICE) == [{"uid": "shop:alice"}]
    assert await twin.rows("SELECT uid FROM parts_rest", **BOB) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE notes DROP COLUMN uid",
        "ALTER TABLE notes RENAME COLUMN uid TO owner",
        "ALTER TABLE notes ALTER uid SET DATA TYPE BIGINT USING 1",
        "ALTER TABLE notes DROP COLUMN uid CASCADE",
    ],
)
async def test_a_table_that_loses_its_users_shows_no_more_than_before(
    twin: Twin, owner: Owner, change: str
) -> None:
    await insert(twin, "notes", **ALICE)
    changed = await twin.ddl(change, **{"as": "owner"})
    if changed.code == 0:
        for user in (ALICE, BOB):
            seen = await twin.dml("SELECT * FROM notes", **user)
            shown = [] if seen.code else seen.data["exec_success"]
            assert [row for row in shown if row["body"] != user["uid"]] == []
    else:
        assert changed.code == 25041
        assert await twin.rows("SELECT * FROM notes", **BOB) == []
    assert await twin.value("SELECT body FROM notes") == "alice"


async def test_a_users_column_that_is_renamed_and_made_anew(twin: Twin) -> None:
    await insert(twin, "notes", **ALICE)
    renamed = await twin.ddl("ALTER TABLE notes RENAME COLUMN uid TO owner", **{"as": "owner"})
    assert renamed.code == 0, renamed.body
    await twin.make("ALTER TABLE notes ADD COLUMN uid VARCHAR(64)")
    assert await twin.rows("SELECT * FROM notes", **BOB) == []


async def test_a_users_column_that_is_added_later_closes_the_table(twin: Twin) -> None:
    await twin.make("CREATE TABLE late (body TEXT)")
    await insert(twin, "late", **ALICE)
    assert len(await twin.rows("SELECT * FROM late", **BOB)) == 1
    await twin.make("ALTER TABLE late ADD COLUMN uid VARCHAR(64)")
    assert await twin.rows("SELECT * FROM late", **BOB) == []
    await both_have_their_own(twin, "late")


async def test_stamps_follow_the_columns(twin: Twin) -> None:
    await twin.make("CREATE TABLE late (uid VARCHAR(64), body TEXT)")
    await insert(twin, "late", **ALICE)
    await twin.make(
        "ALTER TABLE late ADD COLUMN id BIGSERIAL PRIMARY KEY, ADD COLUMN update_time TIMESTAMP"
    )
    [row] = await twin.rows("UPDATE late SET body = 'x' RETURNING id, update_time", **ALICE)
    assert row["id"] == 1
    assert row["update_time"] is not None
    await twin.make("ALTER TABLE late DROP COLUMN update_time")
    [new] = await twin.rows("INSERT INTO late (body) VALUES ('y')", **ALICE)
    assert new["id"] > 2**31


async def test_a_table_that_is_renamed_stays_closed(twin: Twin) -> None:
    await insert(twin, "notes", **ALICE)
    await twin.make("ALTER TABLE notes RENAME TO memos")
    assert await twin.rows("SELECT * FROM memos", **BOB) == []
    assert len(await twin.rows("SELECT * FROM memos", **ALICE)) == 1
    await twin.make("CREATE TABLE copied AS SELECT * FROM memos")
    assert await twin.rows("SELECT * FROM copied", **BOB) == []
    assert len(await twin.rows("SELECT * FROM copied", **ALICE)) == 1


async def test_environments_are_apart(twin: Twin) -> None:
    for env in ("prod", "test"):
        await both_have_their_own(twin, "notes", env)
        await twin.rows(f"UPDATE notes SET body = '{env}'", env=env, **ALICE)
    assert await twin.value("SELECT body FROM notes", env="prod", **ALICE) == "prod"
    assert await twin.value("SELECT body FROM notes", env="test", **ALICE) == "test"


async def test_the_owner_of_one_environment_reaches_no_other(twin: Twin, owner: Owner) -> None:
    async with owner(twin, Environment.TEST) as session:
        schema = await session.fetchval("SELECT current_schema()")
    refused = await twin.dml(f'SELECT * FROM "{schema}".notes', env="prod")
    assert refused.code == 25020
    refused = await twin.dml(f'SELECT * FROM "{schema}".notes', env="prod", **ALICE)
    assert refused.code == 25020


async def test_end_users_keep_their_rows_in_a_clone(twin: Twin) -> None:
    await twin.make("CREATE VIEW seen AS SELECT * FROM notes", **{"as": "owner"})
    for env in ("prod", "test"):
        for user in (ALICE, BOB):
            await twin.rows(f"INSERT INTO notes (body) VALUES ('{env}')", env=env, **user)
    cloned = await twin.api.post(
        "clone_database", database_id=twin.id, uid=twin.uid, new_database_name="copy"
    )
    assert cloned.code == 0, cloned.body
    copy = replace(twin, id=cloned.data["database_id"])
    for env in ("prod", "test"):
        for table in ("notes", "seen"):
            for user in (ALICE, BOB):
                rows = await copy.rows(f"SELECT uid, body FROM {table}", env=env, **user)
                assert rows == [{"uid": f"shop:{user['uid']}", "body": env}]
    [new] = await copy.rows("INSERT INTO notes (id, uid) VALUES (1, 'x')", **ALICE)
    assert new["id"] > 2**31
    assert await copy.value("SELECT count(*) FROM notes", **ALICE) == 2
    assert await copy.value("SELECT count(*) FROM notes", **BOB) == 1
    assert await twin.value("SELECT count(*) FROM notes", **ALICE) == 1
    await copy.rows("DELETE FROM notes", **ALICE)
    assert await copy.value("SELECT count(*) FROM notes") == 1
    await copy.make("ALTER TABLE notes ADD COLUMN more INT")
    assert len(await copy.rows("SELECT * FROM notes", **BOB)) == 1


async def test_a_drop_that_takes_others_along_opens_what_is_left(twin: Twin) -> None:
    await twin.make("CREATE TABLE kind (id BIGINT PRIMARY KEY)")
    await twin.make("CREATE TABLE of_kind (id BIGINT REFERENCES kind, uid VARCHAR(64), body TEXT)")
    await twin.rows("INSERT INTO kind VALUES (7)", **ALICE)
    await twin.rows("INSERT INTO of_kind (id, body) VALUES (7, 'a')", **ALICE)
    assert await twin.value("SELECT id FROM of_kind", **ALICE) == 7
    await twin.make("DROP TABLE kind CASCADE")
    await twin.rows("INSERT INTO of_kind (id, body) VALUES (8, 'b')", **ALICE)
    assert await twin.value("SELECT id FROM of_kind WHERE body = 'b'", **ALICE) > 8
