"""What an end user can't do with a file: other people's rows, the owner's rights, other tables."""

from typing import Any

import pytest

from memory.caller import Scope
from tests.integration.statements.conftest import Owner
from tests.integration.statements.test_upload import ITEMS
from tests.sql import Twin, as_user
from tests.uploads import upload

ALICE, BOB = as_user("alice"), as_user("bob")
PLANTED = """
CREATE FUNCTION plant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen VALUES (current_user, session_user, (SELECT count(*) FROM items));
    {}
    RETURN NEW;
END $$;
CREATE TRIGGER plant BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION plant();
"""


@pytest.fixture
async def items(twin: Twin) -> Twin:
    """With a row of bob's."""
    await twin.make(ITEMS)
    done = await upload(twin, "sku,price\nsecret,1\n", table_name="items", **BOB)
    assert done.code == 0, done.body
    return twin


async def of_bob(twin: Twin) -> list[Any]:
    return await twin.rows("SELECT id, uid, sku, price FROM items WHERE uid = 'shop:bob'")


@pytest.mark.parametrize("forged", ["shop:bob", "bob", "", "%s", "alice"])
@pytest.mark.parametrize("mode", ["insert", "upsert"])
async def test_nobody_writes_as_another(items: Twin, forged: str, mode: str) -> None:
    before = await of_bob(items)
    key: dict[str, Any] = {"key": ["uid", "sku"]} if mode == "upsert" else {}
    content = f"id,uid,sku,price\n{before[0]['id']},{forged},secret,9\n"
    done = await upload(items, content, table_name="items", mode=mode, **key, **ALICE)
    assert done.code == 0, done.body
    assert await of_bob(items) == before
    hers = await items.rows("SELECT uid, price FROM items WHERE price = 9")
    assert hers == [{"uid": "shop:alice", "price": 9}]


@pytest.mark.parametrize("key", ["id", "sku", "price"])
async def test_nobody_updates_anothers_rows(items: Twin, key: str) -> None:
    [row] = before = await of_bob(items)
    content = f"id,uid,sku,price,is_new\n{row['id']},shop:alice,secret,1,true\n"
    for columns in (["uid", key], [key]):
        done = await upload(
            items, content, table_name="items", mode="update", key=columns, on_error="skip", **ALICE
        )
        assert (done.data["succeeded"], done.data["failed"]) == (0, 1), done.body
        assert done.data["failed_rows"][0]["error"] == "no row that you see has this key"
    assert await of_bob(items) == before


async def test_an_upsert_by_a_key_that_another_has_is_refused(twin: Twin) -> None:
    await twin.make("CREATE TABLE names (uid VARCHAR(64), name TEXT UNIQUE, n INT)")
    await upload(twin, "name,n\ntaken,1\n", table_name="names", **BOB)
    content = "name,n\nfree,1\ntaken,2\n"
    keyed: dict[str, Any] = {"table_name": "names", "mode": "upsert", "key": "name", **ALICE}
    done = await upload(twin, content, on_error="skip", **keyed)
    assert (done.data["succeeded"], done.data["failed"]) == (1, 1)
    assert "row-level security" in done.data["failed_rows"][0]["error"]
    assert (await upload(twin, content, **keyed)).code == 25202
    assert await twin.rows("SELECT uid, n FROM names ORDER BY n, uid") == [
        {"uid": "shop:alice", "n": 1},
        {"uid": "shop:bob", "n": 1},
    ]


async def test_an_update_gives_no_row_away(items: Twin) -> None:
    await upload(items, "sku,price\nmine,1\n", table_name="items", **ALICE)
    content = "sku,uid,id,price\nmine,shop:bob,5,2\n"
    done = await upload(items, content, table_name="items", mode="update", key="sku", **ALICE)
    assert done.data["succeeded"] == 1
    [row] = await items.rows("SELECT uid, id > 5 AS kept, price FROM items WHERE sku = 'mine'")
    assert row == {"uid": "shop:alice", "kept": True, "price": 2}


async def test_an_uid_that_does_not_fit_is_said(twin: Twin) -> None:
    await twin.make("CREATE TABLE short (uid VARCHAR(8), n INT)")
    for on_error in ("abort", "skip"):
        refused = await upload(twin, "n\n1\n", table_name="short", on_error=on_error, **ALICE)
        assert (refused.status, refused.code) == (422, 25000), refused.body
        assert "takes 8" in refused.message


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
@pytest.mark.parametrize(
    "name",
    [
        "other.notes",
        '"notes"',
        "NOTES",
        "notes; DROP TABLE notes",
        "notes(body) FROM '/etc/passwd' --",
        'notes" (body) FROM STDIN; --',
        "pg_class",
        "pg_catalog.pg_authid",
        "database_meta",
        "pgtwin.database_meta",
        "pgtwin_rt.row_number",
        "information_schema.tables",
        "x" * 64,
        "notes\x00",
        "notes_id_seq",
        "%s",
        "中" * 30_000,
    ],
)
async def test_a_name_is_that_of_a_table_of_the_schema(
    twin: Twin, name: str, fields: dict[str, str]
) -> None:
    refused = await upload(twin, "body\nx\n", table_name=name, **fields)
    assert refused.code in (25020, 25000), refused.body
    assert refused.status in (400, 404, 422)
    assert len(refused.message) < 500
    assert await twin.rows("SELECT * FROM notes") == []


async def test_the_other_environments_table_is_not_there(twin: Twin) -> None:
    await twin.make("CREATE TABLE apart (n INT)", env="test")
    refused = await upload(twin, "n\n1\n", table_name="apart")
    assert (refused.status, refused.code) == (404, 25020)


@pytest.mark.parametrize("fields", [{}, ALICE], ids=["owner", "end_user"])
async def test_views_take_no_files(twin: Twin, fields: dict[str, str]) -> None:
    await twin.make("CREATE VIEW v AS SELECT * FROM notes", **{"as": "owner"})
    refused = await upload(twin, "body\nx\n", table_name="v", **fields)
    assert (refused.status, refused.code) == (422, 25000), refused.body
    assert "no table" in refused.message


async def test_names_are_quoted(twin: Twin) -> None:
    await twin.make('CREATE TABLE "or""d er" (id BIGSERIAL, "se""lect" TEXT, "From" TEXT UNIQUE)')
    head = '"se""lect",From\n'
    for fields in ({}, ALICE):
        content = head + "".join(f"x,{fields.get('uid')}{n}\n" for n in range(1_100))
        done = await upload(twin, content, table_name='or"d er', **fields)
        assert done.code == 0, done.body
        content = head + f"y,{fields.get('uid')}7\n"
        for mode in ("update", "upsert"):
            done = await upload(
                twin, content, table_name='or"d er', mode=mode, key="From", **fields
            )
            assert done.data["succeeded"] == 1, done.body


async def test_what_the_owner_has_planted_runs_as_who_uploads(items: Twin, owner: Owner) -> None:
    async with owner(items) as session:
        await session.execute("CREATE TABLE seen (who TEXT, login TEXT, items INT)")
        await session.execute(PLANTED.format(""))
    await items.make("ALTER TABLE seen ADD COLUMN at TIMESTAMP", env="prod")
    done = await upload(items, "sku,price\na,1\n", table_name="items", **ALICE)
    assert done.code == 0, done.body
    [row] = await items.rows("SELECT who, login, items FROM seen")
    # As exec_dml runs it: with an end user's rights, and his rows.
    assert row["who"] == row["login"] == f"d{items.id}_prod_app"
    assert row["items"] == 0


async def test_planted_code_can_not_become_another_user(items: Twin, owner: Owner) -> None:
    async with owner(items) as session:
        await session.execute("CREATE TABLE seen (who TEXT, login TEXT, items INT)")
        forged = "PERFORM set_config('pgtwin.ctx', 'x:shop:bob', true); NEW.uid := 'shop:bob';"
        await session.execute(PLANTED.format(forged).replace("plant ", "z_plant "))
    await items.make("ALTER TABLE seen ADD COLUMN at TIMESTAMP", env="prod")
    before = await of_bob(items)
    refused = await upload(items, "sku,price\na,1\n", table_name="items", **ALICE)
    assert refused.code != 0
    assert await of_bob(items) == before


async def test_an_owners_own_policy_binds_uploads(items: Twin, owner: Owner) -> None:
    async with owner(items) as session:
        await session.execute(
            f"CREATE POLICY cheap ON items AS RESTRICTIVE TO d{items.id}_prod_app"
            " USING (true) WITH CHECK (price < 100)"
        )
    content = "sku,price\na,1\nb,100\n"
    done = await upload(items, content, table_name="items", on_error="skip", **ALICE)
    assert (done.data["succeeded"], done.data["failed_rows"][0]["line"]) == (1, 3)


async def test_forced_row_security_binds_the_owner(items: Twin, owner: Owner) -> None:
    async with owner(items) as session:
        await session.execute("ALTER TABLE items FORCE ROW LEVEL SECURITY")
        await session.execute("CREATE POLICY all_of_it ON items TO PUBLIC USING (price < 5000)")
    content = "sku,price\n" + "".join(f"s{n},{n + 1}\n" for n in range(1_500))
    done = await upload(items, content, table_name="items")
    assert done.data["succeeded"] == 1_500, done.body


async def test_who_has_no_database_uploads_nothing(twin: Twin, api_for: Any) -> None:
    stranger = await api_for("mallory")
    other = Twin(stranger, twin.id, "mallory")
    assert (await upload(other, "body\nx\n")).code == 25013
    assert (await upload(other, "body\nx\n", uid=twin.uid)).code == 25020
    app = Twin(await api_for(None, Scope.SQL_DML, app_id="shop"), twin.id, "alice")
    assert (await upload(app, "body\nx\n", app_id="shop")).code == 25013
    await twin.api.post("grant_app", database_id=twin.id, uid=twin.uid, app_id="shop")
    assert (await upload(app, "body\nx\n", app_id="shop")).code == 0
    assert (await upload(app, "body\nx\n", app_id="shop", **{"as": "owner"})).code == 25020
    assert (await upload(app, "body\nx\n", app_id="other")).code == 25020


async def test_a_table_made_elsewhere_is_opened(twin: Twin, owner: Owner) -> None:
    async with owner(twin) as session:
        await session.execute("CREATE TABLE made (uid TEXT, n INT)")
    done = await upload(twin, "uid,n\nx,1\n", table_name="made", **ALICE)
    assert done.code == 0, done.body
    assert await twin.rows("SELECT * FROM made") == [{"uid": "shop:alice", "n": 1}]


async def test_partitions_are_stamped_where_rows_go(twin: Twin) -> None:
    await twin.make(
        "CREATE TABLE parts (id BIGINT, uid VARCHAR(64), n INT) PARTITION BY LIST (n);"
        "CREATE TABLE one PARTITION OF parts FOR VALUES IN (1)"
    )
    done = await upload(twin, "id,uid,n\n5,shop:bob,1\n", table_name="parts", **ALICE)
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT * FROM parts")
    assert (row["uid"], row["id"] > 5) == ("shop:alice", True)
