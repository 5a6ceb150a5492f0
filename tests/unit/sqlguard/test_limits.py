"""What could end the process or hold it up is refused in time; literals are not counted.

Dangerous texts are judged in another process: a crash fails one test.
"""

from collections.abc import Iterator

import postgast
import pytest

from core.sqlguard import Ruleset, SqlTooLarge, SqlUnreadable, admit
from core.sqlguard.limits import (
    MAX_CHAIN,
    MAX_CLAUSES,
    MAX_ITEMS,
    MAX_NESTING,
    MAX_STATEMENTS,
    check_size,
)
from tests.fuzz.sqlguard import Worker

SECONDS = 0.5
# A machine under load is slower, and a parser that has gone wrong is a hundred times slower.
LENIENCE = 4
LONG = 100_000
CHAINS = {
    "addition": ("1", " + 1"),
    "concatenation": ("a", "||a"),
    "comparison": ("a", " = a"),
    "json": ("a", "->'b'"),
    "power": ("1", "^1"),
    "own operator": ("a", " @#@ a"),
    "qualified operator": ("a", " OPERATOR(pg_catalog.+) a"),
    "signs": ("", "- "),
    "signs in one": ("1", "*-+1"),
    "casts": ("1", "::int"),
    "collate": ("a", ' COLLATE "C"'),
    "time zone": ("a", " AT TIME ZONE 'UTC'"),
    "local time": ("a", " AT LOCAL"),
    "is null": ("a", " IS NULL"),
    "isnull": ("a", " ISNULL"),
    "notnull": ("a", " NOTNULL"),
    "is json": ("a", " IS JSON"),
    "in": ("a", " IN (1)"),
    "any": ("a", " = ANY (b)"),
    "like": ("a", " LIKE a"),
    "not": ("", "NOT "),
    "between": ("1", " BETWEEN 1 AND NOT 1"),
    "between and or": ("a", " OR a BETWEEN 1 AND NOT a BETWEEN 1 AND NOT a"),
    "union": ("1", " UNION SELECT 1"),
    "union with columns": ("1, 1", " UNION ALL SELECT 1, 1"),
    "union of numbers with a dot": ("1.", " UNION SELECT 1."),
    "union of numbers from a dot": (".5", " EXCEPT SELECT .5"),
    "union of numbers with an underscore": ("1_0.", " INTERSECT SELECT 1_0."),
    "null of numbers with a dot": ("1.", " IS NULL + 1."),
    "join": ("1 FROM a", " JOIN b ON true"),
    "join, with commas": ("1 FROM a", " CROSS JOIN b, c NATURAL JOIN d"),
    "brackets": ("a", "[1]"),
    "names": ("a", ".b"),
    "parentheses": ("", "("),
    "array": ("", "ARRAY["),
    "case": ("", "CASE WHEN "),
    "else": ("", "CASE WHEN a THEN 1 ELSE "),
    "case behind columns": ("", "CASE WHEN t.end THEN "),
    "calls behind columns": ("", "f(t . /* */ end, "),
    "subselect": ("", "(SELECT "),
    "exists": ("", "EXISTS (SELECT "),
    "conditions": ("1 WHERE a", " AND b OR c"),
    "columns": ("a", ", a"),
    "statements": ("1", "; SELECT 1"),
    "semicolons": ("1", ";"),
    "comments in comments": ("1", "/*"),
    "comments": ("1", "/* */"),
    "operator without an end": ("1", "+-"),
    "windows": ("1", ", count(*) OVER (ORDER BY a)"),
    "atomic functions": ("1; ", "CREATE FUNCTION a() BEGIN ATOMIC "),
}
# A long chain behind something that looks as if it were not over yet.
HIDING = [
    "date'\\'",
    "date'\\' || ",
    "a$b$, ",
    "1 +/* ' */ ",
    "1 +-- '\n",
    "1 -- \r + ",
    "E'a'\n'\\'' || ",
    "E'a' -- x\n -- '\n '\\'' || ",
    "$€$'$€$ || ",
    "$a$ $A$ ' $a$ || ",
    "1 AS €e'\\', ",
    "1 AS 名e'\\', ",
    "$1$$'$$ || ",
    "/* /* */ ' */ ",
    "U&'\\\\' || ",
    "N'\\' || ",
    "B'1' 'a'' ",
    '"\'", ',
    "'a''' || ",
]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("name", CHAINS)
def test_a_long_chain_of_anything_ends_in_time(worker: Worker, name: str) -> None:
    begin, link = CHAINS[name]
    sql = f"SELECT {begin}{link * min(LONG, 1_000_000 // len(link.encode()))}"
    found, seconds = worker.judged(sql if begin or link == "(" else f"{sql}1")
    assert found in ("SqlTooLarge", "SqlUnreadable", "-")
    assert seconds < SECONDS * LENIENCE


@pytest.mark.parametrize("hiding", HIDING)
def test_a_chain_is_counted_behind_what_looks_like_a_literal(worker: Worker, hiding: str) -> None:
    found, seconds = worker.judged(f"SELECT {hiding}1{' + 1' * LONG}")
    assert found in ("SqlTooLarge", "SqlUnreadable")
    assert seconds < SECONDS * LENIENCE


@pytest.mark.parametrize("name", CHAINS)
def test_chains_up_to_the_limits_end_in_time(worker: Worker, name: str) -> None:
    """What is let through to the parser does not end it, on a thread's stack either."""
    begin, link = CHAINS[name]
    kept, most = 0, 70_000
    while kept < most:
        middle = (kept + most + 1) // 2
        try:
            check_size(f"SELECT {begin}{link * middle} 1", Ruleset.DML)
        except SqlTooLarge:
            most = middle - 1
        else:
            kept = middle
    found, seconds = worker.judged(f"SELECT {begin}{link * kept} 1")
    assert not found.startswith("crash"), kept
    assert seconds < SECONDS * LENIENCE


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '" + "a" * 1_000_000,
        "SELECT E'" + "\\'" * 500_000,
        "SELECT E'" + "a''" * 300_000 + "\\",
        "SELECT $$" + "a" * 1_000_000,
        "SELECT $a" * 100_000,
        "SELECT " + "$a$" * 300_000,
        'SELECT "' + 'a""' * 300_000,
        "SELECT 'a'" + "\n'a'" * 200_000,
        "SELECT E'a'" + "\n \n" * 200_000,
        "SELECT E'a'" + "--\n" * 300_000 + "1",
        "--" * 500_000,
        "\n" * 1_000_000,
        "(" + " " * 1_000_000,
        "(" + "\u00a0-" * 300_000,
    ],
    ids=range(14),
)
def test_what_has_no_end_ends_in_time(worker: Worker, sql: str) -> None:
    found, seconds = worker.judged(sql)
    assert found in ("SqlTooLarge", "SqlUnreadable", "-")
    assert seconds < SECONDS * LENIENCE


@pytest.mark.parametrize(
    "literal",
    [
        "'{}'",
        "E'\\'{}'",
        "E'a'\n'\\'{}'",
        "$${}$$",
        "$a${}$a$",
        "$€$ $a$ {}$€$",
        "/* {} */ 1",
        "/* /* */ {} */ 1",
        "1 -- {}\n",
        "1 -- {}\r",
        'a AS "{}"',
        "U&'{}'",
        "N'{}'",
        "date'{}'",
        'x."{}" FROM x',
    ],
)
@pytest.mark.parametrize("inside", [" + 1", "(", "[", ";", " UNION ", ", ", ".", "::a", "CASE "])
def test_literals_and_comments_are_not_counted(literal: str, inside: str) -> None:
    # A name is cut by the scanner, a text is not.
    sql = f"SELECT {literal.format(inside * 5_000)}"
    check_size(sql, Ruleset.DML)
    postgast.scan(sql)


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("SELECT é" + " + 1" * (MAX_CHAIN + 1), 9 + 4 * MAX_CHAIN + 1),
        ("SELECT " + "(" * 300, 8 + MAX_NESTING),
        ("SELECT 1 /*" + "/*" * 30, 10 + 2 * 20),
        ("SELECT 1" + " JOIN b" * (MAX_CLAUSES + 1), 10 + 7 * MAX_CLAUSES),
        ("SELECT 1" + ",1" * (MAX_ITEMS + 1), 9 + 2 * MAX_ITEMS),
        ("SELECT 1 " + "+" * 64, 10),
    ],
)
def test_a_refusal_says_where_it_became_too_much(sql: str, position: int) -> None:
    with pytest.raises(SqlTooLarge) as caught:
        admit(sql, Ruleset.DML)
    assert caught.value.position == position


def test_what_programs_write_is_not_too_much() -> None:
    casts = ", ".join(f"${number}::VARCHAR" for number in range(1, 11))
    for sql in [
        "SELECT a" + " || a" * 900,
        "SELECT 1" + " UNION ALL SELECT 1" * 900,
        "SELECT 1 FROM a" + " JOIN b ON a.x = b.x AND a.y = b.y" * 300,
        "SELECT " + "replace(" * 190 + "a" + ", 'b', 'c')" * 190,
        "SELECT 1 FROM t WHERE " + " OR ".join(["(a = 1 AND b IN (2, 3))"] * 3_000)[:-5] + "))",
        "UPDATE t SET a = CASE" + " WHEN id = 1 THEN 'x'::text" * 3_000 + " END",
        "SELECT 1 FROM t WHERE " + " AND ".join(["a BETWEEN 1 AND 2"] * 3_000),
        f"INSERT INTO t VALUES {', '.join([f'({casts})'] * 1_000)} RETURNING id",
        "INSERT INTO t VALUES " + ", ".join(["(1, 'text', NULL, -2.5)"] * 10_000),
        "INSERT INTO t VALUES " + ", ".join(["('a'::text, -1, '{}'::jsonb)"] * 3_000),
        "SELECT 1 WHERE 1 IN (" + ", ".join(["1"] * 50_000) + ")",
        "-- a\n" * 50_000 + "SELECT 1",
    ]:
        assert len(admit(sql, Ruleset.DML)) == 1, sql[:80]


def test_sizes() -> None:
    for ruleset, most in ((Ruleset.DML, 1_048_576), (Ruleset.DDL, 65_536)):
        with pytest.raises(SqlTooLarge):
            admit("SELECT '" + "a" * most + "'", ruleset)
        with pytest.raises(SqlTooLarge):
            admit("SELECT '" + "é" * (most // 2) + "'", ruleset)
    assert len(admit("SELECT 1;" * MAX_STATEMENTS, Ruleset.DML)) == MAX_STATEMENTS
    with pytest.raises(SqlTooLarge):
        admit("SELECT 1;" * (MAX_STATEMENTS + 1), Ruleset.DML)


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("SELECT é\0", 9),
        ("SELECT '\ud800'", 9),
        ("", None),
        (" ; -- x", None),
        ("SELECT é x y", 12),
    ],
)
def test_what_is_unreadable_says_where(sql: str, position: int | None) -> None:
    with pytest.raises(SqlUnreadable) as caught:
        admit(sql, Ruleset.DML)
    assert caught.value.position == position
