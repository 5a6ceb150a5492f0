"""COPY's rows as JSON: an array of objects, or an object a line."""

import re
from collections.abc import Iterator

import orjson

from core.postgres.values import Row, row_converter
from core.transfer.writers import Source

# How COPY's text form writes what would end a field or a row.
_ESCAPED = re.compile(r"\\(.)")
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
NULL = "\\N"


class JsonWriter:
    """Values as calls of SQL answer them.

    Args:
        is_array: all rows are one JSON array; False: each is a line of its own.
    """

    portion_bytes, is_heavy = 262_144, True

    def __init__(self, source: Source, *, is_array: bool) -> None:
        self.copy = f"COPY ({source.selected()}) TO STDOUT WITH (FORMAT text)"
        self._keys = source.keys
        self._convert = row_converter(source.columns, source.types)
        self._is_array = is_array
        self._before = b"[\n" if is_array else b""

    def portion(self, rows: bytes) -> bytes:
        lines = [
            orjson.dumps(dict(zip(self._keys, self._convert(row), strict=True)))
            for row in rows_of(rows, len(self._keys))
        ]
        if not self._is_array:
            return b"\n".join(lines) + b"\n"
        before, self._before = self._before, b",\n"
        return before + b",\n".join(lines)

    def end(self) -> bytes:
        if not self._is_array:
            return b""
        return b"[]\n" if self._before == b"[\n" else b"\n]\n"


def rows_of(rows: bytes, columns: int) -> Iterator[Row]:
    """The values of whole rows in COPY's text form; None for NULL."""
    text = rows.decode()
    lines = text.split("\n")
    lines.pop()
    if not columns:
        return iter([()] * len(lines))
    if "\\" not in text:
        return (line.split("\t") for line in lines)
    return (
        [_value(field) for field in line.split("\t")] if "\\" in line else line.split("\t")
        for line in lines
    )


def _value(field: str) -> str | None:
    if "\\" not in field:
        return field
    return None if field == NULL else _ESCAPED.sub(_sign, field)


def _sign(found: re.Match[str]) -> str:
    return _SIGNS.get(found[1], found[1])
