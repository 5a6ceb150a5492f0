"""Rows that COPY gives, as the formats in which they leave: here CSV, and what all have."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.postgres.builtin_types import BUILTIN_TYPES
from core.postgres.identifiers import literal
from core.postgres.type_book import Kind, TypeBook
from core.postgres.values import Column

# A spreadsheet takes a cell that begins so for a formula: = + - @ TAB CR.
FORMULAS = frozenset("=+-@\t\r")
_CODES = ",".join(str(code) for code in sorted(ord(sign) for sign in FORMULAS))
# Types of numbers, times and the like, whose text begins so in numbers alone, such as -5.
_PLAIN_KINDS = frozenset(
    {Kind.ARRAY, Kind.BOOLEAN, Kind.FLOAT, Kind.INTEGER, Kind.NUMERIC, Kind.TIMESTAMP, Kind.VECTOR}
)
_PLAIN = frozenset(
    """
    date interval uuid bytea bit inet cidr macaddr macaddr8 money jsonb tsvector tsquery
    point lseg path box polygon line circle pg_lsn xid cid tid xid8 int4range int8range numrange
    daterange tsrange tstzrange int4multirange int8multirange nummultirange datemultirange
    tsmultirange tstzmultirange
    """.split()  # noqa: SIM905  read more easily
) | {"bit varying", "time without time zone", "time with time zone"}
_PLAIN_OIDS = frozenset(oid for oid, _, name in BUILTIN_TYPES if name in _PLAIN)
_TEXTS = frozenset(oid for oid, _, name in BUILTIN_TYPES if name in ("text", "character varying"))


class Writer(Protocol):
    """Makes a file of COPY's rows.

    Attributes:
        copy: the statement that gives the rows as the writer takes them.
        portion_bytes: how many bytes of rows are worth a portion.
        is_heavy: a portion takes longer than others should wait.
    """

    copy: str
    portion_bytes: int
    is_heavy: bool

    def portion(self, rows: bytes) -> bytes:
        """What whole rows add to the file."""
        ...

    def end(self) -> bytes:
        """What completes the file, once all rows are there."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """One SELECT and what it gives.

    Attributes:
        sql: admitted as exactly one statement.
        keys: the columns' names, none of them twice.
    """

    sql: str
    columns: Sequence[Column]
    keys: Sequence[str]
    types: TypeBook

    def selected(self, shown: Callable[[str, Column], str] = lambda name, _: name) -> str:
        """A query over it, with columns as `shown` makes them of their names in it.

        The names are ours, for the statement's own may be the same or none. The parenthesis
        stands on a line of its own, for the statement may end with a comment.
        """
        names = [f"c{number}" for number in range(1, len(self.columns) + 1)]
        listed = ", ".join(map(shown, names, self.columns))
        aliases = f" ({', '.join(names)})" if names else ""
        return f"SELECT {listed} FROM (\n{self.sql}\n) AS q{aliases}"


@dataclass(frozen=True, slots=True)
class CsvForm:
    """
    Attributes:
        null: what stands for NULL; an empty text is `""` where it is empty.
        escape_formulas: put a `'` before texts that a spreadsheet would run.
    """

    delimiter: str = ","
    null: str = ""
    header: bool = True
    escape_formulas: bool = True


class CsvWriter:
    """PostgreSQL's own CSV with CRLF."""

    portion_bytes, is_heavy = 65_536, False

    def __init__(self, source: Source, form: CsvForm) -> None:
        types = source.types

        def shown(name: str, column: Column) -> str:
            if not form.escape_formulas:
                return name
            return _escaped(name, column, types[column.type_oid].kind)

        self.copy = (
            f"COPY ({source.selected(shown)}) TO STDOUT WITH (FORMAT csv,"
            f" DELIMITER {literal(form.delimiter)}, NULL {literal(form.null)})"
        )
        self._head = _head(source.columns, form) if form.header else b""

    def portion(self, rows: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + with_crlf(rows)

    def end(self) -> bytes:
        return self.portion(b"")


def with_crlf(rows: bytes) -> bytes:
    """Whole rows, each with CRLF at its end; line breaks in quotes stay as they are."""
    if b'"' not in rows:
        return rows.replace(b"\n", b"\r\n")
    # What is between two quotes is inside, or is nothing where a quote is doubled.
    parts = rows.split(b'"')
    parts[::2] = [part.replace(b"\n", b"\r\n") for part in parts[::2]]
    return b'"'.join(parts)


def _escaped(name: str, column: Column, kind: Kind) -> str:
    """A column whose values PostgreSQL escapes: decided by the type, so that -5 stays -5."""
    if column.type_oid in _TEXTS:
        return f"CASE WHEN {_is_formula(name)} THEN pg_catalog.concat('''', {name}) ELSE {name} END"
    if column.type_oid in _PLAIN_OIDS or kind in _PLAIN_KINDS:
        return name
    # The text that COPY would write; a cast may give another.
    text = f"pg_catalog.format('%s', {name})"
    return (
        f"CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN NULL"
        f" WHEN {_is_formula(text)} THEN pg_catalog.concat('''', {text}) ELSE {text} END"
    )


def _is_formula(text: str) -> str:
    return (
        f"pg_catalog.ascii({text}) OPERATOR(pg_catalog.=) ANY ('{{{_CODES}}}'::pg_catalog.int4[])"
    )


def _head(columns: Sequence[Column], form: CsvForm) -> bytes:
    names = [column.name for column in columns]
    if form.escape_formulas:
        names = [f"'{name}" if name[:1] in FORMULAS else name for name in names]
    text = io.StringIO()
    csv.writer(text, delimiter=form.delimiter, lineterminator="\r\n").writerow(names)
    return text.getvalue().encode()
