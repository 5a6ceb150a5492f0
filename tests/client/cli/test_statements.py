"""How a text of SQL is taken apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtwin.cli import duration
from pgtwin.cli.statements import is_complete, normalised, parts, statements


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ;; ", []),
        ("-- nothing", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT \";\"", ["SELECT ';'", 'SELECT ";"']),
        ("SELECT 'it''s;'; x", ["SELECT 'it''s;'", "x"]),
        (r"SELECT E'\';'; x", [r"SELECT E'\';'", "x"]),
        (r"SELECT '\'; x", [r"SELECT '\'", "x"]),
        ("SELECT $$;$$; x", ["SELECT $$;$$", "x"]),
        ("SELECT $a$ $$;$b$; $a$; x", ["SELECT $a$ $$;$b$; $a$", "x"]),
        ("SELECT $1; x", ["SELECT $1", "x"]),
        ("SELECT a$b$; x", ["SELECT a$b$", "x"]),
        ("SELECT 1 -- a; b\n; x", ["SELECT 1 -- a; b", "x"]),
        ("/* ; /* ; */ ; */ SELECT 1; x", ["/* ; /* ; */ ; */ SELECT 1", "x"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1"
            " END; END; SELECT 2",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true"
                " THEN 1 END; END",
                "SELECT 2",
            ],
        ),
        ("BEGIN; SELECT 1; END", ["BEGIN", "SELECT 1", "END"]),
        ("SELECT 'open; x", ["SELECT 'open; x"]),
        ("SELECT $$open; x", ["SELECT $$open; x"]),
    ],
)
def test_statements(text: str, found: list[str]) -> None:
    assert list(statements(text)) == found


@given(
    st.lists(st.sampled_from(["a", ";", "'", '"', "$$", "--", "/*", "*/", "\n", "E'", "\\", "$x$"]))
)
@settings(max_examples=300, deadline=None)
def test_any_text_ends(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = list(statements(text))
    assert all(each in text for each in found)
    is_complete(text)


def test_what_is_sent_together() -> None:
    text = (
        "CREATE TABLE a (); ALTER TABLE a ADD n int; INSERT INTO a VALUES (1); SELECT 1;"
        " DROP TABLE a"
    )
    assert [(part.is_ddl, part.text.count(";") + 1) for part in parts(text)] == [
        (True, 2),
        (False, 2),
        (True, 1),
    ]
    many = ";".join(f"SELECT {number}" for number in range(70))
    assert [part.text.count(";") + 1 for part in parts(many)] == [32, 32, 6]
    large = ";".join(f"SELECT '{'x' * 30_000}'" for _ in range(3))
    assert len(list(parts(large))) == 3
    assert [part.is_ddl for part in parts("/* a */ -- b\n create table a ()")] == [True]
    assert [part.is_ddl for part in parts("WITH a AS (SELECT 1) SELECT * FROM a")] == [False]


def test_what_is_sent_is_a_part_of_what_was_given() -> None:
    text = "-- a\nCREATE TABLE a ();\n\n/* b */ SELECT 1;;\n-- c\nSELECT 2;\n"
    found = list(parts(text))
    assert [text[part.start :].startswith(part.text) for part in found] == [True, True]
    assert found[1].text == "/* b */ SELECT 1;;\n-- c\nSELECT 2"


def test_line_ends() -> None:
    assert normalised("\ufeffa\r\nb\rc\n") == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("typed", "complete"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; ", True),
        ("SELECT ';", False),
        ("SELECT ';';", True),
        ("SELECT $$;", False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1 /* ;", False),
    ],
)
def test_when_a_statement_is_typed(typed: str, complete: bool) -> None:
    assert is_complete(typed) is complete


def test_durations() -> None:
    assert [duration.seconds(text) for text in ("90", "90s", "15m", "1h30m", "7d", "1w")] == [
        90, 90, 900, 5400, 604_800, 604_800,
    ]  # fmt: skip
    for wrong in ("", "x", "1x", "-1s", "1.5h", "h", "٣m", "²"):
        with pytest.raises(ValueError, match="no time"):
            duration.seconds(wrong)
