"""Which expressions of a table run nobody's code, as PostgreSQL writes them down."""

import pytest

from core.sqlguard.plain import is_plain


@pytest.mark.parametrize(
    "expression",
    [
        "0",
        "'new'::character varying",
        "now()",
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "gen_random_uuid()",
        "(n > 0)",
        "((price >= (0)::numeric) AND (price < 1e6))",
        "((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
        "(char_length(name) <= 20)",
        "((first || ' '::text) || last)",
        "CASE WHEN (a IS NULL) THEN 1 ELSE (b * 2) END",
        "COALESCE(a, (b)::integer, 0)",
        "(name ~ '^[a-z]+$'::text)",
        "lower(name)",
        "EXTRACT(year FROM made)",
        "(num_nonnulls(a, b) = 1)",
        "'{}'::jsonb",
        "(made AT TIME ZONE 'UTC'::text)",
        '(name COLLATE "C")',
    ],
)
def test_plain(expression: str) -> None:
    assert is_plain(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "prod_u_1.mine()",
        "mine(1)",
        "(a OPERATOR(prod_u_1.+) b)",
        "(a)::prod_u_1.mood",
        "nextval('prod_u_1.t_id_seq'::regclass)",
        "('x'::text)::regclass",
        "CURRENT_USER",
        "SESSION_USER",
        "CURRENT_ROLE",
        "current_setting('pgtwin.ctx'::text)",
        "set_config('role'::text, 'x'::text, false)",
        "pgtwin_rt.row_id()",
        "pg_sleep(1)",
        "query_to_xml('select 1'::text, true, false, ''::text)",
        "(SELECT 1)",
        "(a = ( SELECT count(*) FROM prod_u_1.t))",
        "count(*) OVER ()",
        '(name COLLATE prod_u_1."own")',
        "ROW(1) IS DISTINCT FROM pg_read_file('x'::text)",
        "1) FROM t WHERE (true",
        "1); DELETE FROM t; SELECT (1",
        "",
        "'",
        "txid_current()",
        "has_table_privilege('t'::text, 'x'::text)",
        "'x'::xml IS DOCUMENT",
    ],
)
def test_not_plain(expression: str) -> None:
    assert not is_plain(expression)
