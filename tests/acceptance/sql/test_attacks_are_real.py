"""Attacks that can be set up, and what row security alone makes of them."""

import pytest

from tests.acceptance.sql.corpus import attacks, by_file
from tests.acceptance.sql.stand_in import World, problem_of

ATTACKS = by_file(attacks())
BY_ROW_SECURITY = ("attacks/rows", "attacks/ownership")


@pytest.mark.parametrize("file", ATTACKS)
async def test_setup(stand_in: World, features: frozenset[str], file: str) -> None:
    """What can't be set up proves nothing."""
    wrong = []
    for case in ATTACKS[file]:
        if case.reason_to_skip(features) or not case.setup:
            continue
        if problem := await problem_of(stand_in, case.setup):
            wrong.append(f"{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", BY_ROW_SECURITY)
async def test_row_security_holds_alone(
    stand_in: World, features: frozenset[str], file: str
) -> None:
    wrong = []
    for case in ATTACKS[file]:
        if case.reason_to_skip(features):
            continue
        if problem := await problem_of(stand_in, case.steps):
            wrong.append(f"{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)
