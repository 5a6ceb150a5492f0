"""COPY's rows as Parquet: CSV, which Arrow reads into the types of the columns.

Arrow takes some 50 MB, and is imported with the first of such files.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from core.postgres.type_book import Kind
from core.postgres.values import Column
from core.transfer.writers import Source

_TYPES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "oid": pa.uint32(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "bytea": pa.binary(),
}
# Of domains, whose names are their own.
_BY_KIND: Mapping[Kind, pa.DataType] = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
}
_MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
MOST_DIGITS = 38


class ParquetWriter:
    """A group of rows for some megabytes of them, so that memory stays flat.

    Args:
        digits: of columns by their place, the precision and scale of numeric.
        texts: places of columns with values that their type has no room for, as text.
    """

    portion_bytes, is_heavy = 4_194_304, True

    def __init__(
        self, source: Source, digits: Mapping[int, tuple[int, int]], texts: frozenset[int]
    ) -> None:
        self.copy = f"COPY ({source.selected()}) TO STDOUT WITH (FORMAT csv)"
        self._names = [str(number) for number in range(len(source.columns))]
        self._types = [
            pa.string() if place in texts else _type(source, column, digits.get(place))
            for place, column in enumerate(source.columns)
        ]
        self._schema = pa.schema(list(zip(source.keys, self._types, strict=True)))
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(self._sink, self._schema)

    def portion(self, rows: bytes) -> bytes:
        table = self._table(rows)
        self._writer.write_table(table, row_group_size=table.num_rows or None)
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()

    def _table(self, rows: bytes) -> pa.Table:
        read = csv.read_csv(
            pa.BufferReader(rows),
            csv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(rows) + 1),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types={
                    name: pa.string() if pa.types.is_binary(kind) else kind
                    for name, kind in zip(self._names, self._types, strict=True)
                },
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        columns = [
            _bytes(column) if pa.types.is_binary(kind) else column
            for column, kind in zip(read.columns, self._types, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=self._schema)


def unfit_query(source: Source, digits: Mapping[int, tuple[int, int]]) -> tuple[str, list[int]]:
    """A query that says which columns have values that their Parquet type can't hold, and the
    places of those that it asks about: infinite times, years that readers don't know, NaN.
    """
    asked: list[int] = []
    conditions: list[str] = []
    for place, column in enumerate(source.columns):
        name, kind = f"c{place + 1}", column.type_name
        if kind in _MOMENTS:
            first, last = (f"'{date}'::pg_catalog.{_ALIASES[kind]}" for date in _YEARS)
            condition = (
                f"{name} OPERATOR(pg_catalog.<) {first} OR {name} OPERATOR(pg_catalog.>=) {last}"
            )
        elif place in digits and fits(digits[place]):
            condition = f"{name} OPERATOR(pg_catalog.=) 'NaN'::pg_catalog.numeric"
        else:
            continue
        asked.append(place)
        conditions.append(f"pg_catalog.bool_or({condition})")
    inner = source.selected()
    return f"SELECT {', '.join(conditions)} {inner[inner.index('FROM (') :]}", asked


_YEARS = ("0001-01-01", "10000-01-01")
_ALIASES = {
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}


def _type(source: Source, column: Column, digits: tuple[int, int] | None) -> pa.DataType:
    if digits is not None:
        return pa.decimal128(*digits) if fits(digits) else pa.string()
    known = _TYPES.get(column.type_name)
    if known is not None:
        return known
    return _BY_KIND.get(source.types[column.type_oid].kind, pa.string())


def fits(digits: tuple[int, int]) -> bool:
    """Whether decimal128 holds numbers of a precision and scale."""
    precision, scale = digits
    return scale <= precision <= MOST_DIGITS


def _bytes(column: Any) -> Any:
    """PostgreSQL's text of bytea is hexadecimal digits after a `\\x`."""
    values: Sequence[str | None] = column.to_pylist()
    return pa.array(
        [None if value is None else bytes.fromhex(value[2:]) for value in values], pa.binary()
    )


class _Sink(io.RawIOBase):
    """A file that is taken away while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
