"""End users' files that the owner copies for them, and those that he may not."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from memory.transfer import upload as upload_module
from memory.transfer import upload_stamps
from tests.integration.statements.conftest import Owner
from tests.integration.statements.test_upload import ITEMS
from tests.sql import Twin, as_user
from tests.uploads import upload

ALICE, BOB = as_user("alice"), as_user("bob")
Between = Callable[[], Awaitable[None]]


class Ways:
    """Which way the files took: True where the owner copied."""

    def __init__(self) -> None:
        self.taken: list[bool] = []
        self.is_shut = False
        self.between: Between | None = None


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    found, real = Ways(), upload_stamps.stamps_of

    async def stamps_of(*given: Any) -> Any:
        stamps = None if found.is_shut else await real(*given)
        found.taken.append(stamps is not None)
        if found.between is not None:
            await found.between()
        return stamps

    monkeypatch.setattr(upload_module, "stamps_of", stamps_of)
    return found


@pytest.fixture
async def items(twin: Twin) -> Twin:
    await twin.make(ITEMS)
    return twin


FILES = {
    "plain": "sku,price\na,1\nb,2.50\n",
    "all columns": "id,uid,sku,price,at,day,is_new\n"
    "7,bob,a,1,2026-01-02 03:04:05,2026-01-02,true\n8,shop:bob,b,2,,,\n",
    "quoted": 'sku,price,data\n"a, b",1,"{""k"": [1, 2]}"\n"c\nd",2,\n"",3,""\n',
    "escapes": "sku,price\na\\tb,1\n\\.,2\n\\N,3\n",
    "carriage returns": "sku,price\r\na,1\r\n\r\nb,2\r\n",
    "old lines": "sku,price\ra,1\rb,2",
    "semicolons": "sku;price;tags\na;1;{x,y}\nb;2;\n",
    "one column": "price\n1\n2\n3\n",
    "unicode": "sku,price\nπŏ😀,1\n",
    "times of others": "sku,price,create_time,update_time\na,1,1999-01-01,1999-01-01\n",
    "too many": "sku,price\na,1,2\nb,1\n",
    "no number": "sku,price\na,1\nb,x\nc,2\n",
    "too long": f"sku,price\na,1\n{'x' * 21},1\nc,2\n",
    "twice": "sku,price\na,1\na,2\nc,3\n",
    "checked": "sku,price\na,1\nb,-1\nc,2\n",
    "null": "sku,price,uid\n,1,\n,,\n",
    "many": "sku,price\n" + "".join(f"s{n},{n + 1}\n" for n in range(30_000)),
    "many with faults": "sku,price\n" + "".join(f"s{n},{n % 9_000}\n" for n in range(20_000)),
}


async def both_ways(
    twin: Twin, ways: Ways, content: str, name: str = "rows.csv", **fields: Any
) -> list[Any]:
    """What is answered and stored: copied, and then row by row."""
    found = []
    for is_shut in (False, True):
        ways.is_shut = is_shut
        await twin.dml("DELETE FROM items")
        done = await upload(twin, content, name, table_name="items", **ALICE, **fields)
        rows = await twin.rows(
            "SELECT * FROM items ORDER BY sku, price, data LIMIT 1000", rows="objects"
        )
        [[total, ids]] = await twin.rows(
            "SELECT count(*), count(DISTINCT id) FROM items WHERE uid = 'shop:alice'", rows="arrays"
        )
        assert total == ids
        body = dict(done.body, sid="", exec_time=0)
        if done.code == 0:
            listed = body["data"].pop("success_rows")
            body["data"].pop("exec_time")
            stored = {row["id"] for row in rows}
            assert len(listed) == min(total, 1000)
            assert total > 1000 or set(listed) == stored
        for row in rows:
            assert row.pop("id") > 2**32
            row.pop("create_time", None)
        found.append((done.status, body, total, rows))
    assert ways.taken[-2:] == [True, False]
    return found


@pytest.mark.parametrize("skips", [False, True], ids=["abort", "skip"])
@pytest.mark.parametrize("name", FILES)
async def test_copied_rows_are_those_that_the_end_user_would_insert(
    items: Twin, ways: Ways, name: str, skips: bool
) -> None:
    extra = ", ADD COLUMN create_time TIMESTAMP, ADD COLUMN update_time TIMESTAMPTZ"
    await items.make("ALTER TABLE items ADD COLUMN note TEXT DEFAULT 'none'" + extra)
    fields = {"on_error": "skip"} if skips else {}
    copied, inserted = await both_ways(items, ways, FILES[name], **fields)
    for row in (*copied[3], *inserted[3]):
        assert row.pop("update_time") is not None
    if not skips and copied[0] != 200:
        # Where PostgreSQL does not name the row, its lines are told; COPY does name it.
        for each in (copied, inserted):
            each[1]["message"] = each[1]["message"].partition(" (between")[0]
            each[1]["error"]["details"] = None
    assert copied == inserted


async def test_json_is_copied_too(items: Twin, ways: Ways) -> None:
    content = '[{"sku": "a", "price": 1, "tags": ["x"]}, {"sku": "b", "price": 2, "data": {}}]'
    copied, inserted = await both_ways(items, ways, content, "rows.json")
    assert copied == inserted
    assert copied[2] == 2


async def test_stamps_are_those_of_the_moment_and_ids_are_as_the_trigger_makes_them(
    twin: Twin, ways: Ways
) -> None:
    await twin.make(
        "CREATE TABLE made (id BIGINT PRIMARY KEY, uid TEXT, create_time TIMESTAMP, n INT)"
    )
    done = await upload(twin, "n\n1\n2\n", table_name="made", **ALICE)
    await twin.rows("INSERT INTO made (n) VALUES (3)", **ALICE)
    rows = await twin.rows(
        "SELECT n, id, uid, now() AT TIME ZONE 'UTC' - create_time < '1 min' AS recent,"
        " (id >> 22) / 1000 + 1704067200 AS second, extract(epoch FROM now()) AS now"
        " FROM made ORDER BY id"
    )
    assert ways.taken == [True]
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert [row["id"] for row in rows[:2]] == done.data["success_rows"]
    assert {row["uid"] for row in rows} == {"shop:alice"}
    assert all(row["recent"] and abs(row["second"] - row["now"]) < 60 for row in rows)
    assert await twin.rows("SELECT * FROM made", **BOB) == []


async def test_details_of_others_rows_are_not_told(items: Twin, ways: Ways) -> None:
    await items.make("CREATE TABLE one (uid TEXT, code TEXT UNIQUE)")
    await upload(items, "code\nsecret\n", table_name="one", **BOB)
    for fields in ({}, {"on_error": "skip"}):
        done = await upload(items, "code\nx\nsecret\n", table_name="one", **ALICE, **fields)
        assert "already exists" not in str(done.body)
        assert "duplicate key" in str(done.body)
    assert ways.taken == [True] * 3


SLOW = {
    "a trigger": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'; CREATE TRIGGER t AFTER INSERT ON items EXECUTE FUNCTION f()",
    "no stamp": "ALTER TABLE items DISABLE TRIGGER pgtwin_stamp",
    "another stamp": "CREATE OR REPLACE TRIGGER pgtwin_stamp BEFORE INSERT ON items FOR EACH ROW"
    " EXECUTE FUNCTION pgtwin_rt.stamp('64', 'id')",
    "a rule": "CREATE RULE r AS ON INSERT TO items DO ALSO DELETE FROM items WHERE false",
    "a policy": "CREATE POLICY p ON items AS RESTRICTIVE USING (true) WITH CHECK (price < 100)",
    "another policy": "ALTER POLICY pgtwin_rows ON items WITH CHECK (price < 100)",
    "forced": "ALTER TABLE items FORCE ROW LEVEL SECURITY",
    "a check": "CREATE FUNCTION f(numeric) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
    " ALTER TABLE items ADD CHECK (f(price))",
    "who asks": "ALTER TABLE items ADD CHECK (current_user <> 'x')",
    "a default": "ALTER TABLE items ADD COLUMN who TEXT DEFAULT session_user",
    "a sequence": "ALTER TABLE items ADD COLUMN n SERIAL",
    "a generated column": "CREATE FUNCTION f(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS"
    " 'SELECT $1'; ALTER TABLE items ADD COLUMN n NUMERIC GENERATED ALWAYS AS (f(price)) STORED",
    "a domain": "CREATE DOMAIN d AS int CHECK (VALUE > 0); ALTER TABLE items ADD COLUMN n d",
    "an index": "CREATE FUNCTION f(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS"
    " 'SELECT $1'; CREATE INDEX ON items (f(price))",
    "a part of an index": "CREATE FUNCTION f(numeric) RETURNS boolean IMMUTABLE LANGUAGE sql AS"
    " 'SELECT true'; CREATE INDEX ON items (price) WHERE f(price)",
    "an operator": "CREATE FUNCTION f(numeric, numeric) RETURNS boolean LANGUAGE sql AS"
    " 'SELECT true'; CREATE OPERATOR === (FUNCTION = f, LEFTARG = numeric, RIGHTARG = numeric);"
    " ALTER TABLE items ADD CHECK (price === 1)",
    "a child": "CREATE TABLE child () INHERITS (items)",
    "an exclusion": "ALTER TABLE items ADD EXCLUDE (price WITH =)",
    "an id of its own": "ALTER TABLE items ALTER COLUMN id TYPE NUMERIC;"
    " ALTER TABLE items ALTER COLUMN id DROP DEFAULT; DROP TRIGGER pgtwin_stamp ON items;"
    " CREATE TRIGGER pgtwin_stamp BEFORE INSERT OR UPDATE ON items FOR EACH ROW"
    " WHEN (current_setting('pgtwin.ctx', true) <> '') EXECUTE FUNCTION pgtwin_rt.stamp('64')",
    "no right": "REVOKE INSERT ON items FROM {app}",
}


@pytest.mark.parametrize("what", SLOW)
async def test_where_anything_could_tell_them_apart_the_end_user_inserts(
    items: Twin, owner: Owner, ways: Ways, what: str
) -> None:
    async with owner(items) as session:
        await session.execute(SLOW[what].replace("{app}", f"d{items.id}_prod_app"))
    await upload(items, "sku,price\na,1\n", table_name="items", **ALICE)
    assert ways.taken[0] is False


FAST = {
    "an enum": "CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE items ADD COLUMN m mood",
    "a plain check": "ALTER TABLE items ADD CHECK (length(sku) < 30 AND price BETWEEN 0 AND 1e6)",
    "plain defaults": "ALTER TABLE items ADD COLUMN u UUID DEFAULT gen_random_uuid(),"
    " ADD COLUMN d DATE DEFAULT CURRENT_DATE, ADD COLUMN j JSONB DEFAULT '[]'",
    "a plain index": "CREATE INDEX ON items (lower(sku)) WHERE price > 5",
    "a reader": "CREATE POLICY pgtwin_reader ON items FOR SELECT TO {app} USING (true)",
    "a foreign key": "CREATE TABLE kinds (sku VARCHAR(20) PRIMARY KEY);"
    " INSERT INTO kinds VALUES ('a'); ALTER TABLE items ADD FOREIGN KEY (sku) REFERENCES kinds",
}


@pytest.mark.parametrize("what", FAST)
async def test_what_is_plain_is_copied(items: Twin, owner: Owner, ways: Ways, what: str) -> None:
    async with owner(items) as session:
        await session.execute(FAST[what].replace("{app}", f"d{items.id}_prod_app"))
    done = await upload(items, "sku,price\na,1\n", table_name="items", **ALICE)
    assert done.code == 0, done.body
    assert ways.taken == [True]
    assert len(await items.rows("SELECT * FROM items", **ALICE)) == 1
    refused = await upload(items, "sku,price\nb,-1\n", table_name="items", **ALICE)
    assert refused.code == 25202


async def test_nobody_alters_a_table_between_the_look_and_the_copy(
    items: Twin, owner: Owner, ways: Ways
) -> None:
    waited = []

    async def alter() -> None:
        async with owner(items) as session:
            await session.execute("SET lock_timeout = 200")
            for statement in (
                "CREATE TRIGGER t AFTER INSERT ON items FOR EACH ROW"
                " EXECUTE FUNCTION pgtwin_rt.stamp()",
                "CREATE POLICY p ON items AS RESTRICTIVE USING (true) WITH CHECK (false)",
                "ALTER TABLE items ADD CHECK (current_user = 'x')",
                "CREATE RULE r AS ON INSERT TO items DO INSTEAD NOTHING",
            ):
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await session.execute(statement)
                waited.append(statement)

    ways.between = alter
    done = await upload(items, "sku,price\na,1\n", table_name="items", **ALICE)
    assert done.code == 0, done.body
    assert (ways.taken, len(waited)) == ([True], 4)


async def test_a_uid_that_does_not_fit_is_told_as_by_the_stamp(items: Twin, ways: Ways) -> None:
    user = as_user("x" * 64, "shop")
    done = await upload(items, "sku,price\na,1\n", table_name="items", **user)
    assert done.code == 25000
    assert "64" in done.message
    assert ways.taken == [False]


async def test_names_that_have_to_be_quoted(twin: Twin, ways: Ways) -> None:
    await twin.make('CREATE TABLE "Odd ""name" ("Uid" TEXT, uid TEXT, "a,b" TEXT, "id" BIGINT)')
    content = 'Uid,"a,b"\nx,y\n'
    done = await upload(twin, content, table_name='Odd "name', **as_user('q"u\\o,t', "a"))
    assert done.code == 0, done.body
    [row] = await twin.rows('SELECT "Uid", uid, "a,b", id FROM "Odd ""name"')
    assert row == {"Uid": "x", "uid": 'a:q"u\\o,t', "a,b": "y", "id": done.data["success_rows"][0]}
    assert ways.taken == [True]
