"""What the guard says to each statement of the corpora."""

from typing import Any

import pytest

from core.errors import AppError
from core.sqlguard import Ruleset, admit
from tests.acceptance.sql.corpus import Acting, Call, Case, Step, attacks, legitimate
from tests.acceptance.sql.stand_in import WORDS

# The codes that are the guard's; others are PostgreSQL's or the edge's.
CODES = {25020, 25030, 25031, 25040, 25050}


def ruleset(step: Step) -> Ruleset:
    if step.call is Call.DML:
        return Ruleset.DML
    return Ruleset.OWNER_DDL if step.acting is Acting.OWNER else Ruleset.DDL


def judged(step: Step) -> int:
    own = WORDS["own_schema" if step.env == "prod" else "own_test_schema"]
    try:
        admit(step.sql, ruleset(step), own_schema=own)
    except AppError as error:
        code, position = error.code, error.position or 1
    else:
        code, position = 0, 1
    assert 1 <= position <= len(step.sql) + 1
    return code


def steps(cases: list[Case]) -> list[Any]:
    return [
        pytest.param(case.filled(WORDS), id=f"{case.file}: {case.name}".replace("/", "-"))
        for case in cases
    ]


@pytest.mark.parametrize("case", steps(legitimate()))
def test_what_is_legitimate_is_admitted(case: Case) -> None:
    refused = [step.sql for step in case.steps if step.call is not Call.CLONE and judged(step) != 0]
    assert not refused


@pytest.mark.parametrize("case", steps([case for case in attacks() if case.code in CODES]))
def test_an_attack_has_its_code(case: Case) -> None:
    code = judged(case)
    if case.code == 25020 and code == 0:
        pytest.skip("refused by PostgreSQL")
    assert code == case.code


@pytest.mark.parametrize("case", steps([case for case in attacks() if case.call is not Call.CLONE]))
def test_an_attack_never_gets_another_error_than_ours(case: Case) -> None:
    assert judged(case) in CODES | {0}
