"""What all readers give: a file's columns, and its rows in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.postgres.values import JsonValue

# About as many bytes, and never more rows, are in a batch.
BATCH_BYTES, BATCH_ROWS = 524_288, 10_000
SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file.

    Attributes:
        line: where it begins, as the file's reader counts.
        values: by the columns' order; None is NULL.
        height: the lines that it takes in a CSV.
        problem: why it is no row; empty: it is one.
    """

    line: int
    values: Sequence[JsonValue]
    height: int = 1
    problem: str = ""


class Batch(Protocol):
    def records(self) -> list[Record]: ...

    def copied(self, suffix: bytes) -> bytes | None:
        """The rows as CSV that PostgreSQL reads as `records` does; None: they can't be given so.

        Args:
            suffix: what each row has at its end.
        """

    def fields(self, width: int) -> list[list[bytes]] | None:
        """The rows' values as CSV has them; None: they can't be told apart so simply, or a row has
        another number of them."""


@dataclass(frozen=True, slots=True)
class Records:
    """A batch that was read whole."""

    found: list[Record]

    def records(self) -> list[Record]:
        return self.found

    def copied(self, suffix: bytes) -> bytes | None:
        return None

    def fields(self, width: int) -> list[list[bytes]] | None:
        return None


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose head is read.

    Attributes:
        delimiter: of its CSV form.
        close: ends what reads it, from any thread.
    """

    columns: list[str]
    batches: Iterator[Batch]
    delimiter: str = ","
    close: Callable[[], None] = lambda: None


def shown(text: str) -> str:
    """A part of a file as messages show it."""
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


def grouped(records: Iterator[Record], first: Sequence[Record] = ()) -> Iterator[Batch]:
    """Records in batches."""
    batch = list(first)
    for record in records:
        batch.append(record)
        if len(batch) >= BATCH_ROWS:
            yield Records(batch)
            batch = []
    if batch:
        yield Records(batch)
