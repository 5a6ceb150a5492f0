"""What the guard says of a statement, and where and why it refuses one."""

from contextlib import suppress

import pytest

from core.errors import AppError
from core.sqlguard import (
    DdlNotAllowed,
    DmlNotAllowed,
    Kind,
    Ruleset,
    SqlRefused,
    Statement,
    admit,
    overriding_user_value,
)

OWN = "prod_own_1"
D, L, O = Ruleset.DML, Ruleset.DDL, Ruleset.OWNER_DDL  # noqa: E741  as short as a table needs


def one(sql: str, ruleset: Ruleset = D) -> Statement:
    (statement,) = admit(sql, ruleset, own_schema=OWN)
    return statement


def names(statement: Statement) -> list[str]:
    return sorted({relation.name for relation in statement.relations})


@pytest.mark.parametrize(
    ("sql", "ruleset", "kind"),
    [
        ("TABLE t", D, Kind.SELECT),
        ("VALUES (1)", D, Kind.SELECT),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", D, Kind.SELECT),
        ("INSERT INTO t DEFAULT VALUES", D, Kind.INSERT),
        ("UPDATE t SET a = 1", D, Kind.UPDATE),
        ("DELETE FROM t", D, Kind.DELETE),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", D, Kind.MERGE),
        ("CREATE TABLE t (a int)", L, Kind.CREATE_TABLE),
        ("CREATE TABLE t AS SELECT 1", L, Kind.CREATE_TABLE_AS),
        ("ALTER TABLE t ADD COLUMN a int", L, Kind.ALTER_TABLE),
        ("ALTER TABLE t RENAME a TO b", L, Kind.RENAME),
        ("DROP TABLE IF EXISTS a, b CASCADE", L, Kind.DROP_TABLE),
        ("COMMENT ON COLUMN t.a IS 'x'", L, Kind.COMMENT),
        ("CREATE UNIQUE INDEX ON t USING btree (lower(a)) WHERE a > 1", O, Kind.CREATE_INDEX),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", O, Kind.CREATE_VIEW),
        ("CREATE TYPE e AS ENUM ('a')", O, Kind.CREATE_TYPE),
        ("CREATE TYPE c AS (a int)", O, Kind.CREATE_TYPE),
        ("CREATE TYPE r AS RANGE (subtype = int)", O, Kind.CREATE_TYPE),
        ("ALTER TYPE e ADD VALUE 'b'", O, Kind.ALTER_TYPE),
        ("CREATE DOMAIN d AS int CHECK (VALUE > 0)", O, Kind.CREATE_DOMAIN),
        ("ALTER DOMAIN d DROP NOT NULL", O, Kind.ALTER_DOMAIN),
        ("CREATE SEQUENCE s OWNED BY t.a", O, Kind.CREATE_SEQUENCE),
        ("ALTER SEQUENCE s RESTART", O, Kind.ALTER_SEQUENCE),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", O, Kind.CREATE_FUNCTION),
        (
            "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            O,
            Kind.CREATE_TRIGGER,
        ),
        ("DROP FUNCTION f(int)", O, Kind.DROP_FUNCTION),
        ("DROP TRIGGER x ON t", O, Kind.DROP_TRIGGER),
    ],
)
def test_kinds(sql: str, ruleset: Ruleset, kind: Kind) -> None:
    assert one(sql, ruleset).kind is kind


@pytest.mark.parametrize(
    ("sql", "ruleset"),
    [
        ("CREATE TABLE t (a int)", D),
        ("TRUNCATE t", D),
        ("EXPLAIN SELECT 1", D),
        ("SET a = 1", D),
        ("COPY t TO STDOUT", D),
        ("DO 'BEGIN END'", D),
        ("SELECT 1", L),
        ("CREATE INDEX ON t (a)", L),
        ("CREATE VIEW v AS SELECT 1", L),
        ("DROP VIEW v", L),
        ("GRANT SELECT ON t TO u", O),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", O),
        ("CREATE TABLE t AS EXECUTE p", O),
        ("CREATE PROCEDURE p() LANGUAGE sql AS ''", O),
        ("ALTER TABLE t SET SCHEMA other", O),
        ("CREATE OPERATOR + (FUNCTION = f)", O),
        ("CREATE RULE r AS ON INSERT TO t DO NOTHING", O),
    ],
)
def test_kinds_that_the_rules_do_not_have(sql: str, ruleset: Ruleset) -> None:
    with pytest.raises(DmlNotAllowed if ruleset is D else DdlNotAllowed) as caught:
        one(f" {sql}", ruleset)
    assert caught.value.position == 2
    assert caught.value.details == [{"statement": 1}]


def test_a_statement_knows_its_text_and_place() -> None:
    text = "/* é */ SELECT 'ü';\n  -- 名\n  UPDATE t SET a = '€' ;; DELETE FROM t"
    first, second, third = admit(text, D)
    assert [each.number for each in (first, second, third)] == [1, 2, 3]
    assert second.sql.endswith("UPDATE t SET a = '€' ")
    assert third.sql == "DELETE FROM t"
    for each in (first, second, third):
        assert text[each.offset : each.offset + len(each.sql)] == each.sql


@pytest.mark.parametrize(
    ("sql", "writes", "returning"),
    [
        ("SELECT 1", False, False),
        ("SELECT 1 FROM t FOR UPDATE", False, False),
        ("WITH a AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM a", True, False),
        ("INSERT INTO t VALUES (1) RETURNING a", True, True),
        ("WITH a AS (DELETE FROM t RETURNING *) INSERT INTO t SELECT * FROM a", True, False),
        ("UPDATE t SET a = 1", True, False),
        ("UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a", True, True),
        ("DELETE FROM t RETURNING *", True, True),
        (
            "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE RETURNING merge_action()",
            True,
            True,
        ),
    ],
)
def test_what_writes_and_returns(sql: str, writes: bool, returning: bool) -> None:
    statement = one(sql)
    assert (statement.writes, statement.returning) == (writes, returning)


@pytest.mark.parametrize(
    ("sql", "only_reads"),
    [
        ("SELECT lower(name), count(*) FROM t GROUP BY 1", True),
        ("SELECT pg_catalog.upper('a') FROM (SELECT now()) AS s", True),
        ("VALUES (1)", True),
        ("SELECT mine()", False),
        ("SELECT prod_own_1.lower('a')", False),
        ("SELECT 1 WHERE EXISTS (SELECT mine(n) FROM t)", False),
        ("SELECT nextval('s')", False),
        ("SELECT pg_catalog.setval('s', 1)", False),
        ("SELECT * FROM t FOR UPDATE", False),
        ("SELECT * FROM (SELECT * FROM t FOR SHARE) AS s", False),
        ("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", False),
        ("INSERT INTO t VALUES (1)", False),
    ],
)
def test_which_select_only_reads(sql: str, only_reads: bool) -> None:
    assert one(sql).only_reads is only_reads


@pytest.mark.parametrize(
    ("sql", "lists_rows"),
    [
        ("INSERT INTO t VALUES (1), (2)", True),
        ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING", True),
        ("INSERT INTO t DEFAULT VALUES", True),
        ("WITH s AS (SELECT 1) INSERT INTO t VALUES (1)", True),
        ("INSERT INTO t SELECT 1", False),
        ("INSERT INTO t (VALUES (1) UNION ALL SELECT * FROM t)", False),
        ("UPDATE t SET a = 1", False),
    ],
)
def test_which_insert_lists_its_rows(sql: str, lists_rows: bool) -> None:
    assert one(sql).lists_rows is lists_rows


@pytest.mark.parametrize(
    ("sql", "limited"),
    [
        ("SELECT 1", False),
        ("SELECT 1 OFFSET 5", False),
        ("SELECT 1 LIMIT 5", True),
        ("SELECT 1 LIMIT $1", True),
        ("SELECT 1 LIMIT ALL", True),
        ("SELECT 1 FETCH FIRST ROW ONLY", True),
        ("SELECT 1 ORDER BY 1 FETCH FIRST 5 ROWS WITH TIES", True),
        ("SELECT 1 UNION SELECT 2 LIMIT 1", True),
        ("(SELECT 1 LIMIT 1) UNION SELECT 2", False),
        ("SELECT * FROM (SELECT 1 LIMIT 1) a", False),
        ("DELETE FROM t", False),
    ],
)
def test_which_select_says_how_many_rows(sql: str, limited: bool) -> None:
    assert one(sql).limited is limited


@pytest.mark.parametrize(
    ("sql", "target"),
    [
        ("INSERT INTO t VALUES (1)", "t"),
        ('INSERT INTO "T ü" VALUES (1)', "T ü"),
        (f"INSERT INTO {OWN}.t AS x VALUES (1)", "x"),
        ("UPDATE t SET a = 1", None),
    ],
)
def test_the_target_of_an_insert(sql: str, target: str | None) -> None:
    assert one(sql).target == target


def test_relations_are_those_of_the_database() -> None:
    statement = one(
        "WITH RECURSIVE q AS (SELECT * FROM a UNION SELECT * FROM q) SELECT * FROM q JOIN b ON"
        f" EXISTS (SELECT FROM {OWN}.c) WHERE q.a IN (TABLE d)"
    )
    assert names(statement) == ["a", "b", "c", "d"]
    assert {each.schema for each in statement.relations} == {None, OWN}
    text = "/* é */ TRUNCATE ünder"
    with pytest.raises(DmlNotAllowed) as caught:
        admit(text, Ruleset.DML)
    assert [each.position for each in caught.value.relations] == [text.index("ünder") + 1]


# What is refused stands between guillemets, which are taken out.
REFUSED = [
    (D, "SELECT 'é', «pg_sleep(1)"),
    (D, "SELECT 1; SELECT «pg_sleep(1)"),
    (D, "SELECT * FROM «other.t"),
    (D, "SELECT * FROM «pg_class"),
    (D, "SELECT * FROM «pg_temp.t"),
    (D, "SELECT 'a'::«regclass"),
    (D, "SELECT nextval('a'::regclass), 'a'::«regclass"),
    (D, "SELECT nextval(('a' || 'b')::«regclass)"),
    (D, "SELECT a «OPERATOR(other.+) b"),
    (D, "SELECT a «OPERATOR(a.pg_catalog.+) b"),
    (D, "SELECT 1 «OPERATOR(other.=) ANY (SELECT 1)"),
    (D, "SELECT 1 ORDER BY 1 USING «OPERATOR(other.<)"),
    (D, "SELECT a «COLLATE other.x"),
    (D, "SELECT a «COLLATE a.pg_catalog.x"),
    (D, "SELECT * FROM t TABLESAMPLE «other.m(1)"),
    (D, "SELECT «$65536"),
    (D, "WITH a AS (SELECT 1 INTO «b) SELECT 1"),
    (D, "SELECT «repeat('x', 1000 * 1000 * 1000)"),
    (D, "SELECT «repeat('x', (10 ^ 9)::int)"),
    (D, "SELECT «repeat('x', 1 << 30)"),
    (D, "SELECT «repeat('x', '1000000000')"),
    (D, "SELECT «repeat('a' || repeat('x', 1000), 1000)"),
    (D, "SELECT «lpad(('a' || rpad('x', 1000))::text, 1000)"),
    (D, "SELECT «array_fill(1, ARRAY[10000, 10000])"),
    (D, "SELECT «format('%1$-1000000000s', 'x')"),
    (D, "SELECT «generate_series(1, 1000 * 1000 * 1000)"),
    (D, "SELECT «generate_series(1, 0xFFFFFFFFFF)"),
    (D, "SELECT «generate_series('1', '99_999_999_999')"),
    (L, "CREATE TABLE t (a int, «EXCLUDE USING gist (a WITH OPERATOR(other.=)))"),
    (L, "CREATE TABLE t (a int) PARTITION BY RANGE («a other.ops)"),
    (L, "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY («SEQUENCE NAME other.s))"),
    (L, "CREATE TABLE t (a int DEFAULT «pg_sleep(1))"),
    (L, "«COMMENT ON COLUMN pg_class.relname IS 'x'"),
    (L, "«DROP TABLE a, pg_catalog.b"),
    (L, "«ALTER TABLE t RENAME TO pg_t"),
    (O, "CREATE VIEW v WITH («security_invoker = off) AS SELECT 1"),
    (O, "CREATE VIEW v WITH («security_invoker = 0) AS SELECT 1"),
    (O, "CREATE VIEW v WITH («security_invoker = 'F') AS SELECT 1"),
    (O, "ALTER VIEW v SET («security_invoker = 'no')"),
    (O, "ALTER VIEW v RESET («security_invoker)"),
    (O, "«DROP TRIGGER x ON pg_class"),
    (O, "«CREATE SEQUENCE s OWNED BY other.t.a"),
    (O, "CREATE FUNCTION f(«pg_authid.rolname%TYPE) RETURNS int LANGUAGE sql RETURN 1"),
    (O, "CREATE FUNCTION f(«other.t.a%TYPE) RETURNS int LANGUAGE sql RETURN 1"),
    (O, "CREATE FUNCTION f() RETURNS int LANGUAGE sql «AS 'SELECT 1; SELECT pg_sleep(1)'"),
    (O, "CREATE FUNCTION f() RETURNS int LANGUAGE sql «AS 'DROP TABLE t'"),
    (O, "CREATE FUNCTION f() RETURNS int LANGUAGE sql «AS 'SELECT'''"),
    (O, "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT «pg_sleep(1); END"),
    (O, "«CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC DROP TABLE t; END"),
    (O, "CREATE FUNCTION f(a int DEFAULT «inet_server_port()) RETURNS int LANGUAGE sql RETURN 1"),
    (O, "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW WHEN («pg_sleep(1) IS NULL)"
        " EXECUTE FUNCTION f()"),
]  # fmt: skip


@pytest.mark.parametrize(("ruleset", "marked"), REFUSED, ids=[sql for _, sql in REFUSED])
def test_a_refusal_points_at_the_part(ruleset: Ruleset, marked: str) -> None:
    sql = marked.replace("«", "")
    with pytest.raises(SqlRefused) as caught:
        admit(sql, ruleset, own_schema=OWN)
    assert caught.value.position == marked.index("«") + 1
    assert caught.value.details == [{"statement": marked[: marked.index("«")].count(";") + 1}] or (
        ruleset is O
    )


@pytest.mark.parametrize(
    ("ruleset", "sql"),
    [
        # Django, Rails, Hibernate and dumps of sequences.
        (D, """SELECT setval(pg_get_serial_sequence('"t"','id'), coalesce(max("id"), 1),"""
            """ max("id") IS NOT null) FROM "t\""""),
        (D, "SELECT nextval('t_id_seq'::regclass)"),
        (D, "SELECT pg_catalog.setval('public_t_id_seq'::text::regclass, 1, true)"),
        (L, "CREATE TABLE t (id bigint DEFAULT nextval('t_id_seq'::regclass) NOT NULL)"),
        # SQLAlchemy's insertmanyvalues.
        (D, "INSERT INTO t (a, b) SELECT p0::VARCHAR, p1::INTEGER FROM (VALUES ($1::VARCHAR,"
            " $2::INTEGER, 0), ($3::VARCHAR, $4::INTEGER, 1)) AS imp_sen(p0, p1, sen_counter)"
            " ORDER BY sen_counter RETURNING t.id, t.id AS id__1"),
        # Prisma.
        (D, 'SELECT "j"."id", COALESCE("a"."__prisma_data__", \'[]\'::jsonb) FROM "t" AS "j"'
            " LEFT JOIN LATERAL (SELECT JSONB_AGG(\"__prisma_data__\") AS \"__prisma_data__\""
            ' FROM (SELECT JSONB_BUILD_OBJECT(\'id\', "t3"."id") AS "__prisma_data__" FROM "c"'
            ' AS "t3" WHERE "j"."id" = "t3"."p" /* root select */) AS "t4") AS "a" ON TRUE'),
        # Ecto, TypeORM, Hibernate, jOOQ.
        (D, 'INSERT INTO "t" AS t0 ("a") VALUES ($1) ON CONFLICT ("a") DO UPDATE SET "a" ='
            ' EXCLUDED."a" RETURNING "id"'),
        (D, "SELECT DISTINCT \"distinctAlias\".\"P_id\" AS \"ids_P_id\" FROM (SELECT \"P\".\"id\""
            ' AS "P_id" FROM "t" "P") "distinctAlias" ORDER BY "P_id" ASC LIMIT 1'),
        (D, "select t1_0.id from t t1_0 where t1_0.a like $1 escape '' offset $2 rows fetch first"
            " $3 rows only"),
        (D, "select 1 from t where (a, b) in ((1, 2), (3, 4)) for no key update skip locked"),
        (D, "SELECT * FROM t WHERE a = ANY ($1::uuid[]) AND doc @> $2 AND doc ? 'k' AND t && $3"),
        (D, "SELECT to_tsvector('english'::regconfig, a || '') @@ websearch_to_tsquery($1)"),
        (D, "SELECT pg_size_pretty(octet_length(a)::bigint) FROM t"),
        (L, "ALTER TABLE t ALTER CONSTRAINT c DEFERRABLE INITIALLY DEFERRED"),
        (L, "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) DEFERRABLE"
            " INITIALLY DEFERRED"),
        (O, "CREATE FUNCTION f(a t.title%TYPE) RETURNS t.title%TYPE LANGUAGE sql RETURN a"),
        (O, "CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND"
            " OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION f()"),
        (O, "CREATE FUNCTION f() RETURNS int AS 'SELECT 1'"),
        (O, "CREATE VIEW v WITH (security_invoker = 1, security_barrier) AS SELECT 1"),
        (O, "ALTER VIEW v SET (security_invoker = on)"),
    ],
)  # fmt: skip
def test_what_programs_write_is_admitted(ruleset: Ruleset, sql: str) -> None:
    one(sql, ruleset)


@pytest.mark.parametrize(
    "argument",
    [
        "1" + " + 1" * 900,
        "1" + "::int" * 900,
        "'a'" + "::text" * 900,
        "- " * 900 + "1",
        "ARRAY[" * 190 + "1" + "]" * 190,
        "9" * 5_000,
        "'" + "9" * 5_000 + "'",
        "'%" + "9" * 5_000 + "s'",
        "1e400",
        "'nan'",
        "1 / 0",
        "2 ^ 1000000000",
        "0 ^ -1",
        "1 << 1000000000",
        "0xG",
        "E''",
    ],
    ids=range(16),
)
@pytest.mark.parametrize(
    "call",
    [
        "repeat('x', {})",
        "repeat({}, 1)",
        "format({}, 1)",
        "nextval({})",
        "array_fill(1, {})",
        "generate_series(1, {})",
        "generate_series({0}, {0}, {0})",
    ],
)
def test_no_argument_is_too_strange_to_be_judged(call: str, argument: str) -> None:
    with suppress(AppError):
        one(f"SELECT {call.format(argument)}")


def test_an_insert_may_pass_over_columns_that_are_generated() -> None:
    deep = "a" + " || a" * 500
    statement = one(f"INSERT INTO t (id, a) VALUES (1, {deep})")
    assert "OVERRIDING USER VALUE" in overriding_user_value(statement)


def test_without_a_schema_of_its_own_no_name_is_qualified() -> None:
    with pytest.raises(AppError):
        admit(f"SELECT * FROM {OWN}.t", D)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ('0'::float8).pg_sleep",
        "SELECT ('x'::text).regclass",
        "SELECT (('x'::text).pg_read_file)",
        "SELECT f.pg_sleep FROM unnest(ARRAY[5.0::float8]) AS f",
        "SELECT ('search_path'::text).current_setting",
    ],
)
def test_a_call_in_the_form_of_an_attribute_is_refused(sql: str) -> None:
    with pytest.raises(SqlRefused):
        admit(sql, Ruleset.DML)


def test_attributes_that_are_columns_are_admitted() -> None:
    sql = "SELECT t.name, t.date, t.version, (t).length, (t.doc).path, t.internal FROM t"
    assert len(admit(sql, Ruleset.DML)) == 1
