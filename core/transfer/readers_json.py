"""JSON: an array of objects, or an object a line; an element is in memory at a time, not all."""

import codecs
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

from core.transfer.readers_errors import FileEmpty, FileUnreadable
from core.transfer.readers_records import BATCH_BYTES, Opened, Record, grouped, shown

MOST_ELEMENT_CHARACTERS = 8_388_608
# The columns are the names that so many first rows have.
ROWS_OF_NAMES = 1_000
_SPACE = " \t\r\n"
# An object that was read, or why it can't be.
Element = tuple[int, dict[str, Any] | str]


class Exact(float):
    """A number with its digits as they were written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "Exact":
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def open_json(file: BinaryIO) -> Opened:
    """
    Raises:
        FileEmpty, FileUnreadable
    """
    return _opened(_elements(_Text(file)))


def open_ndjson(file: BinaryIO) -> Opened:
    """
    Raises:
        FileEmpty, FileUnreadable
    """
    return _opened(_lines(file))


def _opened(elements: Iterator[Element]) -> Opened:
    first = list(islice(elements, ROWS_OF_NAMES))
    columns = list(
        dict.fromkeys(name for _, each in first if isinstance(each, dict) for name in each)
    )
    if not first:
        raise FileEmpty
    if not columns:
        line, problem = first[0]
        raise FileUnreadable(f"Row {line}: {problem or 'is an object without names'}")
    records = (_record(element, columns) for element in _chained(first, elements))
    return Opened(columns, grouped(records))


def _chained(first: Sequence[Element], rest: Iterator[Element]) -> Iterator[Element]:
    yield from first
    yield from rest


def _record(element: Element, columns: Sequence[str]) -> Record:
    line, found = element
    if isinstance(found, str):
        return Record(line, (), problem=found)
    values = [found.get(name) for name in columns]
    if len(found) > len(columns) or any(name not in found for name in columns):
        unknown = next((name for name in found if name not in columns), None)
        if unknown is not None:
            problem = f'has the name "{shown(unknown)}", which no row among the first has'
            return Record(line, (), problem=problem)
    return Record(line, values)


class _Text:
    """A file's text, as much of it as is needed."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.is_whole = False

    def more(self) -> bool:
        """Read on; False: there is no more."""
        if self.is_whole:
            return False
        data = self._file.read(BATCH_BYTES)
        self.is_whole = not data
        try:
            new = self._decoder.decode(data, final=not data)
        except UnicodeError:
            raise FileUnreadable("The file is not in UTF-8") from None
        self.text = self.text[self.at :] + new
        self.at = 0
        return True

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in _SPACE:
                    return self.text[self.at]
                self.at += 1
            if not self.more():
                return ""


def _elements(text: _Text) -> Iterator[Element]:
    start = text.peek()
    if not start:
        return
    if start != "[":
        raise FileUnreadable("The file is not an array of objects")
    text.at += 1
    number = 0
    while True:
        mark = text.peek()
        if mark == "]" and not number:
            break
        number += 1
        yield number, _object(_decoded(text, number))
        mark = text.peek()
        if mark not in (",", "]"):
            raise FileUnreadable(f"After the object {number}, neither a comma nor the end follows")
        text.at += 1
        if mark == "]":
            text.at -= 1
            break
    text.at += 1
    if text.peek():
        raise FileUnreadable("Something follows the array")


def _decoded(text: _Text, number: int) -> Any:
    while True:
        try:
            value, end = _DECODER.raw_decode(text.text, text.at)
            # What ends with the text may go on behind it: a number.
            if end < len(text.text) or text.is_whole:
                text.at = end
                return value
        except json.JSONDecodeError as error:
            if text.is_whole:
                raise FileUnreadable(f"The object {number} is not JSON: {error.msg}") from None
        except (ValueError, RecursionError):
            raise FileUnreadable(f"The object {number} can't be read") from None
        if len(text.text) - text.at > MOST_ELEMENT_CHARACTERS:
            raise FileUnreadable(
                f"The object {number} is not JSON, or has more than "
                f"{MOST_ELEMENT_CHARACTERS} characters"
            )
        text.more()


def _lines(file: BinaryIO) -> Iterator[Element]:
    file.seek(0)
    number = 0
    while line := file.readline(MOST_ELEMENT_CHARACTERS):
        number += 1
        if len(line) == MOST_ELEMENT_CHARACTERS:
            raise FileUnreadable(f"Line {number} is longer than {MOST_ELEMENT_CHARACTERS} bytes")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            text = line.decode().strip()
            yield number, _object(_DECODER.decode(text))
        except json.JSONDecodeError as error:
            yield number, f"is not JSON: {error.msg} at {error.pos + 1}"
        except UnicodeError:
            yield number, "is not in UTF-8"
        except (ValueError, RecursionError):
            yield number, "can't be read"


def _object(value: Any) -> dict[str, Any] | str:
    return value if isinstance(value, dict) else "is not an object"


def _refused(text: str) -> Any:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_float=Exact, parse_constant=_refused)
