"""Every legitimate statement is one that PostgreSQL runs, and gives the rows it is said to give."""

from collections import defaultdict
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.acceptance.sql.corpus import Call, Case, Expect, Step, attacks, legitimate
from tests.acceptance.sql.stand_in import WORDS, Answer, World, world


@pytest.fixture(scope="module")
async def stand_in(admin_url: str) -> AsyncIterator[World]:
    async with world(admin_url) as built:
        yield built


@pytest.fixture(scope="module")
async def features(stand_in: World) -> frozenset[str]:
    major = stand_in.connection.get_server_version().major
    versions = {f"pg{number}" for number in range(15, major + 1)}
    rows = await stand_in.connection.fetch("SELECT extname FROM pg_extension")
    return frozenset(versions | {row[0] for row in rows} | {"guard"})


def by_file(cases: list[Case]) -> dict[str, list[Case]]:
    files = defaultdict(list)
    for case in cases:
        files[case.file].append(case)
    return files


LEGITIMATE, ATTACKS = by_file(legitimate()), by_file(attacks())


@pytest.mark.parametrize("file", LEGITIMATE)
async def test_legitimate(stand_in: World, features: frozenset[str], file: str) -> None:
    wrong = []
    for case in LEGITIMATE[file]:
        if case.reason_to_skip(features):
            continue
        if problem := await problem_of(stand_in, case.steps):
            wrong.append(f"{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", ATTACKS)
async def test_setup_of_attacks(stand_in: World, features: frozenset[str], file: str) -> None:
    """What can't be set up proves nothing."""
    wrong = []
    for case in ATTACKS[file]:
        if case.reason_to_skip(features - {"guard"}) or not case.setup:
            continue
        if problem := await problem_of(stand_in, case.setup):
            wrong.append(f"{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)


async def problem_of(stand_in: World, steps: tuple[Step, ...]) -> str | None:
    """What differs from what is expected; nothing of it stays."""
    transaction = stand_in.connection.transaction()
    await transaction.start()
    try:
        for step in steps:
            if problem := await _differs(stand_in, step):
                return f"{problem} in {step.sql}"
        return None
    finally:
        await transaction.rollback()


async def _differs(stand_in: World, step: Step) -> str | None:
    step = step.filled(WORDS)
    inner = stand_in.connection.transaction()
    await inner.start()
    try:
        answer = await stand_in.run(step)
    except asyncpg.PostgresError as error:
        await inner.rollback()
        return None if step.expect is not Expect.OK else f"{type(error).__name__}: {error}"
    await inner.commit()
    if step.expect is Expect.REFUSED:
        return "is not refused"
    if step.rows is not None and answer.rows != step.rows:
        return f"gives {answer.rows}"
    if step.rows is not None and len(set(answer.names)) < len(answer.names):
        return "has two columns of one name, and rows are objects"
    if step.count is not None and _count(step, answer) != step.count:
        return f"gives {_count(step, answer)} rows"
    return None


def _count(step: Step, answer: Answer) -> int:
    inserted = step.call is Call.DML and answer.status.startswith("INSERT") and not answer.rows
    return int(answer.status.split()[-1]) if inserted else len(answer.rows)
