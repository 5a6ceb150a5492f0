"""What the reads show: filters and pages of the list, and one database in detail."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.postgres.identifiers import Environment, SchemaName
from tests.api import Api

ApiFor = Callable[..., Awaitable[Api]]
SUMMARY = {
    "database_id", "database_id_str", "uid", "name", "description", "space_id", "status",
    "create_at", "update_at", "create_by", "update_by", "expires_at", "labels", "protected",
    "dropped_at", "restorable_until",
}  # fmt: skip


async def listed(api: Api, **query: Any) -> list[str]:
    page = (await api.get("databases", limit=100, **query)).data
    assert page["next_cursor"] is None
    return [row["name"] for row in page["databases"]]


async def create_many(api: Api, uid: str, count: int) -> list[int]:
    """Databases `n00`, `n01` ...; their ids, the newest first."""
    return [await api.create(f"n{number:02}", uid=uid) for number in range(count)][::-1]


async def next_page(api: Api, uid: str, cursor: str | None = None) -> tuple[list[int], str | None]:
    query = {"uid": uid, "limit": 10} | ({"cursor": cursor} if cursor else {})
    page = (await api.get("databases", **query)).data
    return [row["database_id"] for row in page["databases"]], page["next_cursor"]


async def rest(api: Api, uid: str, cursor: str | None) -> list[int]:
    ids: list[int] = []
    while cursor is not None:
        page, cursor = await next_page(api, uid, cursor)
        ids += page
    return ids


# The list.


async def test_the_newest_is_first_and_tombstones_are_absent(admin: Api, uid: str) -> None:
    ids = {name: await admin.create(name, uid=uid) for name in ("b", "a", "c")}
    assert await listed(admin, uid=uid) == ["c", "a", "b"]
    await admin.post("drop_database", database_id=ids["a"], uid=uid)
    assert await listed(admin, uid=uid) == ["c", "b"]
    await admin.create("a", uid=uid)
    assert await listed(admin, uid=uid) == ["a", "c", "b"]


async def test_a_row_says_all_but_the_schemas(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid, description="d")
    page = (await admin.get("databases", uid=uid)).data
    assert set(page) == {"databases", "next_cursor"}
    (row,) = page["databases"]
    assert set(row) == SUMMARY
    assert (row["database_id"], row["database_id_str"]) == (database_id, str(database_id))
    assert (row["name"], row["description"], row["status"]) == ("orders", "d", "ready")


async def test_the_filters_narrow_and_combine(admin: Api, api_for: ApiFor, uid: str) -> None:
    spaces = (f"s{uid}", f"s{uid}2")
    for owner in (uid, f"{uid}b"):
        api = await api_for(owner, spaces=spaces)
        await api.create("personal")
        await api.create("shared", space_id=f"s{uid}{'2' if owner != uid else ''}")
    assert await listed(admin, uid=uid) == ["shared", "personal"]
    assert await listed(admin, uid=uid, space_id="") == ["personal"]
    assert await listed(admin, uid=uid, space_id=spaces[0]) == ["shared"]
    assert await listed(admin, uid=uid, space_id=spaces[1]) == []
    assert await listed(admin, space_id=spaces[1]) == ["shared"]
    assert await listed(admin, uid=uid, name_prefix="p") == ["personal"]
    assert await listed(admin, uid=uid, space_id="", name_prefix="s") == []
    assert await listed(admin, uid=uid, name_prefix="") == ["shared", "personal"]
    assert await listed(admin, uid=uid.upper()) == []
    bound = await api_for(uid, spaces=spaces)
    assert await listed(bound) == ["shared", "shared", "personal"]
    assert await listed(bound, uid=uid) == ["shared", "personal"]
    assert await listed(bound, space_id=spaces[1]) == ["shared"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a", ["axb", "a_b", "ab"]),
        ("a_", ["a_b"]),
        ("a_b", ["a_b"]),
        ("A", ["AB"]),
        ("b", []),
        ("_", []),
        ("%", []),
        ("a%", []),
        ("%b", []),
        ("\\", []),
        ("a\\_", []),
        ("/", []),
        ("a/_", []),
        ("'", []),
        ("[a]", []),
        ("^a", []),
    ],
)
async def test_a_name_prefix_is_taken_literally(
    admin: Api, prefixes: str, prefix: str, expected: list[str]
) -> None:
    assert await listed(admin, uid=prefixes, name_prefix=prefix) == expected


@pytest.fixture(scope="module")
async def prefixes(admin: Api) -> str:
    """A uid with databases whose names begin alike."""
    owner = f"u{secrets.token_hex(6)}"
    for name in ("ab", "a_b", "axb", "AB"):
        await admin.create(name, uid=owner)
    return owner


async def test_pages_have_no_gap_and_no_repeat(admin: Api, uid: str) -> None:
    ids = await create_many(admin, uid, 25)
    pages: list[list[int]] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = await next_page(admin, uid, cursor)
        pages.append(page)
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [database_id for page in pages for database_id in page] == ids


async def test_pages_stay_whole_while_databases_come_and_go(admin: Api, uid: str) -> None:
    ids = await create_many(admin, uid, 25)
    first, cursor = await next_page(admin, uid)
    assert first == ids[:10]
    await admin.create("newer", uid=uid)
    # One that was shown, the one that the cursor stands at, and one that is still to come.
    for gone in (ids[3], ids[9], ids[14]):
        assert (await admin.post("drop_database", database_id=gone, uid=uid)).code == 0
    assert await rest(admin, uid, cursor) == [*ids[10:14], *ids[15:]]


@pytest.mark.parametrize(("count", "limit"), [(0, 1), (2, 2), (2, 3)])
async def test_the_last_page_has_no_cursor(admin: Api, uid: str, count: int, limit: int) -> None:
    ids = await create_many(admin, uid, count)
    page = (await admin.get("databases", uid=uid, limit=limit)).data
    assert [row["database_id"] for row in page["databases"]] == ids
    assert page["next_cursor"] is None


async def test_limit_is_20_unless_given_and_at_most_100(admin: Api, uid: str) -> None:
    await create_many(admin, uid, 21)
    for limit, shown in ((None, 20), (1, 1), (20, 20), (100, 21)):
        query = {} if limit is None else {"limit": limit}
        page = (await admin.get("databases", uid=uid, **query)).data
        assert len(page["databases"]) == shown
        assert (page["next_cursor"] is None) is (shown == 21)
    for limit in (0, -1, 101):
        refused = await admin.get("databases", uid=uid, limit=limit)
        assert (refused.status, refused.code) == (422, 25000)


@pytest.mark.parametrize("cursor", ["zz", "-1", "0", "g", "f" * 17, "1 1", "None", "é", "'"])
async def test_what_is_no_cursor_is_refused(admin: Api, uid: str, cursor: str) -> None:
    refused = await admin.get("databases", uid=uid, cursor=cursor)
    assert (refused.status, refused.code) == (422, 25000)
    assert [wrong["field"] for wrong in refused.error["details"]] == ["cursor"]


async def test_a_cursor_opens_nothing_that_is_not_ones_own(
    admin: Api, api_for: ApiFor, uid: str
) -> None:
    await create_many(admin, f"{uid}b", 11)
    _, cursor = await next_page(admin, f"{uid}b")
    assert await listed(await api_for(uid), cursor=cursor) == []


# One database.


async def detail(api: Api, database_id: int) -> dict[str, Any]:
    found = await api.get(f"databases/{database_id}")
    assert found.code == 0, found.body
    data: dict[str, Any] = found.data
    return data


def schema_of(data: dict[str, Any], environment: str) -> dict[str, Any]:
    return next(schema for schema in data["schemas"] if schema["env"] == environment)


async def test_the_detail_has_both_schemas(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    data = await detail(admin, database_id)
    assert set(data) == {*SUMMARY, "schemas"}
    for environment in ("prod", "test"):
        schema = schema_of(data, environment)
        assert schema["schema_name"] == f"{environment}_{uid}_{database_id}"
        assert (schema["tables"], schema["size_bytes"]) == (0, 0)
    assert len(data["schemas"]) == 2


async def test_sizes_and_tables_grow_with_what_is_made(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    prod = SchemaName.of(Environment.PROD, uid, database_id)
    await admin_connection.execute(f"CREATE TABLE {prod}.plain (id int)")
    empty = schema_of(await detail(admin, database_id), "prod")
    assert (empty["tables"], empty["size_bytes"]) == (1, 0)
    await admin_connection.execute(
        f"INSERT INTO {prod}.plain SELECT generate_series(1, 10000);"
        f"CREATE TABLE {prod}.wide AS"
        " SELECT string_agg(md5(g::text), '') AS t FROM generate_series(1, 999) g"
    )
    filled = schema_of(await detail(admin, database_id), "prod")
    assert filled["tables"] == 2
    assert filled["size_bytes"] >= 10_000 * 28
    await admin_connection.execute(f"CREATE INDEX ON {prod}.plain (id)")
    indexed = schema_of(await detail(admin, database_id), "prod")
    assert (indexed["tables"], indexed["size_bytes"] > filled["size_bytes"]) == (2, True)
    sizes = "SELECT pg_total_relation_size($1::regclass) + pg_total_relation_size($2::regclass)"
    total = await admin_connection.fetchval(sizes, f"{prod}.plain", f"{prod}.wide")
    assert indexed["size_bytes"] == total
    test = schema_of(await detail(admin, database_id), "test")
    assert (test["tables"], test["size_bytes"]) == (0, 0)


async def test_partitions_count_once(admin: Api, admin_connection: Any, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    prod = SchemaName.of(Environment.PROD, uid, database_id)
    await admin_connection.execute(
        f"CREATE TABLE {prod}.events (id int) PARTITION BY RANGE (id);"
        f"CREATE TABLE {prod}.e1 PARTITION OF {prod}.events FOR VALUES FROM (0) TO (500);"
        f"CREATE TABLE {prod}.e2 PARTITION OF {prod}.events DEFAULT PARTITION BY HASH (id);"
        f"CREATE TABLE {prod}.e3 PARTITION OF {prod}.e2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        f"INSERT INTO {prod}.events SELECT generate_series(0, 999);"
        f"CREATE VIEW {prod}.seen AS SELECT * FROM {prod}.events"
    )
    prod_now = schema_of(await detail(admin, database_id), "prod")
    bytes_of = "SELECT pg_total_relation_size($1::regclass) + pg_total_relation_size($2::regclass)"
    leaves = await admin_connection.fetchval(bytes_of, f"{prod}.e1", f"{prod}.e3")
    assert (prod_now["tables"], prod_now["size_bytes"]) == (1, leaves)
    assert leaves > 0


async def test_a_schema_that_somebody_dropped_hides_nothing_else(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    await admin_connection.execute(
        f"DROP SCHEMA {SchemaName.of(Environment.PROD, uid, database_id)}"
    )
    assert (await detail(admin, database_id))["name"] == "orders"
    assert (await admin.post("drop_database", database_id=database_id, uid=uid)).code == 0


def moment(value: str) -> datetime:
    """A stamp from the wire, which is in UTC."""
    found = datetime.fromisoformat(value)
    assert found.utcoffset() == timedelta(0)
    return found


async def test_stamps_are_the_databases_own_in_utc(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    before = await admin_connection.fetchval("SELECT clock_timestamp()")
    data = await detail(admin, await admin.create("orders", uid=uid))
    after = await admin_connection.fetchval("SELECT clock_timestamp()")
    for stamped in (data, *data["schemas"]):
        assert stamped["create_at"] == stamped["update_at"]
        assert before <= moment(stamped["create_at"]) <= after
    assert data["expires_at"] is None


async def test_a_change_moves_update_at_and_not_create_at(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid, description="before")
    before = await detail(admin, database_id)
    body = {"database_id": database_id, "uid": uid, "description": "after"}
    assert (await admin.post("modify_db_description", body)).code == 0
    after = await detail(admin, database_id)
    assert after["description"] == "after"
    assert after["create_at"] == before["create_at"]
    assert moment(after["update_at"]) > moment(before["update_at"])


async def test_stamps_name_who_acted_not_who_owns(api_for: ApiFor, uid: str) -> None:
    space, member = f"s{uid}", f"{uid}b"
    first = await api_for(uid, spaces=(space,))
    second = await api_for(member, spaces=(space,))
    await first.create("first", space_id=space)
    database_id = await second.create("second", space_id=space)
    made = await detail(first, database_id)
    assert made["uid"] == uid
    for stamped in (made, *made["schemas"]):
        assert (stamped["create_by"], stamped["update_by"]) == (member, member)
    body = {"database_id": database_id, "space_id": space, "description": "mine now"}
    assert (await first.post("modify_db_description", body)).code == 0
    changed = await detail(second, database_id)
    assert (changed["create_by"], changed["update_by"]) == (member, uid)


async def test_a_database_that_was_dropped_is_not_found(admin: Api, uid: str) -> None:
    database_id = await admin.create("orders", uid=uid)
    await admin.post("drop_database", database_id=database_id, uid=uid)
    gone = await admin.get(f"databases/{database_id}")
    assert (gone.status, gone.code) == (404, 25013)
