"""Texts that differ in constants only are judged as one; what else differs is not left out."""

import asyncio
from collections.abc import Sequence

import pytest

from core.errors import AppError
from core.sqlguard import Ruleset, Statement, admit, skeleton
from memory.statements.judge import Guard
from tests.acceptance.sql.corpus import Call, Case, attacks, legitimate
from tests.acceptance.sql.stand_in import WORDS
from tests.fuzz.sqlguard import judged_otherwise

OWN = "own"


@pytest.mark.parametrize(
    ("sql", "bones"),
    [
        ("SELECT a FROM t WHERE b = 12", "SELECT a FROM t WHERE b = #i"),
        ("SELECT 'it''s', 1.50, ''", "SELECT #s, #f, #s"),
        ("SELECT 'a'\n'b'", "SELECT #s\n#s"),
        ("SELECT interval '1 day', a[1:2]", "SELECT interval #s, a[#i:#i]"),
        ("VALUES (1,2),(3,4)", "VALUES (#i,#i),(#i,#i)"),
        ("SELECT é1 + 1", "SELECT é1 + #i"),
    ],
)
def test_plain_constants_are_left_out(sql: str, bones: str) -> None:
    assert skeleton(sql, Ruleset.DML) == bones.replace("#", "\0")


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT $1, t1.c2, "1", "\'1\'"',
        "SELECT 1e5, 0x1F, 1_000, 1., .5, 1..2, 1a, 1é, 1234567890",
        "SELECT E'a', e'\\'1', x'1f', B'1', n'a', U&'a', date'1', é'1'",
        "SELECT $$1 '1'$$, $a$ 1 $a$",
        "SELECT x'1'\n'2', U&'a' -- é\n 'b', \"a\" '1'",
        "SELECT 'a",
        "SELECT 'a''",
        "/* 1 /* '1' */ 1 */ SELECT a -- 1 '1'",
    ],
)
def test_others_are_not(sql: str) -> None:
    assert skeleton(sql, Ruleset.DML) == sql


def test_what_may_change_names_has_none() -> None:
    assert skeleton("SELECT U&\"?0070g_x\" uEscape '!'", Ruleset.DML) is None
    assert skeleton("SELECT 1, '\0'", Ruleset.DML) is None
    assert skeleton("SELECT a::FLOAT (3)", Ruleset.DML) is None


def judged(guard: Guard, sql: str) -> Sequence[Statement] | str:
    try:
        return asyncio.run(guard(sql, Ruleset.DML, OWN))
    except AppError as error:
        return error.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT repeat('a', 5)", "SELECT repeat('a', 5000000)"),
        ("SELECT * FROM generate_series(1, 5)", "SELECT * FROM generate_series(1, 999999999)"),
        ("SELECT format('%5s', 1)", "SELECT format('%999999999s', 1)"),
        ("SELECT lpad(a, 1 + 1) FROM t", "SELECT lpad(a, 9999999 + 1) FROM t"),
        (
            "SELECT * FROM U&\"?0070g_class\" UESCAPE '!'",
            "SELECT * FROM U&\"?0070g_class\" UESCAPE '?'",
        ),
        ("SELECT a::float(3) FROM t", "SELECT a::float(99) FROM t"),
        ("SELECT x'1f'\n'2'", "SELECT x'1f'\n'2''3'"),
        ("SELECT U&'a'\n'b'", "SELECT U&'a'\n'\\zz'"),
        ("SELECT 1", "SELECT \0i"),
        ("SELECT 'a'", "SELECT 'a"),
    ],
)
def test_a_value_that_counts_is_looked_at_each_time(first: str, second: str) -> None:
    guard = Guard(None)
    assert not isinstance(judged(guard, first), str)
    with pytest.raises(AppError) as caught:
        admit(second, Ruleset.DML, own_schema=OWN)
    assert judged(guard, second) == caught.value.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT a FROM t WHERE b = 'x' LIMIT 5", "SELECT a FROM t WHERE b = 'long''er' LIMIT 10"),
        ("  SELECT 1 ; -- 1", "  SELECT 12345 ; -- 1"),
        ("/* é */ UPDATE é SET a = 'é'", "/* é */ UPDATE é SET a = 'ëëë'"),
        ("INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (22, 'b')"),
    ],
)
def test_a_statement_has_its_own_text(first: str, second: str) -> None:
    guard = Guard(None)
    judged(guard, first)
    assert judged(guard, second) == admit(second, Ruleset.DML, own_schema=OWN)
    assert len(guard._alike) == 1


def test_what_takes_much_room_is_not_remembered() -> None:
    guard = Guard(None)
    for number in range(5):
        names = ", ".join(f"a{number}_{each}" for each in range(200))
        judged(guard, f"SELECT FROM {names}")
        # The same relation again is none more.
        judged(guard, f"SELECT FROM {', '.join([f'a{number} a'] * 80)}")
    assert len(guard._known) == len(guard._alike) == 5


def texts(cases: list[Case]) -> list[str]:
    filled = [case.filled(WORDS) for case in cases]
    return sorted({step.sql for case in filled for step in case.steps if step.call is Call.DML})


@pytest.mark.parametrize("cases", [attacks(), legitimate()], ids=["attacks", "legitimate"])
def test_the_corpora_are_not_judged_otherwise(cases: list[Case]) -> None:
    admitted = 0
    for sql in texts(cases):
        try:
            admit(sql, Ruleset.DML, own_schema=OWN)
        except AppError:
            continue
        admitted += 1
        assert not judged_otherwise(sql), sql
    assert admitted > 50
