"""PostgreSQL's values as JSON, and JSON values as parameters; on the wire all are text."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import orjson

from core.errors import InvalidParameter
from core.postgres.arrays import DIMENSIONS, Elements, array_literal, parse_array
from core.postgres.type_book import Kind, PostgresType, TypeBook

JsonValue: TypeAlias = (
    "bool | int | float | str | Sequence[JsonValue] | dict[str, JsonValue] | None"
)
# What orjson.dumps takes, orjson.Fragment included.
JsonReady: TypeAlias = Any
Row: TypeAlias = Sequence[str | None]

PARAMETERS = 32767  # the driver's limit
_TO_THE_SECOND = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?(?:\+00)?")


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type_oid: int
    type_name: str


# From PostgreSQL


def row_converter(
    columns: Iterable[Column], book: TypeBook, *, whole_seconds: bool = False
) -> Callable[[Row], list[JsonReady]]:
    """Makes a row's texts what orjson.dumps writes without loss.

    Integers, floats and booleans become their own; numeric and json keep their text, on one
    line; NaN and the infinities become strings; arrays become lists. All others are strings in
    PostgreSQL's text form.

    Args:
        whole_seconds: cut timestamps to `YYYY-MM-DD HH:MM:SS`; those that have no such form (BC,
            years above 9999, infinity, a time zone other than UTC) stay whole.
    """
    changes = [
        (index, change)
        for index, column in enumerate(columns)
        if (change := _from_text(book[column.type_oid], book, whole_seconds)) is not None
    ]
    if not changes:
        return list

    def convert(row: Row) -> list[JsonReady]:
        values: list[JsonReady] = list(row)
        for index, change in changes:
            text = values[index]
            if text is not None:
                values[index] = change(text)
        return values

    return convert


def _from_text(
    kept: PostgresType, book: TypeBook, whole_seconds: bool
) -> Callable[[str], JsonReady] | None:
    """None where the text is the JSON string."""
    if kept.kind is Kind.ARRAY:
        element = book[kept.element]
        change = _from_text(element, book, whole_seconds)
        return partial(parse_array, delimiter=element.delimiter, convert=change)
    if kept.kind is Kind.TIMESTAMP:
        return _to_the_second if whole_seconds else None
    return _FROM_TEXT.get(kept.kind)


def _boolean(text: str) -> bool:
    return text == "t"


def _float(text: str) -> float | str:
    # NaN and the infinities end with a letter, and JSON has no number for them.
    return float(text) if text[-1] <= "9" else text


def _numeric(text: str) -> orjson.Fragment | str:
    return orjson.Fragment(text) if text[-1] <= "9" else text


def _json(text: str) -> orjson.Fragment:
    # Strings in JSON hold no line breaks, so these are between its tokens.
    if "\n" in text or "\r" in text:
        text = text.replace("\n", " ").replace("\r", " ")
    return orjson.Fragment(text)


def _to_the_second(text: str) -> str:
    found = _TO_THE_SECOND.fullmatch(text)
    return found[1] if found else text


_FROM_TEXT: dict[Kind, Callable[[str], JsonReady]] = {
    Kind.BOOLEAN: _boolean,
    Kind.FLOAT: _float,
    Kind.INTEGER: int,
    Kind.JSON: _json,
    Kind.NUMERIC: _numeric,
}


# To PostgreSQL


class _Unfit(Exception):
    """A value that a type has no text for; the message says why."""


def encode(value: JsonValue, type_oid: int, book: TypeBook, number: int = 1) -> str | None:
    """A JSON value as the text of a parameter of this type; null is NULL.

    A string is what PostgreSQL's input function of the type reads, for json and jsonb too: there
    `"[1]"` is an array and `"\\"a\\""` a string, while numbers, booleans, lists and objects are
    the JSON value itself. Elsewhere a list is an array (or a vector); for arrays of json a
    list's lists are JSON arrays, not dimensions.

    Raises:
        InvalidParameter: the value has no text of this type, or is not text at all.
    """
    if value is None:
        return None
    wanted = book[type_oid]
    try:
        return _storable(_to_text(value, wanted, book))
    except _Unfit as reason:
        raise InvalidParameter(f"Parameter ${number} ({wanted.name}): {reason}") from None


def encode_all(
    values: Sequence[JsonValue], type_oids: Sequence[int], book: TypeBook
) -> list[str | None]:
    """A statement's parameters.

    Raises:
        InvalidParameter: one of them, which is named, or their number.
    """
    if len(values) > PARAMETERS:
        raise InvalidParameter(f"A statement takes at most {PARAMETERS} parameters")
    if len(values) != len(type_oids):
        raise InvalidParameter(
            f"The number of parameters is {len(values)}; the statement takes {len(type_oids)}"
        )
    return [
        encode(value, oid, book, number)
        for number, (value, oid) in enumerate(zip(values, type_oids, strict=True), 1)
    ]


def _to_text(value: JsonValue, wanted: PostgresType, book: TypeBook) -> str:
    if isinstance(value, str):
        return value
    if wanted.kind is Kind.JSON:
        return _json_text(value)
    if isinstance(value, bool):
        return _boolean_text(value, wanted)
    if isinstance(value, int | float):
        return _number_text(value, wanted.kind)
    if isinstance(value, list | tuple):
        return _list_text(value, wanted, book)
    raise _Unfit("an object fits json and jsonb only; send the value's text form as a string")


def _json_text(value: JsonValue) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise _Unfit("the JSON value is nested too deep") from None
    except ValueError:
        raise _Unfit("JSON has no NaN or infinity, or a number has too many digits") from None


def _boolean_text(value: bool, wanted: PostgresType) -> str:
    if wanted.kind not in (Kind.BOOLEAN, Kind.CHARACTERS):
        raise _Unfit("a boolean fits boolean, json and text only")
    return "true" if value else "false"


def _number_text(value: float, kind: Kind) -> str:
    try:
        if isinstance(value, int):
            return str(value)
        if kind is Kind.INTEGER and value.is_integer():
            return str(int(value))
    except ValueError:
        raise _Unfit("the number has too many digits; send it as a string") from None
    return repr(value)


def _list_text(values: Sequence[JsonValue], wanted: PostgresType, book: TypeBook) -> str:
    if wanted.kind is Kind.VECTOR:
        return "[" + ",".join(_vector_element(value) for value in values) + "]"
    if wanted.kind is not Kind.ARRAY:
        raise _Unfit("a list fits arrays, vectors, json and jsonb only")
    element = book[wanted.element]
    return array_literal(_elements(values, element, book, DIMENSIONS), element.delimiter)


def _elements(
    values: Sequence[JsonValue], element: PostgresType, book: TypeBook, dimensions: int
) -> Elements:
    if not dimensions:
        raise _Unfit(f"an array has at most {DIMENSIONS} dimensions")
    nests = element.kind not in (Kind.ARRAY, Kind.JSON, Kind.VECTOR)
    texts: Elements = []
    for value in values:
        if value is None:
            texts.append(None)
        elif nests and isinstance(value, list | tuple):
            texts.append(_elements(value, element, book, dimensions - 1))
        else:
            texts.append(_to_text(value, element, book))
    return texts


def _vector_element(value: JsonValue) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit("a vector is a list of numbers")
    return _number_text(value, Kind.FLOAT)


def _storable(text: str) -> str:
    if "\0" in text:
        raise _Unfit("text can't hold the NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Unfit("the text has half of a surrogate pair") from None
    return text
