import pytest

from core.postgres.statements import READ_CHARACTERS, SHOWN_CHARACTERS, fingerprint, normalised

ID = "382896164691419136"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT *\n  FROM t -- of 'alice'\n WHERE a = 'it''s'", "SELECT * FROM t WHERE a = ?"),
        (r"SELECT E'a\'b', 'c'", "SELECT ?, ..."),
        ("SELECT $1::VARCHAR, t1.c2, 1.5e-3 + .5", "SELECT ?::VARCHAR, t1.c2, ? + ?"),
        ("SELECT /* secret */ $$it's$$ || $x$ $$ $x$", "SELECT ? || ?"),
        ("SELECT U&'d\\0061' || B'01' || x'1F' || 0xFF", "SELECT ? || ? || ? || ?"),
        ("CREATE ROLE r PASSWORD 'secret", "CREATE ROLE r PASSWORD ?"),
        ("DO $a$ BEGIN secret", "DO ?"),
        (f'CREATE SCHEMA "prod_alice_{ID}"', "CREATE SCHEMA ?"),
        (f"GRANT d{ID}_prod TO d{ID}_ddl", "GRANT ? TO ?"),
        ('SELECT "a 1", "b""2"', 'SELECT "a 1", "b""2"'),
        ("SELECT '-- not a comment', 2", "SELECT ?, ..."),
        ("INSERT INTO t VALUES ($1, $2), ($3, $4)", "INSERT INTO t VALUES (?, ...), ..."),
        ("UPDATE t SET a = a - 1 WHERE b IN (1,2,3)", "UPDATE t SET a = a - ? WHERE b IN (?, ...)"),
    ],
)
def test_a_statement_is_shown_without_literals_and_names_with_ids(
    statement: str, shown: str
) -> None:
    assert normalised(statement) == shown


def test_statements_that_differ_in_values_only_have_one_fingerprint() -> None:
    prints = {
        fingerprint(normalised(f"SELECT a FROM t WHERE a IN ({values}) AND b = {text}"))
        for values, text in [("1", "'x'"), ("22", "'y z'"), ("3", "E'\\''")]
    }
    assert len(prints) == 1
    assert len(prints.pop()) == 16
    assert fingerprint(normalised("SELECT a FROM t")) != fingerprint(normalised("SELECT b FROM t"))


def test_a_long_statement_is_cut_and_its_literals_too() -> None:
    shown = normalised("SELECT " + "a + " * 1000 + "b")
    assert shown.endswith("...")
    assert len(shown) == SHOWN_CHARACTERS + 3
    assert normalised("SELECT '" + "secret" * READ_CHARACTERS) == "SELECT ?"
