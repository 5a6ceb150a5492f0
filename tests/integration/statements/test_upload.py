"""Files into tables: every mode, every format, and what becomes of rows that can't be stored."""

from tests.sql import Twin, as_user
from tests.uploads import upload


async def test_the_owners_rows_are_as_they_are_in_the_file(twin: Twin) -> None:
    done = await upload(twin, 'id,uid,body,n\n7,bob,seven,7\n8,eve,"a, ""b""\nc",\n')
    assert done.code == 0, done.body
    assert done.data["success_rows"] == [7, 8]
    assert (done.data["succeeded"], done.data["failed"]) == (2, 0)
    found = await twin.rows("SELECT id, uid, body, n FROM notes ORDER BY id")
    assert found == [
        {"id": 7, "uid": "bob", "body": "seven", "n": 7},
        {"id": 8, "uid": "eve", "body": 'a, "b"\nc', "n": None},
    ]


async def test_an_end_users_rows_are_his(twin: Twin) -> None:
    content = "id,uid,create_time,body\n7,victim,2001-01-01,x\n"
    done = await upload(twin, content, **as_user("alice"))
    assert done.code == 0, done.body
    [row] = await twin.rows("SELECT *, create_time > '2020-01-01' AS is_new FROM notes")
    assert (row["uid"], row["body"], row["is_new"]) == ("shop:alice", "x", True)
    assert row["id"] > 2**31
    assert done.data["success_rows"] == [row["id"]]


async def test_many_rows_are_copied(twin: Twin) -> None:
    content = "body,n\n" + "".join(f"row {n},{n}\n" for n in range(50_000))
    done = await upload(twin, content)
    assert done.code == 0, done.body
    assert done.data["succeeded"] == 50_000
    assert len(done.data["success_rows"]) == 1_000
    count = "SELECT count(*), sum(n), min(uid), max(uid) FROM notes"
    [row] = await twin.rows(count)
    assert row == {"count": 50_000, "sum": 1249975000, "min": twin.uid, "max": twin.uid}
