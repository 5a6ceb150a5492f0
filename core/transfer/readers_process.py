"""Spreadsheets and Parquet through `core.transfer.readers_child`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias

import orjson

from core.errors import AppError
from core.transfer.readers_errors import FileEmpty, FileTooLarge, FileTypeRefused, FileUnreadable
from core.transfer.readers_records import Opened, Record, grouped

# Three times what an unpacked file of the usual limit takes as cells.
MEMORY = 1_610_612_736
# Besides, what it unpacks may be held in it.
TIMES = 4
Child: TypeAlias = subprocess.Popen[bytes]
_ERRORS: dict[str, type[AppError]] = {
    "large": FileTooLarge,
    "type": FileTypeRefused,
    "unreadable": FileUnreadable,
}


def open_in_process(file: BinaryIO, kind: str, unpacked_limit: int) -> Opened:
    """
    Args:
        file: a true file.

    Raises:
        FileEmpty, FileUnreadable, FileTooLarge, FileTypeRefused
    """
    child = _started(file, kind, unpacked_limit)
    try:
        lines = _lines(child, kind)
        columns = next(lines, None)
        if not columns:
            raise FileEmpty
    except BaseException:
        _end(child)
        raise
    records = (Record(line, values) for line, values in lines)
    return Opened([str(name) for name in columns], grouped(records), close=lambda: _end(child))


def _started(file: BinaryIO, kind: str, unpacked_limit: int) -> Child:
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    memory = max(MEMORY, unpacked_limit * TIMES)
    # -P: never a module of this name that lies where the service was started.
    command = [sys.executable, "-P", "-m", "core.transfer.readers_child", kind]
    return subprocess.Popen(  # noqa: S603
        [*command, str(unpacked_limit), str(memory)],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _lines(child: Child, kind: str) -> Iterator[Any]:
    for line in child.stdout or ():
        found = orjson.loads(line)
        if isinstance(found, dict):
            raise _ERRORS[found["error"]](found["what"])
        yield found
    if child.wait() != 0:
        raise FileUnreadable(f"The file can't be read as {kind} within the limits of its reader")


def _end(child: Child) -> None:
    """Also where a thread waits for its next line."""
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
