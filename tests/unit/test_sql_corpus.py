"""The corpora of SQL are well-formed, and stay as large as they are."""

import re
from collections import Counter
from importlib import import_module
from typing import Any

import pytest

from tests.acceptance.sql.corpus import (
    Call,
    Case,
    Expect,
    InvalidCase,
    attacks,
    files,
    legitimate,
    read,
)
from tests.acceptance.sql.stand_in import WORDS

LEAST_ATTACKS = 500
LEAST_LEGITIMATE = 390
DOES_NOT_PARSE = 25030
# Longer texts are there because they are hard on a parser.
LARGEST = 3000
parser: Any = import_module("postgast")
message: Any = import_module("google.protobuf.message")


def all_cases() -> list[Case]:
    return [*attacks(), *legitimate()]


def test_the_corpora_only_grow() -> None:
    assert len(attacks()) >= LEAST_ATTACKS
    assert len(legitimate()) >= LEAST_LEGITIMATE


def test_names_are_unique() -> None:
    names = Counter(case.name for case in all_cases())
    assert [name for name, number in names.items() if number > 1] == []


def test_what_is_legitimate_works() -> None:
    assert [case.name for case in legitimate() if case.expect is not Expect.OK] == []


def test_every_legitimate_query_says_its_rows() -> None:
    """An answer that nobody looks at proves little; DDL is seen by what follows it."""
    unsaid = [
        case.name
        for case in legitimate()
        if case.call is Call.DML and case.rows is None and case.count is None and not case.then
    ]
    assert unsaid == []


@pytest.mark.parametrize("file", [f for folder in ("attacks", "legitimate") for f in files(folder)])
def test_no_plain_scalar_is_cut_by_a_comment(file: Any) -> None:
    """YAML takes ` #` in a plain scalar for a comment, PostgreSQL for an operator."""
    plain = re.compile(r"^\s+sql: [^'\"|>].* #")
    assert [line for line in file.read_text().splitlines() if plain.match(line)] == []


def test_every_statement_parses() -> None:
    """An attack with a slip of the pen is refused for the wrong reason."""
    wrong = []
    for case in all_cases():
        filled = case.filled(WORDS)
        for step in filled.steps:
            if len(step.sql) > LARGEST or "\0" in step.sql:
                continue
            meant = step is filled and case.code == DOES_NOT_PARSE
            if _parses(step.sql) == meant:
                wrong.append(f"{case.file}: {case.name}: {step.sql[:200]}")
    assert not wrong, "\n".join(wrong)


def test_unknown_keys_and_placeholders_are_refused() -> None:
    with pytest.raises(InvalidCase):
        read("attacks/x", "- {name: a, reason: b, sql: SELECT 1, expect: any, whom: c}")
    with pytest.raises(InvalidCase):
        read("attacks/x", "- {name: a, reason: b, sql: 'SELECT {no_such_word}', expect: any}")
    with pytest.raises(InvalidCase):
        read("attacks/x", "- {name: a, sql: SELECT 1, expect: any}")


def _parses(sql: str) -> bool:
    try:
        parser.parse(sql)
    except parser.PgQueryError:
        return False
    except message.DecodeError:
        # It parses, but the tree is deeper than what a message of it may be.
        return True
    return True
