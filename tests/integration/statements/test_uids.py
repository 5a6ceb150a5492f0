"""Schemas are named by uids, in whatever letters those are."""

import asyncpg
import pytest

from tests.api import Api, answer
from tests.sql import NOTES, Twin, as_user

ALICE = as_user("alice")
FROM_NOTES = {"table_name": "notes", "env": "prod"}


@pytest.mark.parametrize("owner", ["Alice", "a-b.c", 'we"ird', "it's", "ü x", "a\\b", "A" * 64])
async def test_tables_are_opened_to_end_users_whatever_the_owners_uid(
    admin: Api, uid: str, owner: str
) -> None:
    owner = owner if len(owner) == 64 else f"{owner}{uid}"
    twin = Twin(admin, await admin.create("orders", uid=owner), owner)
    await twin.make(NOTES)
    await twin.make("ALTER TABLE notes ADD COLUMN extra text", env="test")
    for env in ("prod", "test"):
        await twin.rows("INSERT INTO notes (body) VALUES ('x')", env=env, **ALICE)
        assert await twin.value("SELECT uid FROM notes", env=env, **ALICE) == "shop:alice"
    tried = await twin.ddl("ALTER TABLE notes ADD COLUMN tried int", dry_run=True)
    assert tried.code == 0
    assert {each["env"] for each in tried.data["changes"]} == {"prod", "test"}
    at = {"database_id": twin.id, "uid": owner}
    for mode in ("read_only", "read_write"):
        made = await admin.post("create_connection", **at, env="prod", mode=mode)
        assert made.code == 0, made.body
        connection = await asyncpg.connect(made.data["uri"])
        assert await connection.fetchval("SELECT count(*) FROM notes") == 1
        await connection.close()
    for what in ("schema", "ddl", "stats"):
        assert "notes" in str((await admin.get(f"databases/{twin.id}/{what}?env=prod")).data)
    exported = await admin.client.post("/v1/export_data", json={**at, **FROM_NOTES})
    assert "shop:alice" in exported.text
    files = {"file": ("notes.csv", b"uid,body\nx,from a file\n")}
    sent = {**at, **FROM_NOTES, "as": "owner"}
    uploaded = answer(await admin.client.post("/v1/upload_data", data=sent, files=files))
    assert uploaded.code == 0, uploaded.body
    cloned = await admin.post("clone_database", **at, new_database_name="copy")
    assert cloned.code == 0
    copy = Twin(admin, cloned.data["database_id"], owner)
    assert await copy.value("SELECT count(*) FROM notes") == 2
    assert (await admin.post("drop_database", database_id=twin.id, uid=owner)).code == 0
