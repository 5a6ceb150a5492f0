"""The proof that a copy has all that its source has, and owes it nothing."""

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from core.postgres.identifiers import Environment
from tests.acceptance.clone.files import CorpusFile
from tests.acceptance.clone.portraits import Portrait, behaviour, portrait, query
from tests.acceptance.clone.twins import Half, Twin, new_twin

_MOST_LINES = 60


@dataclass(frozen=True)
class Filled:
    """A half with a file of the corpus in it, as it was before it was cloned."""

    half: Half
    file: CorpusFile
    portrait: Portrait


async def fill(half: Half, file: CorpusFile) -> Filled:
    await half.load(file)
    return Filled(half, file, await portrait(half))


async def fill_both(twin: Twin, in_prod: CorpusFile, in_test: CorpusFile) -> list[Filled]:
    return list(await asyncio.gather(fill(twin.prod, in_prod), fill(twin.test, in_test)))


async def prove(source: Twin, copy: Twin, filled: Sequence[Filled]) -> None:
    """Try the source, drop it, and hold what is left of the copy against what the source was.

    What the copy shared with its source would have moved, or gone, with it. The copy's other
    halves must be empty.

    Raises:
        AssertionError: what was lost, what came out differently, what ties them together.
    """
    halves = [copy.half(given.half.environment) for given in filled]
    pairs = list(zip(filled, halves, strict=True))
    problems = await objects_in_other_halves(copy, halves)
    for given, half in pairs:
        problems += of(given, await ties(given.half, half))
    raise_if(problems, "the copy is not on its own")
    expected = [await behaviour(g.half, g.file.then(g.half.words)) for g in filled]
    await source.drop()
    looks = [portrait(half, quoting=given.half) for given, half in pairs]
    for given, found in zip(filled, await asyncio.gather(*looks), strict=True):
        problems += of(given, differences(given.portrait, found) + named_in(found, given.half))
    raise_if(problems, "the copy is not what its source was")
    for (given, half), answers in zip(pairs, expected, strict=True):
        did = await behaviour(half, given.file.then(half.words))
        problems += of(given, differences(answers, did))
    raise_if(problems, "the copy does not do what its source did")


def differences(expected: Portrait, found: Portrait) -> list[str]:
    """What is lost, added or changed, each as a diff."""
    problems = [
        f"LOST {title}\n{_cut(expected[title])}" for title in expected.keys() - found.keys()
    ]
    problems += [f"ADDED {title}\n{_cut(found[title])}" for title in found.keys() - expected.keys()]
    for title in expected.keys() & found.keys():
        if expected[title] != found[title]:
            lines = difflib.unified_diff(
                expected[title].splitlines(), found[title].splitlines(), "source", "copy", "", "", 1
            )
            problems.append(f"CHANGED {title}\n" + _cut("\n".join(map(str.rstrip, lines))))
    return sorted(problems)


def named_in(found: Portrait, source: Half) -> list[str]:
    """Definitions of the copy that still name the source's schema or roles."""
    return [
        f"NAMES THE SOURCE {title}: {line.strip()}"
        for title, text in found.items()
        if title.startswith("pg_dump: ")
        for line in text.splitlines()
        if source.hide_names(line) != line
    ]


async def ties(source: Half, copy: Half) -> list[str]:
    """Dependencies in the catalog, either way, and memberships between their roles."""
    catalog = copy.bench.catalog
    first, second = str(source.database_id), str(copy.database_id)
    rows = [
        *await catalog.fetch(query("ties"), source.schema.name, copy.schema.name),
        *await catalog.fetch(query("ties to roles"), copy.schema.name, first),
        *await catalog.fetch(query("ties to roles"), source.schema.name, second),
        *await catalog.fetch(query("memberships"), first, second),
    ]
    return [f"TIED {row['found']}" for row in rows]


async def objects_in_other_halves(copy: Twin, halves: Sequence[Half]) -> list[str]:
    others = [copy.half(environment) for environment in Environment]
    return [
        f"ADDED to the {half.environment} half: {found}"
        for half in others
        if half not in halves
        for found in await objects_in(half)
    ]


async def objects_in(half: Half) -> list[str]:
    rows = await half.bench.catalog.fetch(query("objects"), half.schema.name)
    return [str(row["found"]) for row in rows]


async def refusal_leaves_nothing(source: Twin, name: str) -> None:
    """After a refused clone: no schemas but the source's, no roles, and the name is free."""
    bench = source.bench
    listed = await bench.api.get("databases", uid=source.uid)
    assert [row["database_id"] for row in listed.data["databases"]] == [source.database_id]
    schemas = await bench.catalog.fetch(query("schemas of uid"), source.uid)
    assert {row["found"] for row in schemas} == {source.prod.schema.name, source.test.schema.name}
    again = await new_twin(bench, name, source.uid)
    await again.drop()


def raise_if(problems: Sequence[str], what: str) -> None:
    if problems:
        raise AssertionError(f"{what}:\n" + _cut("\n".join(problems), 3 * _MOST_LINES))


def of(given: Filled, problems: Sequence[str]) -> list[str]:
    return [f"{given.file.name}: {problem}" for problem in problems]


def _cut(text: str, most: int = _MOST_LINES) -> str:
    lines = text.splitlines()
    more = [f"... and {len(lines) - most} lines more"] if len(lines) > most else []
    return "\n".join([*(line[:200] for line in lines[:most]), *more])
