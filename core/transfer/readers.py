"""Files of rows: which type they are, and what is in them."""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO

from core.transfer.readers_csv import open_csv
from core.transfer.readers_errors import FileEmpty, FileTypeRefused
from core.transfer.readers_json import open_json, open_ndjson
from core.transfer.readers_process import open_in_process
from core.transfer.readers_records import Opened, shown


class FileFormat(StrEnum):
    CSV = "csv"
    XLS = "xls"
    XLSX = "xlsx"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


TABLES = (FileFormat.CSV, FileFormat.XLS, FileFormat.XLSX)
_SUFFIXES = {"jsonl": FileFormat.NDJSON} | {each.value: each for each in FileFormat}
# How files begin that are no text.
_MARKS = {
    b"PK\x03\x04": FileFormat.XLSX,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": FileFormat.XLS,
    b"PAR1": FileFormat.PARQUET,
}
_BINARY = frozenset(_MARKS.values())


def format_of(name: str, allowed: tuple[FileFormat, ...]) -> FileFormat:
    """The format that a file's name tells of.

    Raises:
        FileTypeRefused
    """
    suffix = PurePosixPath(name).suffix.removeprefix(".").lower()
    found = _SUFFIXES.get(suffix)
    if found not in allowed:
        raise FileTypeRefused(f'The file "{shown(name)}" is not one of {", ".join(allowed)}')
    return found


def open_rows(file: BinaryIO, kind: FileFormat, unpacked_limit: int) -> Opened:
    """Read a file's head; the rest is read with its batches.

    Raises:
        FileTypeRefused, FileEmpty, FileUnreadable, FileTooLarge
    """
    file.seek(0)
    start = file.read(8)
    if not start:
        raise FileEmpty
    found = next((what for mark, what in _MARKS.items() if start.startswith(mark)), None)
    if found is not (kind if kind in _BINARY else None):
        raise FileTypeRefused(f"The file says {kind}, and is {found or 'none'}")
    if kind is FileFormat.CSV:
        return open_csv(file)
    if kind is FileFormat.JSON:
        return open_json(file)
    if kind is FileFormat.NDJSON:
        return open_ndjson(file)
    return open_in_process(file, kind.value, unpacked_limit)
