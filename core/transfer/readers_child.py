"""What reads spreadsheets and Parquet, in a process of its own with a limit to its memory.

Their libraries hold a whole file, hundreds of megabytes of it, and are fed by strangers: what they
cost, or break, is this process and not the service. It reads the file on its standard input and
writes lines of JSON: the columns, then `[line, values]` for each row; or one `{"error": ...}`.
"""

import sys
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

import orjson

Row = tuple[int, Sequence[Any]]
# Whole numbers that a float holds exactly.
EXACT = 2**53
CHUNK = 1_048_576
PROCESSOR_SECONDS = 300


class Refused(Exception):
    """The file can't be read; the message says why."""


def main() -> None:
    kind, unpacked_limit, memory_limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _limit(memory_limit)
    write = sys.stdout.buffer.write
    try:
        rows = (_parquet if kind == "parquet" else _sheet)(sys.stdin.buffer, kind, unpacked_limit)
        for row in rows:
            write(orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE))
    except Refused as error:
        write(orjson.dumps({"error": error.args[0], "what": str(error.args[-1])}))
    except MemoryError:
        write(orjson.dumps({"error": "large", "what": "The file needs too much memory"}))
    sys.stdout.flush()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _sheet(file: BinaryIO, kind: str, unpacked_limit: int) -> Iterator[Any]:
    """The first sheet that has anything."""
    from python_calamine import CalamineError, PasswordError, load_workbook

    if kind == "xlsx":
        _check_unpacked(file, unpacked_limit)
    try:
        book = load_workbook(file)
        sheet = next((s for s in map(book.get_sheet_by_index, _indexes(book)) if s.start), None)
    except PasswordError:
        raise Refused("unreadable", "The file is protected by a password") from None
    except (CalamineError, OSError, ValueError, EOFError) as error:
        raise Refused("unreadable", f"The file is no {kind}: {error}") from None
    if sheet is None or sheet.start is None:
        return
    line = sheet.start[0]
    rows = sheet.iter_rows()
    names: list[str] = []
    for row in rows:
        line += 1
        names = [str(_cell(value) or "").strip() for value in row]
        if any(names):
            break
    while names and not names[-1]:
        names.pop()
    yield names
    width = len(names)
    for row in rows:
        line += 1
        values = [_cell(value) for value in row]
        while len(values) > width and values[-1] is None:
            values.pop()
        if any(value is not None for value in values):
            yield line, values


def _indexes(book: Any) -> range:
    return range(len(book.sheet_names))


def _check_unpacked(file: BinaryIO, limit: int) -> None:
    """Unpack all of it once, for what a zip says of its sizes need not be so."""
    try:
        with zipfile.ZipFile(file) as packed:
            left = limit
            if sum(member.file_size for member in packed.infolist()) > limit:
                raise Refused("large", f"The file is larger than {limit} bytes when unpacked")
            for member in packed.infolist():
                with packed.open(member) as content:
                    while portion := content.read(CHUNK):
                        left -= len(portion)
                        if left < 0:
                            raise Refused(
                                "large", f"The file is larger than {limit} bytes when unpacked"
                            )
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, EOFError) as error:
        raise Refused("unreadable", f"The file is a damaged zip: {error}") from None
    except (NotImplementedError, RuntimeError):
        raise Refused("unreadable", "The file is packed or encrypted in an unusual way") from None
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise Refused("unreadable", "The file is a damaged zip") from None
        raise
    file.seek(0)


def _cell(value: Any) -> Any:
    """A cell as PostgreSQL reads it: whole numbers without a point, no text as NULL."""
    if value == "":
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return _written(value) if isinstance(value, timedelta | datetime | date | time) else value


def _parquet(file: BinaryIO, kind: str, unpacked_limit: int) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Refused(
            "type", "Parquet is read where the service has the extra pgtwin-server[parquet]"
        ) from None
    try:
        opened = parquet.ParquetFile(file)
        groups = range(opened.metadata.num_row_groups)
        if sum(opened.metadata.row_group(n).total_byte_size for n in groups) > unpacked_limit:
            raise Refused("large", f"The file is larger than {unpacked_limit} bytes when unpacked")
        yield list(opened.schema_arrow.names)
        line = 0
        for batch in opened.iter_batches(batch_size=1_000):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                yield line, values
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise Refused("unreadable", f"The file is no {kind}: {first}") from None


def _plain(value: Any) -> Any:
    """What JSON has no form for."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, tuple | set):
        return list(value)
    return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        return f"{int(minutes // 60)}:{int(minutes % 60):02}:{seconds:09.6f}"
    return str(value)


if __name__ == "__main__":
    main()
