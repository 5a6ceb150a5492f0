"""Whose rows exec_dml sees, changes and stamps on the drop-in mount."""

import pytest

from tests.api import Api
from tests.contract.test_drop_in import assert_refused
from tests.contract.test_exec_drop_in import APP, TABLE
from tests.sql import Twin


@pytest.fixture
async def empty(drop_in: Api, uid: str) -> Twin:
    return Twin(drop_in, await drop_in.create("orders", uid=uid), uid)


@pytest.fixture
async def twin(empty: Twin) -> Twin:
    await empty.make(TABLE)
    return empty


async def test_only_ones_own_rows_are_seen_and_changed(twin: Twin) -> None:
    other = f"{twin.uid}b"
    for uid, app_id in ((twin.uid, ""), (twin.uid, APP), (twin.uid, "app2"), (other, APP)):
        await twin.rows(f"INSERT INTO t (c) VALUES ('{app_id} {uid}')", uid=uid, app_id=app_id)
    seen = await twin.rows("SELECT c FROM t ORDER BY id", app_id=APP)
    assert [row["c"] for row in seen] == [f" {twin.uid}", f"{APP} {twin.uid}"]
    assert [row["c"] for row in await twin.rows("SELECT c FROM t")] == [f" {twin.uid}"]
    for way in (
        "SELECT c FROM t UNION SELECT c FROM t",
        "SELECT (SELECT count(*) FROM t) AS c",
        "SELECT a.c FROM t a FULL JOIN t b ON true",
        "WITH x AS (SELECT * FROM t) SELECT c FROM x",
        "UPDATE t SET c = c RETURNING c",
        "SELECT c FROM t EXCEPT SELECT 'x'",
    ):
        assert other not in str(await twin.rows(way)), way
    await twin.rows("UPDATE t SET c = 'mine'; DELETE FROM t")
    assert await twin.value("SELECT count(*) FROM t", uid=other, app_id=APP) == 1
    assert await twin.rows("SELECT c FROM t", app_id=APP) == [{"c": f"{APP} {twin.uid}"}]


async def test_what_the_client_says_of_a_row_is_discarded(empty: Twin) -> None:
    await empty.make(TABLE.replace('"c" VARCHAR', '"c" VARCHAR, "update_time" TIMESTAMPTZ'))
    other = f"{empty.uid}b"
    [new] = await empty.rows(
        "INSERT INTO t (id, uid, create_time, update_time, c)"
        f" VALUES (1, '{other}', '1999-01-01', '1999-01-01', 'x')",
        app_id=APP,
    )
    assert new["id"] > 2**31
    await empty.rows(f"INSERT INTO t VALUES (2, '{APP}:{other}', '1999-01-01', 'y')", app_id=APP)
    rows = await empty.rows("SELECT * FROM t", app_id=APP)
    assert [row["uid"] for row in rows] == [f"{APP}:{empty.uid}"] * 2
    assert "1999" not in str(rows)
    assert await empty.rows("SELECT * FROM t", app_id=APP, uid=other) == []
    [changed] = await empty.rows(
        "UPDATE t SET id = 5, create_time = '1999-01-01', update_time = '1999-01-01', c = 'z'"
        f" WHERE id = {new['id']} RETURNING *",
        app_id=APP,
    )
    assert (changed["id"], changed["c"]) == (new["id"], "z")
    assert "1999" not in str(changed)


async def test_a_row_stays_with_its_user(twin: Twin) -> None:
    other = f"{twin.uid}b"
    await twin.rows("INSERT INTO t (c) VALUES ('x')", app_id=APP)
    for own in (twin.uid, f"{APP}:{twin.uid}"):
        assert await twin.rows(f"UPDATE t SET uid = '{own}', c = 'y'", app_id=APP) == []
        [row] = await twin.rows("SELECT uid, c FROM t", app_id=APP)
        assert row == {"uid": f"{APP}:{twin.uid}", "c": "y"}
    for anothers in (other, f"{APP}:{other}", f"app2:{twin.uid}", ""):
        refused = await twin.dml(f"UPDATE t SET uid = '{anothers}'", app_id=APP)
        assert_refused(refused, 25020)
    await twin.rows("UPDATE t SET uid = NULL", app_id=APP)
    assert await twin.value("SELECT uid FROM t", app_id=APP) == f"{APP}:{twin.uid}"


async def test_an_upsert_touches_no_row_of_others(empty: Twin) -> None:
    await empty.make(TABLE.replace('"c" VARCHAR', '"c" VARCHAR UNIQUE, "n" INT'))
    other = f"{empty.uid}b"
    await empty.rows("INSERT INTO t (c, n) VALUES ('theirs', 1)", uid=other)
    upsert = "INSERT INTO t (c, n) VALUES ('{}', {}) ON CONFLICT (c) DO UPDATE SET n = excluded.n"
    refused = await empty.dml(upsert.format("theirs", 2))
    assert (refused.status, refused.code) == (200, 25020), refused.body
    nothing = "INSERT INTO t (c, n) VALUES ('theirs', 3) ON CONFLICT DO NOTHING"
    assert await empty.rows(nothing) == []
    [first] = await empty.rows(upsert.format("mine", 4))
    [second] = await empty.rows(upsert.format("mine", 5))
    assert first == second
    assert await empty.rows("SELECT c, n FROM t", uid=other) == [{"c": "theirs", "n": 1}]
    assert await empty.rows("SELECT c, n FROM t") == [{"c": "mine", "n": 5}]


async def test_returning_gives_what_it_names(twin: Twin) -> None:
    insert = "INSERT INTO t (c) VALUES ('a'), ('b') RETURNING c, uid"
    rows = await twin.rows(insert, app_id=APP)
    assert rows == [{"c": c, "uid": f"{APP}:{twin.uid}"} for c in "ab"]
    assert await twin.rows("DELETE FROM t WHERE c = 'a' RETURNING c", app_id=APP) == [{"c": "a"}]


async def test_each_row_that_is_inserted_gives_its_id(twin: Twin) -> None:
    answered = await twin.rows(
        "INSERT INTO t (c) SELECT 'x' FROM generate_series(1, 150) -- a comment at the end"
    )
    assert len(answered) == len({row["id"] for row in answered}) == 150
    kept = await twin.rows("SELECT id FROM t ORDER BY id LIMIT 1000")
    assert kept == sorted(answered, key=lambda row: int(row["id"]))


async def test_a_uid_with_a_colon_belongs_to_an_application(twin: Twin) -> None:
    spelled = f"{APP}:{twin.uid}"
    await twin.rows("INSERT INTO t (c) VALUES ('mine')", app_id=APP)
    assert_refused(await twin.dml("SELECT * FROM t", uid=spelled), 25000)
    assert await twin.rows("SELECT c FROM t", uid=spelled, app_id="x") == []
    await twin.rows("INSERT INTO t (c) VALUES ('theirs')", uid=spelled, app_id="x")
    assert await twin.rows("SELECT c FROM t", app_id=APP) == [{"c": "mine"}]
    assert await twin.rows("SELECT uid FROM t", uid=spelled, app_id="x") == [
        {"uid": f"x:{spelled}"}
    ]
