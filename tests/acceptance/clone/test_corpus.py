"""Every file of the corpus, cloned through the API and proved."""

import asyncio

import asyncpg
import pytest

from core.postgres.identifiers import Environment
from tests.acceptance.clone.files import CorpusFile, corpus
from tests.acceptance.clone.proof import fill, prove, refusal_leaves_nothing
from tests.acceptance.clone.twins import Bench, Twin, new_twin

# In both halves of one database: what could be mixed up between them.
TWICE = (
    "00_everything",
    "casts",
    "default_privileges_global",
    "functions_naming_schema",
    "reg_columns",
    "sequence_by_text",
)

Pair = tuple[CorpusFile, ...]


def name_of(pair: Pair) -> str:
    return "+".join(dict.fromkeys(file.name for file in pair))


def pairs() -> list[Pair]:
    """Two files a database, one in prod and one in test: half the clones, half the time."""
    files = [file for file in corpus() if file.refused_for is None]
    once = [file for file in files if file.name not in TWICE]
    return [
        *((file, file) for file in files if file.name in TWICE),
        *(tuple(once[at : at + 2]) for at in range(0, len(once), 2)),
    ]


def runs(bench: Bench, file: CorpusFile) -> bool:
    return file.reason_to_skip(bench.major, bench.features) is None


async def test_every_file_runs_as_the_owner(bench: Bench, uid: str) -> None:
    """What the files create is what an owner who is no superuser can create."""
    at_once = asyncio.Semaphore(4)
    failures = []

    async def load(number: int, file: CorpusFile) -> None:
        async with at_once:
            twin = await new_twin(bench, f"file{number}", uid)
            try:
                await twin.prod.load(file)
            except asyncpg.PostgresError as error:
                failures.append(f"{file.name}: {error}")
            await twin.drop()

    files = [file for file in corpus() if runs(bench, file)]
    await asyncio.gather(*(load(number, file) for number, file in enumerate(files)))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("pair", pairs(), ids=name_of)
async def test_nothing_is_lost(bench: Bench, uid: str, pair: Pair) -> None:
    pair = tuple(file for file in pair if runs(bench, file))
    if not pair:
        pytest.skip("this server can't run it")
    source = await new_twin(bench, "source", uid)
    halves = [source.half(environment) for environment in Environment]
    loads = [fill(half, file) for half, file in zip(halves, pair, strict=False)]
    filled = await asyncio.gather(*loads)
    copy = await copied(source, pair)
    await prove(source, copy, filled)
    await copy.drop()


async def copied(source: Twin, pair: Pair) -> Twin:
    """The copy; where it is refused, each file is tried alone to say whose fault it is."""
    answer = await source.try_clone("copy")
    if answer.code == 0:
        return await source.copy_of(answer)
    blamed = [f"{name_of(pair)}: {answer.message}"]
    for number, file in enumerate(pair):
        alone = await new_twin(source.bench, f"alone{number}", source.uid)
        await alone.prod.load(file)
        answer = await alone.try_clone(f"copy{number}")
        if answer.code != 0:
            blamed.append(f"{file.name} alone: {answer.message}")
    raise AssertionError("the clone is refused:\n" + "\n".join(blamed))


@pytest.mark.parametrize(
    "file", [f for f in corpus() if f.refused_for is not None], ids=lambda file: file.name
)
async def test_what_cannot_be_copied_is_refused_by_name(
    bench: Bench, uid: str, file: CorpusFile
) -> None:
    if not runs(bench, file):
        pytest.skip("this server can't run it")
    source = await new_twin(bench, "source", uid)
    await source.prod.load(file)
    answer = await source.try_clone("copy")
    assert answer.code == 25011, answer.body
    assert file.refused_for is not None
    assert file.refused_for in answer.message
    await refusal_leaves_nothing(source, "copy")
    await source.drop()
