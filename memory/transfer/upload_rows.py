"""A file's records as the texts that PostgreSQL reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from core.errors import InvalidParameter
from core.postgres.arrays import array_literal
from core.postgres.type_book import TypeBook
from core.postgres.values import encode
from core.transfer.readers_records import Record
from memory.transfer.upload_plan import Plan

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


@dataclass(frozen=True, slots=True)
class Row:
    """
    Attributes:
        texts: by the order of the plan's columns.
    """

    line: int
    texts: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Attributes:
        sqlstate: PostgreSQL's, where it was PostgreSQL.
    """

    line: int
    reason: str
    sqlstate: str | None = None


def rows_of(
    records: Iterable[Record], plan: Plan, types: TypeBook
) -> tuple[list[Row], list[Failure]]:
    """What can be sent, and why the rest can't."""
    rows: list[Row] = []
    failures: list[Failure] = []
    for record in records:
        if record.problem:
            failures.append(Failure(record.line, record.problem))
        elif len(record.values) != plan.width:
            reason = f"has {len(record.values)} values, and the file {plan.width} columns"
            failures.append(Failure(record.line, reason))
        else:
            try:
                rows.append(Row(record.line, _texts(record, plan, types)))
            except InvalidParameter as error:
                failures.append(Failure(record.line, error.message.partition(": ")[2]))
    return rows, failures


def _texts(record: Record, plan: Plan, types: TypeBook) -> list[str | None]:
    texts: list[str | None] = []
    values = record.values
    for column, source in zip(plan.columns, plan.sources, strict=True):
        value = values[source]
        if value is None or (value == "" and not column.is_text):
            texts.append(None)
            continue
        try:
            texts.append(encode(value, column.type_oid, types))
        except InvalidParameter as error:
            reason = error.message.partition("): ")[2] or error.message
            raise InvalidParameter(f"Row: column {column.name}: {reason}") from None
    texts += [text for _, text in plan.constants]
    return texts


def with_ids(rows: Iterable[Row], ids: Iterable[str]) -> list[Row]:
    return [Row(row.line, [*row.texts, id_]) for row, id_ in zip(rows, ids, strict=True)]


def csv_of(
    fields: Sequence[Sequence[bytes]],
    plan: Plan,
    delimiter: bytes,
    suffix: bytes,
    ids: Sequence[str],
) -> bytes:
    """Rows with the plan's columns, of values that are in no quotes.

    Args:
        suffix: of each row, with the delimiter before it.
        ids: of the rows, where they get some.
    """
    taken = itemgetter(*plan.sources) if len(plan.sources) > 1 else None
    first = plan.sources[0]
    values = [delimiter.join(taken(row)) if taken else row[first] for row in fields]
    if ids:
        ends = [b"%s%s%s" % (suffix, delimiter, id_.encode()) for id_ in ids]
        values = [value + end for value, end in zip(values, ends, strict=True)]
    elif suffix:
        values = [value + suffix for value in values]
    return b"\n".join([*values, b""])


def copy_text(rows: Iterable[Row]) -> bytes:
    """A line a row, in COPY's text format."""
    lines = ["\t".join([_escaped(text) for text in row.texts]) for row in rows]
    return "\n".join([*lines, ""]).encode()


def _escaped(text: str | None) -> str:
    if text is None:
        return NULL
    is_plain = text.isalnum() or not ("\\" in text or "\t" in text or "\n" in text or "\r" in text)
    return text if is_plain else text.translate(_ESCAPES)


def arrays(rows: Sequence[Row]) -> list[str]:
    """A column's values each, as an array."""
    return [
        array_literal(list(texts), ",") for texts in zip(*(row.texts for row in rows), strict=True)
    ]


def by_distinct_keys(rows: Sequence[Row], plan: Plan) -> list[list[Row]]:
    """The rows in order, split where a key comes again: one statement changes a row once."""
    places = [plan.columns.index(column) for column in plan.key if column in plan.columns]
    portions: list[list[Row]] = [[]]
    seen: set[tuple[str | None, ...]] = set()
    for row in rows:
        key = tuple([row.texts[place] for place in places])
        if key in seen:
            portions.append([])
            seen.clear()
        seen.add(key)
        portions[-1].append(row)
    return portions
