"""The proof itself: it must notice every way in which a copy can be less than its source."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.clone.files import corpus_file, replaced
from tests.acceptance.clone.portraits import behaviour, portrait
from tests.acceptance.clone.proof import differences, named_in, ties
from tests.acceptance.clone.twins import Bench, Half, Twin, new_twin

SPOILS = Path(__file__).with_name("spoils.sql")
TIES = {
    "a default": "ALTER TABLE {copy}.small_ones ALTER id SET DEFAULT"
    " nextval('{source}.ones_id_seq')",
    "a default of the source": "ALTER TABLE {source}.small_ones ALTER id SET DEFAULT"
    " nextval('{copy}.ones_id_seq')",
    "a view": "CREATE VIEW {copy}.over AS SELECT * FROM {source}.big_ones",
    "a foreign key": "ALTER TABLE {copy}.big_ones ADD CONSTRAINT foreign_one"
    " FOREIGN KEY (id) REFERENCES {source}.big_ones NOT VALID",
    "inheritance": "ALTER TABLE {copy}.never_filled INHERIT {source}.never_filled",
    "a grant": "GRANT SELECT ON {copy}.ones_id_seq TO {source_role}",
    "an owner": "ALTER TABLE {copy}.small_ones OWNER TO {source_role}",
    "a membership": "GRANT {source_role} TO {copy_role}",
}


async def test_every_spoiled_thing_is_noticed(ours: Bench, uid: str) -> None:
    twin = await new_twin(ours, "spoiled", uid)
    spoils = SPOILS.read_text().split("-- spoil: ")[1:]
    assert len(spoils) > 40
    missed = await asyncio.gather(
        unnoticed(twin.prod, spoils[::2]), unnoticed(twin.test, spoils[1::2])
    )
    assert [*missed[0], *missed[1]] == []


async def unnoticed(half: Half, spoils: Sequence[str]) -> list[str]:
    await half.load(corpus_file("00_everything"))
    before, missed = await portrait(half), []
    for spoil in spoils:
        what, _, statement = replaced(spoil, half.words).partition("\n")
        async with half.as_owner() as connection:
            await connection.execute(statement)
        after = await portrait(half)
        if not differences(before, after):
            missed.append(what)
        before = after
    return missed


async def test_behaviour_that_differs_is_noticed(ours: Bench, uid: str) -> None:
    """What no comparison of definitions sees: whether it works."""
    twin = await new_twin(ours, "acting", uid)
    for half in (twin.prod, twin.test):
        await half.load(corpus_file("triggers"))
    async with twin.test.as_owner() as connection:
        await connection.execute("ALTER TABLE watched DISABLE TRIGGER a_raise")
    statements = corpus_file("triggers").then({})
    answers = [await behaviour(half, statements) for half in (twin.prod, twin.test)]
    assert any("INSERT INTO watched" in problem for problem in differences(*answers))


@pytest.mark.parametrize("statement", TIES.values(), ids=list(TIES))
async def test_every_tie_is_noticed(ours: Bench, uid: str, statement: str) -> None:
    source, copy = await alike(ours, uid)
    assert await ties(source.prod, copy.prod) == []
    roles = {"source_role": source.prod.owner, "copy_role": copy.prod.owner}
    schemas = {"source": source.prod.schema, "copy": copy.prod.schema}
    await ours.catalog.execute(statement.format(**schemas, **roles))
    assert await ties(source.prod, copy.prod) != []
    await ours.catalog.execute(
        f"REVOKE {source.prod.owner} FROM {copy.prod.owner};"
        f"DROP SCHEMA {copy.prod.schema} CASCADE; CREATE SCHEMA {copy.prod.schema}"
    )


async def test_a_text_that_names_the_source_is_noticed(ours: Bench, uid: str) -> None:
    source, copy = await alike(ours, uid)
    async with copy.prod.as_owner() as connection:
        await connection.execute(
            "SET check_function_bodies = off; CREATE FUNCTION far() RETURNS bigint"
            f" LANGUAGE sql AS 'SELECT count(*) FROM {source.prod.schema}.ones'"
        )
    problems = named_in(await portrait(copy.prod, quoting=source.prod), source.prod)
    assert len(problems) == 1
    assert "SELECT count(*) FROM" in problems[0]


async def alike(bench: Bench, uid: str) -> tuple[Twin, Twin]:
    """Two databases that have the same tables, without one being the other's copy."""
    source, copy = await new_twin(bench, "source", uid), await new_twin(bench, "copy", uid)
    for twin in (source, copy):
        await twin.prod.load(corpus_file("serial"))
    return source, copy
