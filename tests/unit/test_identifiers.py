"""Names and literals are what PostgreSQL reads them as, whatever is in them."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.postgres.identifiers import (
    MAX_BYTES,
    Environment,
    Identifier,
    RoleName,
    SchemaName,
    literal,
)

# Anything that PostgreSQL's text can hold: no NUL, no surrogates.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
UIDS = st.one_of(
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=64
    ),
    st.text("ab_-\"'\\$é😀1", min_size=1, max_size=64),
    st.builds(str.__mul__, st.sampled_from('aé€😀"'), st.integers(1, 64)),
)
IDS = st.integers(2**31, 2**63 - 1)
ENVIRONMENTS = st.sampled_from(Environment)
NAMES = TEXT.filter(lambda text: 0 < len(text.encode()) <= MAX_BYTES)


@given(ENVIRONMENTS, UIDS, IDS)
def test_a_schema_name_fits_and_says_what_it_is(
    environment: Environment, uid: str, database_id: int
) -> None:
    name = SchemaName.of(environment, uid, database_id).name
    encoded = name.encode("utf-8", errors="strict")
    assert 0 < len(encoded) <= MAX_BYTES
    assert name.startswith(f"{environment}_")
    assert name.endswith(f"_{database_id}")
    assert name == SchemaName.of(environment, uid, database_id).name


@given(UIDS, IDS)
def test_a_uid_that_fits_stands_in_full(uid: str, database_id: int) -> None:
    whole = f"prod_{uid}_{database_id}"
    name = SchemaName.of(Environment.PROD, uid, database_id).name
    assert (name == whole) is (len(whole.encode()) <= MAX_BYTES)


@given(st.tuples(ENVIRONMENTS, UIDS, IDS), st.tuples(ENVIRONMENTS, UIDS, IDS))
@example((Environment.PROD, "a", 2**31), (Environment.PROD, f"a_{2**31}", 2**31 + 1))
@example((Environment.PROD, "test_a", 2**31), (Environment.TEST, "a", 2**31))
@example((Environment.PROD, "a" * 64, 2**31), (Environment.PROD, "a" * 64, 2**31 + 1))
def test_schemas_of_different_databases_never_share_a_name(
    one: tuple[Environment, str, int], other: tuple[Environment, str, int]
) -> None:
    if (one[0], one[2]) != (other[0], other[2]):
        assert SchemaName.of(*one) != SchemaName.of(*other)


@given(st.text("ab", min_size=47, max_size=64), st.text("ab", min_size=47, max_size=64), IDS)
@example("a" * 63, "a" * 62 + "b", 2**31)
def test_long_uids_that_begin_alike_differ_in_the_hash(one: str, other: str, id_: int) -> None:
    names = {SchemaName.of(Environment.PROD, f"x{uid}", id_) for uid in (one, other)}
    assert len(names) == len({one, other})


@given(IDS)
def test_the_roles_of_a_database_are_five(database_id: int) -> None:
    roles = {
        *(RoleName.owner(environment, database_id).name for environment in Environment),
        *(RoleName.app(environment, database_id).name for environment in Environment),
        RoleName.ddl(database_id).name,
    }
    assert len(roles) == 5
    assert all(len(role) <= MAX_BYTES for role in roles)


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "a" * 64, "é" * 32, "😀" * 16])
def test_what_postgresql_would_cut_or_refuse_is_no_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL identifier"):
        Identifier(name)


@pytest.mark.parametrize("text", ["\0", "a\0", "\0'; --"])
def test_a_text_with_nul_is_no_literal(text: str) -> None:
    with pytest.raises(ValueError, match="no NUL"):
        literal(text)


@given(NAMES)
@settings(deadline=None)
@example('"')
@example('a"; DROP SCHEMA pgtwin CASCADE; --')
@example("\\")
@example("$$")
@example("/*")
async def test_an_identifier_is_read_back_by_postgresql(admin_connection: Any, name: str) -> None:
    quoted = str(Identifier(name))
    row = await admin_connection.fetchrow(
        f"SELECT parse_ident($1) AS parsed, quote_ident($2) AS theirs, 1 AS {quoted}", quoted, name
    )
    assert row["parsed"] == [name]
    assert row["theirs"] in (quoted, name)
    assert list(row.keys())[2] == name


@given(NAMES)
@settings(deadline=None, max_examples=25)
async def test_a_schema_is_made_under_exactly_its_name(admin_connection: Any, name: str) -> None:
    identifier = Identifier(f"x{name}"[:12])
    async with Rollback(admin_connection):
        await admin_connection.execute(f"CREATE SCHEMA {identifier}")
        found = await admin_connection.fetchval(
            "SELECT nspname FROM pg_namespace WHERE oid = to_regnamespace($1)", str(identifier)
        )
        assert found == identifier.name


class Rollback:
    """A transaction that leaves nothing behind."""

    def __init__(self, connection: Any) -> None:
        self._transaction = connection.transaction()

    async def __aenter__(self) -> None:
        await self._transaction.start()

    async def __aexit__(self, *_error: object) -> None:
        await self._transaction.rollback()


@given(TEXT)
@settings(deadline=None)
@example("'")
@example("\\'")
@example("\\")
@example("\\\\'; DROP SCHEMA pgtwin CASCADE; --")
@example("$1 :name %s {} $$ /* -- ;")
@example("\\000\\x27\\u0027")
async def test_a_literal_is_read_back_by_postgresql(admin_connection: Any, text: str) -> None:
    assert await admin_connection.fetchval(f"SELECT {literal(text)}") == text


@pytest.mark.parametrize("conforming", ["on", "off"])
@pytest.mark.parametrize("text", ["'", "\\", "\\'", "''\\", "\\\\''", "a\\nb"])
async def test_a_literal_means_the_same_under_the_old_setting(
    admin_connection: Any, conforming: str, text: str
) -> None:
    async with Rollback(admin_connection):
        await admin_connection.execute(f"SET LOCAL standard_conforming_strings = {conforming}")
        # Not the statement that was prepared under the other setting.
        query = f"SELECT {literal(text)} AS {conforming}_"
        assert await admin_connection.fetchval(query) == text
