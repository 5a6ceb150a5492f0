"""CSV as PostgreSQL's COPY reads it: handed on as it is where that can be, taken apart elsewhere.

A quotation mark begins and ends quoting wherever it stands, and doubled is itself; so a line break
is the end of a row where the number of marks before it is even. A value that is empty and not
quoted is NULL.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from core.transfer.readers_errors import FileEmpty, FileUnreadable
from core.transfer.readers_records import BATCH_BYTES, Batch, Opened, Record

# Spreadsheets in Chinese write GB18030, which hardly any text of another encoding is by chance.
GUESSED = ("utf-8", "gb18030")
DELIMITERS = (",", ";", "\t")
MOST_RECORD_BYTES = 8_388_608
QUOTE, NEWLINE = b'"', b"\n"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def open_csv(file: BinaryIO) -> Opened:
    """
    Raises:
        FileEmpty, FileUnreadable
    """
    portions = _portions(_utf8(file))
    head, rest, line = _head(portions)
    delimiter = _delimiter(head)
    columns = [str(name or "").strip() for name in next(records(head, delimiter, 1)).values]
    return Opened(columns, _batches(portions, rest, delimiter, line), delimiter)


@dataclass(frozen=True, slots=True)
class CsvBatch:
    """Whole rows in UTF-8.

    Attributes:
        line: the number of the first one's line.
    """

    source: bytes
    delimiter: str
    line: int

    def records(self) -> list[Record]:
        return list(records(self.source.decode(), self.delimiter, self.line))

    def copied(self, suffix: bytes) -> bytes | None:
        # To PostgreSQL, such a line of its own is the end of all.
        if b"\\." in self.source:
            return None
        return _normalised(self.source, suffix)

    def fields(self, width: int) -> list[list[bytes]] | None:
        source, mark = self.source, self.delimiter.encode()
        if QUOTE in source or b"\\" in source:
            return None
        if b"\r" in source:
            source = source.replace(b"\r\n", NEWLINE).replace(b"\r", NEWLINE)
        rows = [line.split(mark) for line in source.split(NEWLINE) if line]
        return rows if all(len(row) == width for row in rows) else None


def records(text: str, delimiter: str, line: int) -> Iterator[Record]:
    """The rows of a text in which all quoting ends; empty lines are none."""
    if '"' not in text:
        plain = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        for number, row in enumerate(plain.split("\n"), line):
            if row:
                yield Record(number, [value or None for value in row.split(delimiter)])
        return
    values: list[str | None] = []
    start, broken = line, 0
    for found in _field(delimiter).finditer(text):
        raw, end = found.groups()
        if '"' in raw:
            broken += raw.count("\n")
            values.append(_unquoted(raw))
        else:
            values.append(raw or None)
        if end == delimiter:
            continue
        if values != [None]:
            yield Record(start, values, broken + 1)
        start += broken + 1
        values, broken = [], 0


@cache
def _field(delimiter: str) -> re.Pattern[str]:
    """A value as it is written, and what ends it; nothing is tried twice."""
    plain = rf'[^"\r\n{re.escape(delimiter)}]'
    return re.compile(rf'((?:{plain}++|"[^"]*+")*+)({re.escape(delimiter)}|\r\n|\n|\r|\Z)')


def _unquoted(raw: str) -> str:
    parts = raw.split('"')
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return parts[1]
    last = len(parts) - 1
    return "".join(
        '"' if not part and index % 2 == 0 and 0 < index < last else part
        for index, part in enumerate(parts)
    )


def _normalised(source: bytes, suffix: bytes) -> bytes:
    """The rows, each with the suffix and one line feed at its end."""
    parts = source.split(QUOTE)
    for index in range(0, len(parts), 2):
        part = parts[index]
        if b"\r" in part:
            part = part.replace(b"\r\n", NEWLINE).replace(b"\r", NEWLINE)
        while b"\n\n" in part:
            part = part.replace(b"\n\n", NEWLINE)
        parts[index] = part
    parts[0] = parts[0].lstrip(NEWLINE)
    if parts != [b""] and not parts[-1].endswith(NEWLINE):
        parts[-1] += NEWLINE
    if suffix:
        for index in range(0, len(parts), 2):
            parts[index] = parts[index].replace(NEWLINE, suffix + NEWLINE)
    return QUOTE.join(parts)


def _utf8(file: BinaryIO) -> Iterator[bytes]:
    """The file in UTF-8.

    Raises:
        FileUnreadable: it is in no encoding that is known.
    """
    file.seek(0)
    start = file.read(4)
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            if not _is_in(file, encoding, len(mark)):
                raise FileUnreadable(f"The file begins as {encoding} and is not")
            return _decoded(file, encoding, len(mark))
    for encoding in GUESSED:
        if _is_in(file, encoding, 0):
            return _decoded(file, encoding, 0)
    raise FileUnreadable("The file is neither in UTF-8 nor in UTF-16 or GB18030")


def _is_in(file: BinaryIO, encoding: str, start: int) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(start)
    try:
        while data := file.read(BATCH_BYTES):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _decoded(file: BinaryIO, encoding: str, start: int) -> Iterator[bytes]:
    file.seek(start)
    decoder = codecs.getincrementaldecoder(encoding)()
    while data := file.read(BATCH_BYTES):
        yield data if encoding == "utf-8" else decoder.decode(data).encode()


def _portions(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole rows, about a chunk of them each.

    Raises:
        FileUnreadable: a row has no end.
    """
    kept, line = b"", 1
    for chunk in chunks:
        kept += chunk
        end = _end_of_rows(kept)
        if end:
            line += kept.count(NEWLINE, 0, end)
            yield kept[:end]
            kept = kept[end:]
        if len(kept) > MOST_RECORD_BYTES:
            raise _endless(kept, line)
    if kept.count(QUOTE) % 2:
        raise _endless(kept, line)
    if kept:
        yield kept


def _end_of_rows(data: bytes) -> int:
    """Behind the last line break that is in no quotes; 0: there is none."""
    end = len(data)
    while True:
        at = data.rfind(NEWLINE, 0, end)
        if at < 0:
            return 0 if NEWLINE in data else _end_of_old_rows(data)
        if data.count(QUOTE, 0, at) % 2 == 0:
            return at + 1
        end = data.rfind(QUOTE, 0, at)


def _end_of_old_rows(data: bytes) -> int:
    """The same where carriage returns end lines, as on Macs of old."""
    at = data.rfind(b"\r", 0, len(data) - 1)
    return at + 1 if at > 0 and data.count(QUOTE, 0, at) % 2 == 0 else 0


def _endless(data: bytes, line: int) -> FileUnreadable:
    opened = data.find(QUOTE)
    if opened < 0:
        return FileUnreadable(f"Line {line} is longer than {MOST_RECORD_BYTES} bytes")
    # The mark that is one too many may stand further on; this is where the last row begins.
    line += data.count(NEWLINE, 0, opened)
    return FileUnreadable(f"A quotation mark is not closed, in the row that is at line {line}")


def _head(portions: Iterator[bytes]) -> tuple[str, bytes, int]:
    """The line of names, what follows it, and the number of the line after it."""
    data, line = b"", 1
    for data in portions:
        kept = data.lstrip(b"\r\n")
        line += data.count(NEWLINE, 0, len(data) - len(kept))
        if kept:
            data = kept
            break
    if not data.strip():
        raise FileEmpty
    at = -1
    while True:
        found = [place for mark in (b"\n", b"\r") if (place := data.find(mark, at + 1)) >= 0]
        if not found:
            return data.decode(), b"", line
        at = min(found)
        if data.count(QUOTE, 0, at) % 2 == 0:
            break
    if data[at : at + 2] == b"\r\n":
        at += 1
    return data[:at].decode(), data[at + 1 :], line + data.count(NEWLINE, 0, at + 1)


def _delimiter(head: str) -> str:
    outside = re.sub(r'"[^"]*"', "", head)
    return max(DELIMITERS, key=outside.count)


def _batches(portions: Iterator[bytes], rest: bytes, delimiter: str, line: int) -> Iterator[Batch]:
    if rest:
        yield CsvBatch(rest, delimiter, line)
        line += rest.count(NEWLINE)
    for data in portions:
        yield CsvBatch(data, delimiter, line)
        line += data.count(NEWLINE)
