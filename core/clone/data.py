"""Statements that move the rows and the sequences' positions of one schema into another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.postgres.identifiers import Identifier, SchemaName, literal


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table with rows of its own.

    Attributes:
        columns: those that are stored, not generated.
        ways: for each column `plain`, `text` or `named`, as the catalog query explains.
        types: for each column its type, qualified with the source's schema.
        forced: row security binds even its owner.
        into: the table to insert into: itself, or the one that it is a partition of by a hash,
            which may be another for the copy's own types.
    """

    name: str
    columns: Sequence[str]
    ways: Sequence[str]
    types: Sequence[str]
    forced: bool
    into: str


@dataclass(frozen=True, slots=True)
class Swapped:
    """The names while a copy is made: it bears the source's, and the source an unused one.

    Attributes:
        copy: the source's own name, which the copy has for as long.
        source: the name that the source has for as long; plain, in no need of quotes.
        roles: the source's roles to the copy's.
    """

    copy: SchemaName
    source: SchemaName
    roles: Mapping[str, str]


def row_statements(tables: Sequence[CopiedTable], names: Swapped) -> list[str]:
    """INSERT ... SELECT for each table, as the owner of the copy who is a member of the source's.

    Row security that binds even the owner would hide rows: it is lifted from the source for
    the length of the transaction, which others see nothing of.
    """
    statements = []
    for table in tables:
        source = f"{names.source}.{Identifier(table.name)}"
        copied = _insert(table, source, names)
        if table.forced:
            statements += [
                f"ALTER TABLE {source} NO FORCE ROW LEVEL SECURITY",
                copied,
                f"ALTER TABLE {source} FORCE ROW LEVEL SECURITY",
            ]
        else:
            statements.append(copied)
    return statements


def _insert(table: CopiedTable, source: str, names: Swapped) -> str:
    target = f"{names.copy}.{Identifier(table.into)}"
    if not table.columns:
        return f"INSERT INTO {target} SELECT FROM ONLY {source}"
    columns = ", ".join(str(Identifier(column)) for column in table.columns)
    values = ", ".join(
        _value(Identifier(column), way, kind, names)
        for column, way, kind in zip(table.columns, table.ways, table.types, strict=True)
    )
    return (
        f"INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE "
        f"SELECT {values} FROM ONLY {source}"
    )


def _value(column: Identifier, way: str, kind: str, names: Swapped) -> str:
    if way == "plain":
        return str(column)
    # Neither `column::text` nor `text::type`: a cast that the user made could take their place,
    # and text's to regclass knows no '-'; format and jsonb_to_record call the types' own
    # functions. A row of NULLs is no NULL, which `IS NULL` would say of it.
    text = _renamed(f"pg_catalog.format('%s', {column})", names)
    if way == "named":
        text = _with_roles(text, names.roles)
    value = (
        f"(SELECT v FROM pg_catalog.jsonb_to_record("
        f"pg_catalog.jsonb_build_object('v', {text})) AS r (v {kind}))"
    )
    return f"CASE WHEN {column} IS NOT DISTINCT FROM NULL THEN NULL ELSE {value} END"


def _renamed(text: str, names: Swapped) -> str:
    """Names of the source's objects, in the text form of values, as those of the copy's.

    The source's passing name is random, so no other text can hold it.
    """
    return (
        f"pg_catalog.replace({text}, {literal(names.source.name)}, {literal(_shown(names.copy))})"
    )


def _shown(name: SchemaName) -> str:
    """A name as regclass and its like show it."""
    plain = name.name.replace("_", "a")
    is_plain = plain.isascii() and plain.isalnum() and plain.islower() and not plain[0].isdigit()
    return name.name if is_plain else str(name)


def named_rows(table: CopiedTable, source: SchemaName, roles: Mapping[str, str]) -> str:
    """The rows of a table as a query, its values that name roles as texts that name the copy's.

    For another session, in which the copy bears the source's name: other names stay.
    """
    values = []
    for name, way in zip(table.columns, table.ways, strict=True):
        column = Identifier(name)
        text = _with_roles(f"pg_catalog.format('%s', {column})", roles)
        values.append(
            f"CASE WHEN {column} IS NOT DISTINCT FROM NULL THEN NULL ELSE {text} END"
            if way == "named"
            else str(column)
        )
    return f"SELECT {', '.join(values)} FROM ONLY {source}.{Identifier(table.name)}"


def _with_roles(text: str, roles: Mapping[str, str]) -> str:
    for source, copy in roles.items():
        pattern = literal(rf"\m{source}\M")
        text = f"pg_catalog.regexp_replace({text}, {pattern}, {literal(copy)}, 'g')"
    return text


def sequence_statements(sequences: Sequence[str], names: Swapped) -> list[str]:
    """Bring the copy's sequences to where the source's are."""
    return [
        f"SELECT pg_catalog.setval({literal(f'{names.copy}.{Identifier(name)}')}::regclass, "
        f"last_value, is_called) FROM {names.source}.{Identifier(name)}"
        for name in sequences
    ]
