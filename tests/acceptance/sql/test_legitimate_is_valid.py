"""Every legitimate statement is one that PostgreSQL runs, and gives the rows it is said to give."""

import pytest

from tests.acceptance.sql.corpus import by_file, legitimate
from tests.acceptance.sql.stand_in import World, problem_of

LEGITIMATE = by_file(legitimate())


@pytest.mark.parametrize("file", LEGITIMATE)
async def test_legitimate(stand_in: World, features: frozenset[str], file: str) -> None:
    wrong = []
    for case in LEGITIMATE[file]:
        if case.reason_to_skip(features):
            continue
        if problem := await problem_of(stand_in, case.steps):
            wrong.append(f"{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)
