"""Values of all types: out as JSON, in as parameters, and nothing lost on the way."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import InvalidParameter
from core.postgres.outcomes import Outcome
from core.postgres.tenant_connection import TenantConnection
from core.postgres.type_book import BUILTIN, Kind
from core.postgres.values import row_converter
from tests.integration.samples import MADE, NOT_STORABLE, SAMPLES
from tests.tenants import connected, empty_database


@pytest.fixture(scope="module")
async def tenant(admin_url: str) -> AsyncIterator[TenantConnection]:
    async with empty_database(admin_url) as url, connected(url) as connection:
        await connection.execute(MADE)
        if (await connection.run("SELECT FROM pg_available_extensions WHERE name = 'vector'")).rows:
            await connection.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
            await connection.execute("SET search_path = public, ext")
        yield connection


def as_json(tenant: TenantConnection, outcome: Outcome, *, whole_seconds: bool = False) -> str:
    """The rows as an answer has them."""
    convert = row_converter(outcome.columns, tenant.types, whole_seconds=whole_seconds)
    return orjson.dumps([convert(row) for row in outcome.rows]).decode()


async def value(tenant: TenantConnection, expression: str, *parameters: Any, **how: Any) -> str:
    """One value as JSON text."""
    outcome = await tenant.run(f"SELECT {expression}", parameters)
    text = as_json(tenant, outcome, **how)
    assert text[:2] + text[-2:] == "[[]]"
    return text[2:-2]


async def stored(tenant: TenantConnection, type_name: str, parameter: Any) -> tuple[str, Any]:
    """What PostgreSQL makes of a parameter: its text form, and that as JSON.

    Numbers are read digit by digit, as no float could hold them all.
    """
    try:
        outcome = await tenant.run(f"SELECT $1::{type_name}", [parameter])
    except asyncpg.FeatureNotSupportedError as error:
        pytest.skip(str(error))  # a server that was built without xml
    text = outcome.rows[0][0]
    assert text is not None
    oid = outcome.columns[0].type_oid
    if tenant.types[oid].kind is Kind.JSON:
        return text, text
    return text, json.loads(as_json(tenant, outcome), parse_float=str)[0][0]


async def types_of_server(tenant: TenantConnection) -> dict[str, int]:
    """All but arrays and pseudo-types, and the array type that each has."""
    outcome = await tenant.run(
        "SELECT pg_catalog.format_type(type.oid, NULL), type.typarray FROM pg_catalog.pg_type type "
        "LEFT JOIN pg_catalog.pg_type element ON element.typarray = type.oid "
        "WHERE type.typtype IN ('b', 'r', 'm', 'e', 'd') AND element.oid IS NULL "
        "AND type.typnamespace <> 'information_schema'::pg_catalog.regnamespace"
    )
    return {str(name): int(array or 0) for name, array in outcome.rows}


async def test_every_type_that_can_be_stored_has_samples(tenant: TenantConnection) -> None:
    assert set(await types_of_server(tenant)) - set(SAMPLES) - NOT_STORABLE == set()


async def test_the_built_in_types_are_those_of_the_server(tenant: TenantConnection) -> None:
    outcome = await tenant.run(
        "SELECT type.oid, pg_catalog.format_type(type.oid, NULL), coalesce(element.oid, 0), "
        "coalesce(element.typdelim, type.typdelim) "
        "FROM pg_catalog.pg_type AS type "
        "LEFT JOIN pg_catalog.pg_type AS element ON element.typarray = type.oid "
        "WHERE type.oid = ANY ($1)",
        [list(BUILTIN)],
    )
    known = [BUILTIN[int(oid or 0)] for oid, *_ in outcome.rows]
    assert [tuple(row) for row in outcome.rows] == [
        (str(kept.oid), kept.name, str(kept.element), kept.delimiter) for kept in known
    ]
    assert len(known) > 150


@pytest.mark.parametrize("type_name", sorted(SAMPLES))
async def test_a_value_of_any_type_comes_back_as_it_was(
    tenant: TenantConnection, type_name: str
) -> None:
    if type_name not in await types_of_server(tenant) and "pair" not in type_name:
        pytest.skip("this server does not have the type")
    for sample in SAMPLES[type_name]:
        text, found = await stored(tenant, type_name, sample)
        assert await stored(tenant, type_name, found) == (text, found), sample


@pytest.mark.parametrize("type_name", sorted(SAMPLES))
async def test_an_array_of_any_type_comes_back_as_it_was(
    tenant: TenantConnection, type_name: str
) -> None:
    known = await types_of_server(tenant)
    if not known.get(type_name) and "pair" not in type_name:
        pytest.skip("this server has no such array")
    samples: list[Any] = [*SAMPLES[type_name], None]
    array = f"{type_name}[]"
    text, found = await stored(tenant, array, samples)
    assert len(found) == len(samples)
    assert found[-1] is None
    again, _ = await stored(tenant, array, found if "json" not in type_name else text)
    assert again == text
    if "json" in type_name or type_name in ("vector", "halfvec", "int_list"):
        return  # a list in these is an element
    nested = [samples, samples]
    text, found = await stored(tenant, array, nested)
    assert [len(inner) for inner in found] == [len(samples)] * 2
    assert await stored(tenant, array, found) == (text, found)


FORMS = [
    ("1::smallint", "1"),
    ("9223372036854775807", "9223372036854775807"),
    ("4294967295::oid", "4294967295"),
    ("12345678901234567890123456789.012345678900", "12345678901234567890123456789.012345678900"),
    ("-0.00", "0.00"),
    ("'NaN'::numeric", '"NaN"'),
    ("'-Infinity'::numeric", '"-Infinity"'),
    ("'Infinity'::real", '"Infinity"'),
    ("'NaN'::float8", '"NaN"'),
    ("0.1::real", "0.1"),
    ("0.1::float8 + 0.2::float8", "0.30000000000000004"),
    ("5e-324::float8", "5e-324"),
    ("1.7976931348623157e308::float8", "1.7976931348623157e+308"),
    ("true", "true"),
    ("false", "false"),
    ("NULL::boolean", "null"),
    ('\'{"b":1,"a":[2.50]}\'::json', '{"b":1,"a":[2.50]}'),
    ("E'{\\n\"a\":\\r\\n 1}'::json", '{ "a":   1}'),
    ('\'{"a":1,"a":2}\'::json', '{"a":1,"a":2}'),
    ("'\"\\ud800\"'::json", '"\\ud800"'),
    ("'1e400'::json", "1e400"),
    ("'null'::jsonb", "null"),
    ("'1e5'::jsonb", "100000"),
    ("'\"\\u00e9\\n\"'::jsonb", '"é\\n"'),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    ("'x'::char(3)", '"x  "'),
    ("timestamp '2024-01-02 03:04:05.670'", '"2024-01-02 03:04:05.67"'),
    ("timestamptz '2024-01-02 03:04:05+02'", '"2024-01-02 01:04:05+00"'),
    ("timestamp '0044-03-15 00:00 BC'", '"0044-03-15 00:00:00 BC"'),
    ("timestamp '-infinity'", '"-infinity"'),
    ("date '0044-03-15 BC'", '"0044-03-15 BC"'),
    ("date '2024-02-29'", '"2024-02-29"'),
    ("time '24:00:00'", '"24:00:00"'),
    ("timetz '01:02:03+05:30'", '"01:02:03+05:30"'),
    ("interval '1 year 2 months -3 days 04:05:06.7'", '"1 year 2 mons -3 days +04:05:06.7"'),
    ("interval '-00:00:01'", '"-00:00:01"'),
    ("'\\xdeadBEEF'::bytea", '"\\\\xdeadbeef"'),
    ("inet '10.0.0.1/8'", '"10.0.0.1/8"'),
    ("B'0101'", '"0101"'),
    ("int4range(1, 5)", '"[1,5)"'),
    ("'empty'::numrange", '"empty"'),
    ("'{[1,3),[5,)}'::int4multirange", '"{[1,3),[5,)}"'),
    ("ROW(1, 'a b', NULL)", '"(1,\\"a b\\",)"'),
    ("'a'::mood", '"a"'),
    ("5::positive", "5"),
    ("'{1,2}'::int_list", "[1,2]"),
    ("'{}'::int[]", "[]"),
    ("ARRAY[1.50, NULL, 'NaN']", '[1.50,null,"NaN"]'),
    ("ARRAY[true, false]", "[true,false]"),
    ("ARRAY[[1,2],[3,4]]", "[[1,2],[3,4]]"),
    ("'[2:3]={1,2}'::int[]", "[1,2]"),
    ("'[-1:0][5:6]={{1,2},{3,NULL}}'::int[]", "[[1,2],[3,null]]"),
    (
        "ARRAY['', 'NULL', NULL, 'a,b', '{}', '\"', '\\', ' ', E'\\n']",
        '["","NULL",null,"a,b","{}","\\"","\\\\"," ","\\n"]',
    ),
    ("ARRAY[box '(1,1),(0,0)', NULL]", '["(1,1),(0,0)",null]'),
    ("ARRAY['{\"a\": [1, 2]}', '\"x\"', 'null', NULL]::jsonb[]", '[{"a": [1, 2]},"x",null,null]'),
    ("ARRAY[(1, 'x\"y')::pair, NULL]", '["(1,\\"x\\"\\"y\\")",null]'),
    ("ARRAY['{1,2}', '{3}', NULL]::int_list[]", "[[1,2],[3],null]"),
    ("ARRAY[5, 6]::positive[]", "[5,6]"),
    ("ARRAY['a']::mood[]", '["a"]'),
    ("'1 2 3'::int2vector", '"1 2 3"'),
    ("ARRAY[timestamp '2024-01-02 03:04:05.5']", '["2024-01-02 03:04:05.5"]'),
]


@pytest.mark.parametrize(("expression", "expected"), FORMS)
async def test_json_forms(tenant: TenantConnection, expression: str, expected: str) -> None:
    assert await value(tenant, expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("timestamp '2024-01-02 03:04:05.999999'", "2024-01-02 03:04:05"),
        ("timestamp '2024-01-02 03:04:05'", "2024-01-02 03:04:05"),
        ("timestamptz '2024-01-02 03:04:05.9+00'", "2024-01-02 03:04:05"),
        ("timestamp '0044-03-15 00:00 BC'", "0044-03-15 00:00:00 BC"),
        ("timestamp '294276-12-31 23:59:59.9'", "294276-12-31 23:59:59.9"),
        ("timestamptz 'infinity'", "infinity"),
        ("timestamptz '4713-01-01 00:00:00.5+00 BC'", "4713-01-01 00:00:00.5+00 BC"),
        ("time '01:02:03.5'", "01:02:03.5"),
    ],
)
async def test_whole_seconds(tenant: TenantConnection, expression: str, expected: str) -> None:
    assert json.loads(await value(tenant, expression, whole_seconds=True)) == expected
    array = await value(tenant, f"ARRAY[{expression}]", whole_seconds=True)
    assert json.loads(array) == [expected]


async def test_timestamps_of_another_zone_are_not_cut(admin_url: str) -> None:
    async with connected(admin_url, server_settings={"timezone": "Asia/Kolkata"}) as tenant:
        found = await value(tenant, "timestamptz '2024-01-02 00:00:00+00'", whole_seconds=True)
        assert found == '"2024-01-02 05:30:00+05:30"'


@pytest.mark.parametrize(
    ("type_name", "parameter", "expected"),
    [
        ("int", 5.0, "5"),
        ("bigint", -(2**63), "-9223372036854775808"),
        ("numeric", 10**40, "1" + "0" * 40),
        ("numeric", 1e-7, "0.0000001"),
        ("numeric", float("inf"), "Infinity"),
        ("float8", float("nan"), "NaN"),
        ("float8", 7, "7"),
        ("text", 7, "7"),
        ("text", True, "true"),
        ("text", "NULL", "NULL"),
        ("boolean", False, "f"),
        ("boolean", "yes", "t"),
        ("date", "2024-01-01", "2024-01-01"),
        ("jsonb", {"a": [1, None, True, "é"]}, '{"a": [1, null, true, "é"]}'),
        ("jsonb", [1, [2]], "[1, [2]]"),
        ("jsonb", 10**30, "1" + "0" * 30),
        ("jsonb", True, "true"),
        ("jsonb", '{"a":1}', '{"a": 1}'),
        ("jsonb", '"text"', '"text"'),
        ("jsonb[]", [[1, 2], {"a": "b,c"}, None, '"s"'], None),
        ("int[]", [1, None, [2]][:2], "{1,NULL}"),
        ("int[]", [[1, 2], [3, 4]], "{{1,2},{3,4}}"),
        ("int[]", "{5,6}", "{5,6}"),
        ("int[]", [], "{}"),
        ("int[]", [1.0, "2"], "{1,2}"),
        ("boolean[]", [True, False], "{t,f}"),
        ("box[]", ["(1,1),(0,0)", None], "{(1,1),(0,0);NULL}"),
        ("positive", 5, "5"),
        ("int_list", [1, 2], "{1,2}"),
        ("int_list[]", [[1, 2], [3]], '{"{1,2}","{3}"}'),
        ("pair", '(1,"a b")', '(1,"a b")'),
    ],
)
async def test_parameters(
    tenant: TenantConnection, type_name: str, parameter: Any, expected: str | None
) -> None:
    text, _ = await stored(tenant, type_name, parameter)
    assert text == (expected or '{"[1, 2]","{\\"a\\": \\"b,c\\"}",NULL,"\\"s\\""}')


@pytest.mark.parametrize(
    ("type_name", "parameter", "reason"),
    [
        ("int", True, "$1 (integer): a boolean fits"),
        ("int", [1], "$1 (integer): a list fits"),
        ("text", {"a": 1}, "$1 (text): an object fits"),
        ("pair", {"a": 1}, "$1 (pair): an object fits"),
        ("int[]", [1, {"a": 1}], "$1 (integer[]): an object fits"),
        ("int[]", [True], "$1 (integer[]): a boolean fits"),
        ("int[]", [[[[[[[1]]]]]]], "at most 6 dimensions"),
        ("text", "a\0b", "NUL"),
        ("text[]", ["a\0b"], "NUL"),
        ("text", "\ud800", "surrogate"),
        ("jsonb", {"\udfff": 1}, "surrogate"),
        ("jsonb", [float("nan")], "NaN"),
    ],
)
async def test_parameters_that_do_not_fit(
    tenant: TenantConnection, type_name: str, parameter: Any, reason: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await tenant.run(f"SELECT $1::{type_name}", [parameter])
    assert reason in refused.value.message
    assert (await tenant.run("SELECT 1")).rows


async def test_a_json_value_nested_too_deep_is_refused(tenant: TenantConnection) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidParameter, match="nested too deep"):
        await tenant.run("SELECT $1::jsonb", [deep])


async def test_an_integer_of_thousands_of_digits_is_refused(tenant: TenantConnection) -> None:
    with pytest.raises(InvalidParameter, match="too many digits"):
        await tenant.run("SELECT $1::numeric", [10**5000])
    with pytest.raises(InvalidParameter, match="too many digits"):
        await tenant.run("SELECT $1::json", [[10**5000]])


async def test_the_number_of_the_parameter_is_named(tenant: TenantConnection) -> None:
    with pytest.raises(InvalidParameter, match=r"\$2 \(mood\)"):
        await tenant.run("SELECT $1::int, $2::mood", [1, [2]])
    with pytest.raises(InvalidParameter, match="is 1; the statement takes 2"):
        await tenant.run("SELECT $1::int, $2::mood", [1])
    many = ", ".join(f"${number}" for number in range(1, 32769))
    with pytest.raises(InvalidParameter, match="at most 32767"):
        await tenant.run(f"SELECT 1 WHERE '1' IN ({many})", ["1"] * 32768)
    assert (await tenant.run("SELECT 1")).rows


async def test_vectors_are_given_as_lists(tenant: TenantConnection) -> None:
    if "vector" not in await types_of_server(tenant):
        pytest.skip("this server has no pgvector")
    assert (await stored(tenant, "vector", [1, 2.5, -3e-5]))[0] == "[1,2.5,-3e-05]"
    assert (await stored(tenant, "vector", "[1,2]"))[1] == "[1,2]"
    assert (await stored(tenant, "vector[]", [[1, 2], [3]]))[1] == ["[1,2]", "[3]"]
    with pytest.raises(InvalidParameter, match="a list of numbers"):
        await tenant.run("SELECT $1::vector", [[True]])


async def test_type_names(tenant: TenantConnection) -> None:
    outcome = await tenant.run(
        "SELECT 1::bigint, 1.5, '{}'::text[], 'a'::mood, '{}'::mood[], 1::positive, "
        "'x'::varchar(5), now(), ROW(1), NULL"
    )
    assert [column.type_name for column in outcome.columns] == [
        "bigint",
        "numeric",
        "text[]",
        "mood",
        "mood[]",
        "integer",
        "character varying",
        "timestamp with time zone",
        "record",
        "text",
    ]


async def test_a_row_without_columns_and_one_of_1600(tenant: TenantConnection) -> None:
    outcome = await tenant.run("SELECT FROM generate_series(1, 2)")
    assert (outcome.columns, as_json(tenant, outcome)) == ((), "[[],[]]")
    outcome = await tenant.run("SELECT " + ", ".join(str(number) for number in range(1600)))
    assert json.loads(as_json(tenant, outcome)) == [list(range(1600))]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


async def in_and_out(tenant: TenantConnection, type_name: str, given: Sequence[Any]) -> Any:
    outcome = await tenant.run(f"SELECT $1::{type_name}", [given])
    return json.loads(as_json(tenant, outcome), parse_float=str)[0][0]


@hypothesis_settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.none() | TEXTS))
async def test_any_text_in_an_array(tenant: TenantConnection, texts: list[str | None]) -> None:
    assert await in_and_out(tenant, "text[]", texts) == texts


@hypothesis_settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n))))
async def test_any_text_in_a_nested_array(tenant: TenantConnection, rows: list[list[str]]) -> None:
    assert await in_and_out(tenant, "text[]", rows) == rows


@hypothesis_settings(max_examples=100, deadline=None)
@given(numbers=st.lists(st.floats(), min_size=1))
async def test_any_float(tenant: TenantConnection, numbers: list[float]) -> None:
    found = await in_and_out(tenant, "float8[]", numbers)
    assert [repr(float(number)) for number in found] == [repr(number) for number in numbers]


@hypothesis_settings(max_examples=100, deadline=None)
@given(numbers=st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=30), min_size=1))
async def test_any_numeric(tenant: TenantConnection, numbers: list[Any]) -> None:
    texts = [format(number, "f") for number in numbers]
    found = await in_and_out(tenant, "numeric[]", texts)
    assert found == [text.removeprefix("-") if not number else text
                     for text, number in zip(texts, numbers, strict=True)]  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@hypothesis_settings(max_examples=100, deadline=None)
@given(document=st.lists(JSON) | st.dictionaries(TEXTS, JSON))
async def test_any_json(tenant: TenantConnection, document: Any) -> None:
    assert await in_and_out(tenant, "jsonb", document) == document
    assert await in_and_out(tenant, "json", document) == document
