"""What may be asked of a clone, what it takes over, and who reaches what afterwards."""

import asyncpg
import pytest

from core.postgres.identifiers import Environment, RoleName
from tests.acceptance.clone.files import corpus_file
from tests.acceptance.clone.portraits import portrait, query
from tests.acceptance.clone.proof import (
    differences,
    fill,
    fill_both,
    named_in,
    objects_in,
    prove,
    raise_if,
)
from tests.acceptance.clone.twins import Bench, Half, Twin, new_twin

SERIAL, IDENTITY, VIEWS = corpus_file("serial"), corpus_file("identity"), corpus_file("views")
# Quotes, spaces, capitals, signs; what only a quoted name can hold.
ODD_UIDS = ("Ann.O-Neil x", 'a"b', "o'neil", "back\\slash", "Ünïcödé😀", "u" * 64, "prod_test")


@pytest.mark.parametrize(("env", "kept"), [("prod", Environment.PROD), ("test", Environment.TEST)])
async def test_one_environment_alone_leaves_the_other_empty(
    ours: Bench, uid: str, env: str, kept: Environment
) -> None:
    source = await new_twin(ours, "source", uid)
    filled = await fill_both(source, SERIAL, IDENTITY)
    copy = await source.clone("copy", env=env)
    await prove(source, copy, [given for given in filled if given.half.environment is kept])


async def test_both_environments_are_copied_as_they_are(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    filled = await fill_both(source, SERIAL, VIEWS)
    await prove(source, await source.clone("copy", env="both"), filled)


@pytest.mark.parametrize(
    "name", ["00_everything", "identity", "materialized_views", "partitions_range"]
)
async def test_structure_alone_has_no_rows_and_counts_from_the_start(
    ours: Bench, uid: str, name: str
) -> None:
    source = await new_twin(ours, "source", uid)
    filled = await fill(source.prod, corpus_file(name))
    copy = await source.clone("copy", data="none")
    found = await portrait(copy.prod, quoting=source.prod)
    wanted = {k: v for k, v in filled.portrait.items() if k in ("objects", "casts")}
    wanted |= {k: v for k, v in filled.portrait.items() if k.startswith(("pg_dump", "default"))}
    got = {title: text for title, text in found.items() if title in wanted or "pg_dump" in title}
    raise_if(differences(wanted, got), "the copy's structure differs")
    rows = {title: text for title, text in found.items() if title.startswith("rows of ")}
    assert rows
    assert set(rows.values()) == {"0 rows"}
    async with copy.prod.as_owner() as connection:
        moved = await connection.fetch(query("moved sequences"), copy.prod.schema.name)
    assert [row["found"] for row in moved] == []


async def test_the_source_is_as_it_was(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    filled = await fill(source.prod, corpus_file("00_everything"))
    await source.clone("copy")
    raise_if(differences(filled.portrait, await portrait(source.prod)), "the source changed")


async def test_a_copy_of_a_copy_is_whole_and_needs_neither(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    everything = corpus_file("00_everything")
    first = await fill(source.prod, everything)
    copy = await source.clone("copy")
    await source.drop()
    second = await copy.clone("second")
    await copy.drop()
    found = await portrait(second.prod, quoting=source.prod)
    raise_if(differences(first.portrait, found), "the copy of the copy differs")
    raise_if(named_in(found, copy.prod), "the copy of the copy names the first copy")


async def test_two_copies_of_one_source_are_alike_and_apart(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    filled = await fill(source.prod, corpus_file("sequence_shared"))
    first, second = await source.clone("first"), await source.clone("second")
    async with first.prod.as_owner() as connection:
        await connection.execute("INSERT INTO cats (name) VALUES ('only in the first')")
    raise_if(differences(filled.portrait, await portrait(second.prod)), "the second copy differs")
    await prove(source, second, [filled])


@pytest.mark.parametrize("uid", ODD_UIDS)
async def test_a_uid_that_needs_quotes(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "odd_source", uid)
    in_test = corpus_file("00_everything" if "'" not in uid and '"' not in uid else "identity")
    filled = await fill_both(source, corpus_file("foreign_keys"), in_test)
    copy = await source.clone("odd_copy")
    await prove(source, copy, filled)
    await copy.drop()


async def test_description_and_space_are_taken_over(ours: Bench, uid: str) -> None:
    space = f"space-{uid}"
    source = await new_twin(ours, "source", uid, description="what people order", space_id=space)
    filled = await fill(source.prod, SERIAL)
    copy = await source.clone("copy")
    described = await ours.api.get(f"databases/{copy.database_id}")
    assert described.data["name"] == "copy"
    assert described.data["uid"] == uid
    assert described.data["description"] == "what people order"
    assert described.data["space_id"] == space
    assert described.data["status"] == "ready"
    listed = await ours.api.get("databases", space_id=space)
    assert [row["name"] for row in listed.data["databases"]] == ["copy", "source"]
    raise_if(differences(filled.portrait, await portrait(copy.prod)), "the copy differs")


async def test_neither_side_reaches_the_other(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    await source.prod.load(SERIAL)
    copy = await source.clone("copy")
    for mine, other in ((source, copy), (copy, source)):
        await refused(mine.prod, f"SELECT * FROM {other.prod.schema}.renamed_ones")
        await refused(mine.prod, f"CREATE TABLE {other.prod.schema}.planted ()")
        await refused(mine.prod, f"SELECT nextval('{other.prod.schema}.big_ones_id_seq')")
        await refused(mine.prod, f"SET ROLE {other.prod.owner}")
        await refused(mine.prod, f"SET ROLE {RoleName.ddl(other.database_id)}")
        await cannot_log_in_as_the_app_and_read(mine, other)
    async with copy.prod.as_owner() as connection:
        assert await connection.fetchval("SELECT count(*) FROM renamed_ones") == 7


async def refused(half: Half, statement: str) -> None:
    async with half.as_owner() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def cannot_log_in_as_the_app_and_read(mine: Twin, other: Twin) -> None:
    login = RoleName.app(Environment.PROD, mine.database_id)
    connection = await asyncpg.connect(mine.bench.url(login))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"SELECT * FROM {other.prod.schema}.renamed_ones")
    finally:
        await connection.close()


async def test_the_copy_s_roles_can_do_what_the_source_s_could(ours: Bench, uid: str) -> None:
    """The app role reads what it was granted in the source, and nothing more."""
    source = await new_twin(ours, "source", uid)
    await source.prod.load(corpus_file("privileges_columns"))
    copy = await source.clone("copy")
    await source.drop()
    login = RoleName.app(Environment.PROD, copy.database_id)
    connection = await asyncpg.connect(ours.url(login))
    try:
        await connection.execute(f"SET search_path = {copy.prod.schema}")
        assert await connection.fetchval("SELECT name FROM accounts") == "ann"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT secret FROM accounts")
    finally:
        await connection.close()


async def test_an_empty_database_is_cloned_empty(ours: Bench, uid: str) -> None:
    source = await new_twin(ours, "source", uid)
    copy = await source.clone("copy")
    await source.drop()
    assert await objects_in(copy.prod) == await objects_in(copy.test) == []
    await copy.prod.load(SERIAL)


async def test_materialized_views_are_as_fresh_as_their_tables(ours: Bench, uid: str) -> None:
    """Older rows can't be put into one; the copy's is filled anew."""
    source = await new_twin(ours, "source", uid)
    async with source.prod.as_owner() as connection:
        await connection.execute("CREATE TABLE live AS SELECT 1 AS n")
        await connection.execute("CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM live")
        await connection.execute("INSERT INTO live VALUES (2)")
    copy = await source.clone("copy")
    async with copy.prod.as_owner() as connection:
        assert await connection.fetchval("SELECT n FROM kept") == 2


async def test_a_child_grows_with_its_parent(ours: Bench, uid: str) -> None:
    """Where it has no columns of its own, their order is that of its parent."""
    source = await new_twin(ours, "source", uid)
    async with source.prod.as_owner() as connection:
        await connection.execute("CREATE TABLE parents (a int)")
        await connection.execute("CREATE TABLE children () INHERITS (parents)")
        await connection.execute("ALTER TABLE parents ADD COLUMN late text DEFAULT 'late'")
        await connection.execute("INSERT INTO children (a) VALUES (1)")
    copy = await source.clone("copy")
    async with copy.prod.as_owner() as connection:
        assert tuple(await connection.fetchrow("SELECT * FROM children")) == (1, "late")
        await connection.execute("ALTER TABLE parents DROP COLUMN late")
        assert list((await connection.fetchrow("SELECT * FROM children")).keys()) == ["a"]
