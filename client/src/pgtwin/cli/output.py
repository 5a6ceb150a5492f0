"""What commands print: tables for people, JSON for programs."""

import codecs
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from unicodedata import combining, east_asian_width

# Columns of a terminal that a column of a table is worth; with less, lines are not folded.
NARROWEST = 10


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


def prepare() -> None:
    """Have three streams that take any text, whatever the program was started with."""
    for name, number, flags in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            # Else the next file that is opened, such as a connection, would be the stream.
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, flags, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_ascii() -> bool:
    """Whether JSON has to do without other characters."""
    return codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"


def is_terminal() -> bool:
    return sys.stdout.isatty()


def has_colours() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def plain(value: Any) -> Any:
    """A value as JSON has it; ids have their text beside them, as JavaScript loses digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({each.name: getattr(value, each.name) for each in fields(value)})
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for name, each in value.items():
            made[name] = plain(each)
            if name.endswith("_id") and isinstance(each, int):
                made[f"{name}_str"] = str(each)
        return made
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def show_many(form: Form, items: Iterable[Any], columns: Sequence[str]) -> None:
    """A list.

    Args:
        columns: of the table; JSON has all fields.
    """
    if form is Form.NDJSON:
        for item in items:
            print(json.dumps(plain(item), ensure_ascii=_is_ascii()), flush=True)
        return
    rows = [plain(item) for item in items]
    if form is Form.JSON:
        print(json.dumps(rows, indent=2, ensure_ascii=_is_ascii()))
    else:
        table(columns, [[row.get(name) for name in columns] for row in rows])


def show_one(form: Form, item: Any, names: Sequence[str] = ()) -> None:
    """One thing; as a table, a line a field.

    Args:
        names: the fields of the table; none: all.
    """
    found = plain(item)
    if form is Form.TABLE:
        shown = names or [name for name in found if not name.endswith("_str")]
        width = max((len(name) for name in shown), default=0)
        for name in shown:
            print(f"{name:<{width}}  {text(found.get(name))}".rstrip())
    elif form is Form.JSON:
        print(json.dumps(found, indent=2, ensure_ascii=_is_ascii()))
    else:
        print(json.dumps(found, ensure_ascii=_is_ascii()))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if has_colours() and shutil.get_terminal_size().columns >= len(columns) * NARROWEST:
        _rich_table(columns, rows)
        return
    cells = [[text(value) for value in row] for row in rows]
    lines = [[name.upper() for name in columns], *cells]
    widths = [max(width(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (
            cell + " " * (most - width(cell)) for cell, most in zip(line, widths, strict=True)
        )
        print("  ".join(padded).rstrip())


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text(text(value)) for value in row))
    Console().print(made)


def text(value: Any) -> str:
    """A value in a table's cell, on one line."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            if all(isinstance(each, str) for each in value.values()):
                return ",".join(f"{name}={each}" for name, each in value.items())
            return json.dumps(value, ensure_ascii=False)
        case list():
            return json.dumps(value, ensure_ascii=False)
    # What a terminal would obey is shown and not done.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def width(shown: str) -> int:
    """Columns of a terminal that a line takes."""
    if shown.isascii():
        return len(shown)
    return sum(0 if combining(each) else 1 + (east_asian_width(each) in "WF") for each in shown)


def note(line: str) -> None:
    """For people, beside the output; a line."""
    print(text(line), file=sys.stderr, flush=True)
