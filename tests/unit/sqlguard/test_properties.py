"""What holds for every statement, however it is nested, quoted and written."""

import re
from collections.abc import Callable

import postgast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AppError
from core.sqlguard import Ruleset, SqlRefused, admit
from core.sqlguard.limits import _Counter

OWN = "prod_own_1"
FORBIDDEN = """
    set_config current_setting pg_read_file pg_read_binary_file lo_import lo_export lo_get pg_sleep
    pg_sleep_for pg_advisory_lock pg_try_advisory_xact_lock query_to_xml table_to_xml ts_stat
    ts_rewrite pg_notify pg_terminate_backend pg_cancel_backend pg_ls_dir pg_stat_file
    has_table_privilege pg_reload_conf pg_logical_emit_message pg_stat_get_activity txid_current
    inet_server_addr current_query to_regclass pg_get_viewdef obj_description
    RI_FKey_cascade_del
""".split()  # noqa: SIM905  read more easily
SPACES = st.sampled_from([" ", "\n", "\t", " /* ' */ ", ' -- "\n', "/* /* */ */", "\r\n"])
PLAIN_NAMES = st.sampled_from(["t", "notes", "a1", "Ünder", "名前", "_x", "a$b$", "e"])


def escaped(name: str) -> str:
    return 'U&"' + "".join(f"\\{ord(each):04x}" for each in name) + '"'


def escaped_otherwise(name: str) -> str:
    return 'U&"' + "".join(f"!+{ord(each):06x}" for each in name) + "\" UESCAPE '!'"


def quoted(name: str) -> str:
    return f'"{name}"'


WRITTEN: list[Callable[[str], str]] = [quoted, escaped, escaped_otherwise]
PLAINLY: list[Callable[[str], str]] = [str.lower, str.upper, str.title, str.swapcase]


def written(name: str) -> st.SearchStrategy[str]:
    """An identifier in one of the ways in which it can be written."""
    ways = WRITTEN if name != name.lower() else [*WRITTEN, *PLAINLY]
    return st.sampled_from(ways).map(lambda way: way(name))


@st.composite
def calls(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(FORBIDDEN))
    before = draw(st.sampled_from(["", "pg_catalog"]))
    call = draw(written(name)) + draw(SPACES) + draw(st.sampled_from(["()", "('a')", "(1, 'x')"]))
    return f"{draw(written(before))}{draw(SPACES)}.{draw(SPACES)}{call}" if before else call


LEAVES = st.sampled_from(
    ["1", "'a'", "NULL", "a", "t.a", '"Ü"', "$1", "E'\\''", "$$'$$", "1.", ".5", "current_date"]
)
SLOTS = [
    "({} + {})", "({} || {})", "(NOT {} OR {} IS NULL)", "coalesce({}, {})", "ARRAY[{}, {}]",
    "ROW({}, {})", "CASE WHEN {} THEN {} END", "({}::text LIKE {})", "({} IN ({}, 1))",
    "(SELECT {} WHERE {} IS NULL)", "EXISTS (SELECT FROM notes WHERE {} = {})", "({})[1]",
    "(ARRAY[{}])[{}:]", "sum({}) FILTER (WHERE {}) OVER (PARTITION BY 1)",
    "string_agg({}, ',' ORDER BY {})", "({} BETWEEN 1 AND {})", "greatest({}, {})",
    "nullif({}, {})", "({} COLLATE \"C\" = ANY (ARRAY[{}]))", "extract(year FROM {})",
    "({} AT TIME ZONE {})", "json_object('a': {}, 'b': {})", "CAST({} AS numeric(10, 2))",
    "own({}, b => {})", "xmlelement(name a, {}, {})", "trim({} FROM {})",
    "({} IS DISTINCT FROM {})",
]  # fmt: skip
STATEMENTS = [
    "SELECT {} FROM notes", "SELECT DISTINCT ON ({}) 1", "SELECT 1 WHERE {}", "VALUES ({})",
    "SELECT 1 FROM notes GROUP BY ROLLUP ({}) HAVING true", "SELECT 1 HAVING {}",
    "SELECT 1 ORDER BY {}", "SELECT 1 LIMIT {}", "SELECT 1 OFFSET {}",
    "SELECT 1 FROM a JOIN b ON {}", "SELECT * FROM unnest({}) AS x", "SELECT * FROM f({}, 1)",
    "SELECT * FROM ROWS FROM (f(1), g({}))", "SELECT * FROM t TABLESAMPLE system ({})",
    "SELECT 1 UNION SELECT {}", "WITH q AS (SELECT {}) SELECT * FROM q",
    "SELECT sum(1) OVER w FROM t WINDOW w AS (ORDER BY 1 ROWS {} PRECEDING)",
    "SELECT * FROM JSON_TABLE({}, '$' COLUMNS (a int PATH '$.a'))", "SELECT JSON_VALUE('1', {})",
    "SELECT * FROM XMLTABLE('/a' PASSING {} COLUMNS b text PATH 'c')",
    "INSERT INTO t VALUES ({})", "INSERT INTO t SELECT {}", "INSERT INTO t VALUES (1) RETURNING {}",
    "INSERT INTO t VALUES (1) ON CONFLICT (({})) DO NOTHING",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = {}",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE {} DO UPDATE SET a = 1 WHERE false",
    "UPDATE t SET a = {}", "UPDATE t SET (a, b) = (SELECT {}, 1)", "UPDATE t SET a[{}] = 1",
    "UPDATE t SET a = 1 FROM b WHERE {}", "DELETE FROM t USING b WHERE {}",
    "DELETE FROM t RETURNING {}", "MERGE INTO t USING s ON {} WHEN MATCHED THEN DELETE",
    "MERGE INTO t USING s ON true WHEN MATCHED AND {} THEN DO NOTHING",
    "MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT VALUES ({})",
]  # fmt: skip
DEFINITIONS = [
    "CREATE TABLE t (a text DEFAULT {})", "CREATE TABLE t (a int CHECK ({} IS NULL))",
    "CREATE TABLE t (a int GENERATED ALWAYS AS ({}) STORED)", "CREATE TABLE t AS SELECT {}",
    "CREATE TABLE t (a int, EXCLUDE USING gist (({}) WITH =))",
    "CREATE TABLE t PARTITION OF s FOR VALUES IN ({})", "ALTER TABLE t ADD COLUMN a int DEFAULT {}",
    "CREATE TABLE t (a int) PARTITION BY RANGE (({}))", "ALTER TABLE t ADD CHECK ({} > 1)",
    "ALTER TABLE t ALTER a TYPE int USING {}", "ALTER TABLE t ALTER a SET DEFAULT {}",
]  # fmt: skip
OWNERS_DEFINITIONS = [
    "CREATE INDEX ON t (({}))", "CREATE INDEX ON t (a) WHERE {}", "CREATE VIEW v AS SELECT {}",
    "CREATE DOMAIN d AS int CHECK ({})", "ALTER DOMAIN d SET DEFAULT {}",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN {}",
    "CREATE FUNCTION f(a int DEFAULT {}) RETURNS int LANGUAGE sql RETURN 1",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT {}; END",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT {} $body$",
    "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW WHEN ({}) EXECUTE FUNCTION f()",
]  # fmt: skip
NAME_SLOTS = [
    "SELECT * FROM {}.x", "SELECT {}.x(1)", "SELECT 1::{}.x", "SELECT CAST(1 AS {}.x[])",
    "SELECT 1 OPERATOR({}.+) 1", "SELECT a COLLATE {}.x", "SELECT OPERATOR({}.-) a",
    "SELECT 1 OPERATOR({}.=) ALL (ARRAY[1])", "SELECT 1 OPERATOR({}.=) ANY (SELECT 1)",
    "SELECT 1 ORDER BY 1 USING OPERATOR({}.<)", "SELECT * FROM t TABLESAMPLE {}.x (1)",
    "INSERT INTO {}.x VALUES (1)", "UPDATE {}.x SET a = 1", "DELETE FROM t USING {}.x",
    "MERGE INTO t USING {}.x ON true WHEN MATCHED THEN DELETE", "TABLE {}.x",
    "SELECT * FROM {}.x(1) AS f", "SELECT * FROM json_to_record('{{}}') AS f (a {}.x)",
    "SELECT * FROM JSON_TABLE('1', '$' COLUMNS (a {}.x PATH '$'))",
    "SELECT * FROM XMLTABLE('/a' PASSING b COLUMNS c {}.x PATH 'd')",
    "SELECT sum(a ORDER BY a USING OPERATOR({}.<)) FROM t", "SELECT {}.x '1'",
    "INSERT INTO t VALUES (1) ON CONFLICT (a {}.x) DO NOTHING",
    "SELECT JSON_VALUE(a, '$' RETURNING {}.x)",
]  # fmt: skip
DEFINED_NAME_SLOTS = [
    "CREATE TABLE {}.x (a int)", "CREATE TABLE t (a {}.x)", "CREATE TABLE t (LIKE {}.x)",
    "CREATE TABLE t (a int) INHERITS ({}.x)", "CREATE TABLE t OF {}.x",
    "CREATE TABLE {}.x AS SELECT 1",
    "CREATE TABLE t (a int REFERENCES {}.x)", "CREATE TABLE t PARTITION OF {}.x DEFAULT",
    "CREATE TABLE t (a text COLLATE {}.x)", "CREATE TABLE t (a int) PARTITION BY LIST (a {}.x)",
    "CREATE TABLE t (a int) PARTITION BY LIST (a COLLATE {}.x)", "ALTER TABLE {}.x ADD a int",
    "CREATE TABLE t (a int, EXCLUDE USING gist (a WITH OPERATOR({}.=)))",
    "CREATE TABLE t (a int, EXCLUDE USING gist (a {}.x WITH =))",
    "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME {}.x))",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES {}.x", "ALTER TABLE t INHERIT {}.x",
    "ALTER TABLE t ATTACH PARTITION {}.x DEFAULT", "ALTER TABLE t ALTER a TYPE {}.x",
    "ALTER TABLE t OF {}.x", "DROP TABLE t, {}.x", "ALTER TABLE {}.x RENAME TO y",
    "COMMENT ON TABLE {}.x IS ''", "COMMENT ON COLUMN {}.x.a IS ''",
]  # fmt: skip
OWNERS_NAME_SLOTS = [
    "CREATE INDEX ON {}.x (a)", "CREATE INDEX ON t (a {}.x)", "CREATE VIEW {}.x AS SELECT 1",
    "CREATE TYPE {}.x AS ENUM ()", "CREATE TYPE t AS (a {}.x)", "CREATE DOMAIN {}.x AS int",
    "CREATE TYPE t AS RANGE (subtype = {}.x)", "CREATE DOMAIN d AS {}.x", "DROP VIEW v, {}.x",
    "CREATE SEQUENCE s OWNED BY {}.x.a", "CREATE SEQUENCE {}.x", "ALTER SEQUENCE {}.x RESTART",
    "CREATE FUNCTION {}.x() RETURNS int LANGUAGE sql RETURN 1", "DROP INDEX {}.x", "DROP TYPE {}.x",
    "CREATE FUNCTION f(a {}.x) RETURNS int LANGUAGE sql RETURN 1", "DROP FUNCTION {}.x(int)",
    "CREATE FUNCTION f() RETURNS SETOF {}.x LANGUAGE sql RETURN 1", "DROP FUNCTION f({}.x)",
    "CREATE FUNCTION f(a {}.x.b%TYPE) RETURNS int LANGUAGE sql RETURN 1", "DROP DOMAIN {}.x",
    "CREATE TRIGGER x AFTER INSERT ON {}.x EXECUTE FUNCTION f()", "DROP TRIGGER x ON {}.x",
    "CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION {}.x()", "ALTER TYPE {}.x ADD VALUE 'a'",
    "ALTER INDEX {}.x RENAME TO y", "ALTER VIEW {}.x RENAME TO y", "ALTER TYPE {}.x RENAME TO y",
]  # fmt: skip
OF_RULES = [
    (Ruleset.DML, STATEMENTS),
    (Ruleset.DDL, DEFINITIONS),
    (Ruleset.OWNER_DDL, OWNERS_DEFINITIONS),
]
NAMES_OF_RULES = [
    (Ruleset.DML, NAME_SLOTS),
    (Ruleset.DDL, DEFINED_NAME_SLOTS),
    (Ruleset.OWNER_DDL, OWNERS_NAME_SLOTS),
]
# pg_catalog is not among them: types, functions, operators and collations may be named with it.
FOREIGN = ["other", "public", "pgtwin", "pgtwin_rt", "information_schema", "pg_toast", "pg_temp"]


def expressions(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions with what `leaf` gives in one of their slots."""

    @st.composite
    def nested(draw: st.DrawFn) -> str:
        inner = draw(leaf)
        for slot in draw(st.lists(st.sampled_from(SLOTS), max_size=6)):
            others = [draw(LEAVES) for _ in range(slot.count("{}") - 1)]
            others.insert(draw(st.integers(0, len(others))), inner)
            inner = slot.format(*others)
        return inner

    return nested()


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Several statements that are meant to be admitted, in any manner of writing."""
    count = draw(st.integers(1, 4))
    found = [
        draw(st.sampled_from(STATEMENTS)).format(draw(expressions(LEAVES))) for _ in range(count)
    ]
    names = draw(PLAIN_NAMES)
    spaced = [
        re.sub(r"(?<=[A-Z]) (?=[a-z(])", lambda _found: draw(SPACES), each, count=3)
        for each in found
    ]
    return draw(SPACES) + ";".join(each.replace("notes", names) for each in spaced)


def kinds(sql: str) -> list[str]:
    return [each.stmt.WhichOneof("node") for each in postgast.parse(sql).stmts]


@settings(max_examples=200, deadline=None)
@given(texts())
def test_admitted_statements_are_those_of_the_text(sql: str) -> None:
    statements = admit(sql, Ruleset.DML, own_schema=OWN)
    assert [each.number for each in statements] == list(range(1, len(statements) + 1))
    for each in statements:
        assert sql[each.offset : each.offset + len(each.sql)] == each.sql
        assert len(admit(each.sql, Ruleset.DML, own_schema=OWN)) == 1
    assert kinds(";".join(f"{each.sql}\n" for each in statements)) == kinds(sql)


@settings(max_examples=100, deadline=None)
@given(texts(), texts())
def test_two_admitted_texts_are_one(first: str, second: str) -> None:
    both = admit(f"{first}\n;{second}", Ruleset.DML, own_schema=OWN)
    one, other = (admit(sql, Ruleset.DML, own_schema=OWN) for sql in (first, second))
    assert [each.kind for each in both] == [each.kind for each in (*one, *other)]


@pytest.mark.parametrize(("ruleset", "slots"), OF_RULES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_forbidden_function_is_refused_wherever_it_stands(
    ruleset: Ruleset, slots: list[str], data: st.DataObject
) -> None:
    call = data.draw(calls())
    sql = data.draw(st.sampled_from(slots)).format(data.draw(expressions(st.just(call))))
    with pytest.raises(SqlRefused) as caught:
        admit(sql, ruleset, own_schema=OWN)
    assert caught.value.position is not None
    assert 1 <= caught.value.position <= len(sql)


@pytest.mark.parametrize(
    ("ruleset", "slot"), [(ruleset, slot) for ruleset, slots in NAMES_OF_RULES for slot in slots]
)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_another_schema_is_refused_wherever_it_stands(
    ruleset: Ruleset, slot: str, data: st.DataObject
) -> None:
    schema = data.draw(st.sampled_from(FOREIGN))
    # An escape by another character comes after the name, where no dot can follow at once.
    name = data.draw(st.sampled_from([quoted, escaped, *PLAINLY]))(schema)
    with pytest.raises(SqlRefused):
        admit(slot.format(name), ruleset, own_schema=OWN)
    admit(slot.format(OWN), ruleset, own_schema=OWN)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["SELECT ", "1", " ", "(", ")", "'", '"', "\\", "E'", ";", "--", "/*", "*/", "\n", "\r",
             "$$", "$a$", "€", "a", "pg_sleep(1)", ",", "::", "regclass", "U&", "\0", "\ud800", "."]
        ),
        max_size=30,
    ).map("".join),
    st.sampled_from(list(Ruleset)),
)  # fmt: skip
def test_nothing_but_our_errors_and_places_in_the_text(sql: str, ruleset: Ruleset) -> None:
    position = None
    try:
        admit(sql, ruleset, own_schema=OWN)
    except AppError as error:
        position = error.position
    assert position is None or 1 <= position <= len(sql) + 1


PIECES = [
    ";", "'", "''", '"', "\\", "E'", "e'", "a", "aE'", "€", "é", "1", "1.", " ", "\n", "\r", "\t",
    "--", "-", "/*", "*/", "*", "/", "+", "$$", "$a$", "$A$", "$€$", "$1", "a$b$", "$", "U&'", "N'",
    "x'", "B'", "'\n'", "\\'", ".", "::", "`", "@", "$a1$", "\f", "\v", "\u00a0", "_",
]  # fmt: skip


# What ends a literal or a comment that is still open.
ENDS = ["", "'", '"', "*/", "$$", "$a$", "$A$", "$€$", "\n", "\n'"]


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_literals_are_those_of_postgresqls_scanner(text: str) -> None:
    """What is counted lies outside of literals and comments: semicolons show it."""
    for end in ENDS:
        ended = f"{text};{end};"
        try:
            scanned = postgast.scan(ended)
        except postgast.PgQueryError:
            continue
        counter = _Counter(ended)
        counter.through()
        data = ended.encode()
        semicolons = sum(data[each.start : each.end] == b";" for each in scanned.tokens)
        assert counter.statements == semicolons
