"""Every file of the clones' corpus: its DDL makes the same objects in another database."""

import asyncio
import re

import asyncpg
import pytest

from memory.inspection.schemas import SchemaContents, SchemaDdl
from tests.acceptance.clone.dumps import dump, entries
from tests.acceptance.clone.files import CorpusFile, corpus, corpus_file
from tests.acceptance.clone.portraits import query
from tests.acceptance.clone.proof import differences, raise_if
from tests.acceptance.clone.twins import Bench, Half, new_twin

# With their names alone, these can't be told from PostgreSQL's own.
AMBIGUOUS = ("names_like_catalog", "operators")

# Columns in an order that CREATE TABLE does not give them.
OUT_OF_ORDER = ("inheritance_attached_then_grown", "inheritance_grown")
# pg_dump locks what it reads.
UNREADABLE = "privileges_owner_without"
_ROLES = re.compile(r"(?<= TO )[^ ,]+(?:, [^ ,]+)+(?= |;)")
SPECIAL = (*AMBIGUOUS, *OUT_OF_ORDER, UNREADABLE)
# Nothing of privileges is written down.
PRIVILEGES = ("Type: ACL;", "Type: DEFAULT ACL;")


@pytest.mark.parametrize(
    "file",
    [file for file in corpus() if file.name not in SPECIAL],
    ids=lambda file: file.name,
)
async def test_the_ddl_makes_the_same_objects(bench: Bench, uid: str, file: CorpusFile) -> None:
    reason = file.reason_to_skip(bench.major, bench.features)
    if reason is not None:
        pytest.skip(reason)
    source, target = await asyncio.gather(
        new_twin(bench, "source", uid), new_twin(bench, "target", uid)
    )
    await source.prod.load(file)
    described = await bench.api.get(f"databases/{source.database_id}/ddl", env="prod")
    assert described.code == 0, described.body
    ddl = SchemaDdl.model_validate(described.data)
    assert (ddl.hidden, ddl.reordered) == ([], [])
    async with target.prod.as_owner() as session:
        schema = f"SET search_path = {target.prod.schema}, pgtwin_ext"
        await session.execute(schema)
        try:
            await session.execute(ddl.ddl)
        except asyncpg.PostgresError as error:
            raise AssertionError(f"{error}\n{ddl.ddl}") from error
    wanted = await objects(source.prod, source.prod)
    made = await objects(target.prod, source.prod)
    raise_if(differences(wanted, made), f"the DDL makes other objects ({ddl.still_names})")
    assert await shape(source.prod, source.prod) == await shape(target.prod, source.prod)
    assert {plain(title) for title in await naming(target.prod, source.prod)} == {
        plain(title) for title in ddl.still_names
    }
    # One after the other, for a policy of the target may name a role of the source.
    await target.drop()
    await source.drop()


@pytest.mark.parametrize("name", [*AMBIGUOUS, *OUT_OF_ORDER])
async def test_what_the_ddl_can_not_say_is_told(bench: Bench, uid: str, name: str) -> None:
    twin = await new_twin(bench, "source", uid)
    await twin.prod.load(corpus_file(name))
    answer = await bench.api.get(f"databases/{twin.database_id}/ddl")
    ddl = SchemaDdl.model_validate(answer.data)
    assert (ddl.hidden != [], ddl.reordered != []) == (name in AMBIGUOUS, name in OUT_OF_ORDER)
    await twin.drop()


async def test_what_its_owner_may_not_read_is_refused_by_name(bench: Bench, uid: str) -> None:
    twin = await new_twin(bench, "source", uid)
    await twin.prod.load(corpus_file(UNREADABLE))
    answer = await bench.api.get(f"databases/{twin.database_id}/ddl")
    assert (answer.status, answer.code) == (403, 25020)
    assert "locked_away" in answer.message
    await twin.drop()


async def shape(half: Half, source: Half) -> str:
    """What /schema tells, but for rows and names."""
    answer = await half.bench.api.get(f"databases/{half.database_id}/schema", env="prod")
    contents = SchemaContents.model_validate(answer.data)
    for relation in (*contents.tables, *contents.views):
        relation.rows = relation.size_bytes = None
    for view in contents.views:
        view.is_populated = None
    return _unnamed(contents.model_dump_json(indent=1), half, source)


async def objects(half: Half, source: Half) -> dict[str, str]:
    found = entries(await dump(half), half, source)
    rows = await half.bench.catalog.fetch(query("casts"), half.schema.name)
    found["casts"] = "\n".join(sorted(row["found"] for row in rows))
    return {
        title: _sorted_roles(_unnamed(body, half, source))
        for title, body in found.items()
        if not any(word in title for word in PRIVILEGES)
    }


async def naming(half: Half, source: Half) -> list[str]:
    """The titles of entries that name the source, but for comments, whose texts are data."""
    found = re.findall(
        r"(?m)^--\n-- Name: (.*); Type: (.*); Schema: .*\n--\n((?:(?!^--$).*\n)*)", await dump(half)
    )
    return [
        f"{kind.lower()} {name}"
        for name, kind, body in found
        if kind not in ("COMMENT", "SCHEMA", "ACL") and source.hide_names(body) != body
    ]


def plain(title: str) -> str:
    return title.replace("\n", " ")


def _unnamed(text: str, half: Half, source: Half) -> str:
    return source.hide_names(half.hide_names(text)).replace("{schema}.", "")


def _sorted_roles(body: str) -> str:
    return _ROLES.sub(lambda found: ", ".join(sorted(found[0].split(", "))), body)
