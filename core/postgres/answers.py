"""Answers to messages that were sent past the driver, taken out of what the driver reads.

PostgreSQL's messages: a byte that says the kind, then the length, which counts itself.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from collections.abc import Sequence

import asyncpg

HEAD_BYTES = 5
# Of the session, whatever message they come with: parameters, notices, notifications.
FOR_THE_DRIVER = frozenset(b"SNA")
READY, FAILED, DONE, ROW = ord("Z"), ord("E"), ord("C"), ord("D")
PARSED, PARAMETERS, COLUMNS, NO_COLUMNS = ord("1"), ord("t"), ord("T"), ord("n")
# What a READY says where no transaction is open.
IDLE = b"I"


class Answers:
    """What comes for requests that go ahead of the driver's.

    A simple query ends with a ReadyForQuery; a statement that is executed has none of its own. What
    comes after one that is refused is skipped up to the driver's Sync: so the driver gets the error
    of the first executed statement that fails, be it another's, and then the end of its request.

    Args:
        simple: which of them are simple queries.

    Attributes:
        is_complete: there is nothing more to take.
        failure: what PostgreSQL refused first; None: nothing yet.
        is_idle: no transaction was open after the last simple query.
        tags: of the requests before the failure; those of simple queries are empty.
    """

    def __init__(self, simple: Sequence[bool] = (True,)) -> None:
        self._simple = simple
        self._part = b""
        self._at = 0
        self.is_complete = not simple
        self.is_idle = False
        self.failure: asyncpg.PostgresError | None = None
        self.tags: list[str] = []

    def take(self, data: bytes) -> bytes:
        """Take what belongs to the requests; gives what is the driver's."""
        data, at, passed = self._part + data, 0, b""
        while not self.is_complete and len(data) - at >= HEAD_BYTES:
            end = at + 1 + int.from_bytes(data[at + 1 : at + HEAD_BYTES], "big")
            if end > len(data):
                break
            kind = data[at]
            if kind in FOR_THE_DRIVER:
                passed += data[at:end]
            elif kind == FAILED:
                self.failure = self.failure or _error(data[at + HEAD_BYTES : end])
                if not self._simple[self._at]:
                    self.is_complete = True
                    passed += data[at:end]
            elif kind == READY:
                self.is_idle = data[at + HEAD_BYTES : end] == IDLE
                self._go_on("")
            elif kind == DONE and not self._simple[self._at]:
                self._go_on(data[at + HEAD_BYTES : end - 1].decode())
            at = end
        if self.is_complete:
            return passed + data[at:]
        self._part = data[at:]
        return passed

    def _go_on(self, tag: str) -> None:
        self._at += 1
        if self.failure is None:
            self.tags.append(tag)
            self.is_complete = self._at == len(self._simple)
        else:
            # Simple queries are refused each on its own.
            self.is_complete = self._at == len(self._simple) or not self._simple[self._at]


class AnswersBehind:
    """What comes for a simple query that was sent right behind the driver's own request.

    The driver sees one ReadyForQuery, the last: its request ends where the query does, in the state
    that the query leaves.

    Attributes:
        is_complete: all of it has come.
        has_committed: the transaction was open, and is kept.
        failure: what PostgreSQL refused of the query; None: nothing yet.
    """

    def __init__(self) -> None:
        self._part = b""
        # Bytes of the driver's message that are yet to come.
        self._inside = 0
        self._is_behind = False
        self.is_complete = self.has_committed = False
        self.failure: asyncpg.PostgresError | None = None

    def take(self, data: bytes) -> bytes:
        """Take what belongs to the query; gives what is the driver's."""
        if self._part:
            data, self._part = self._part + data, b""
        start, at, passed = 0, min(self._inside, len(data)), []
        self._inside -= at
        while len(data) - at >= HEAD_BYTES and not self.is_complete:
            kind, end = data[at], at + 1 + int.from_bytes(data[at + 1 : at + HEAD_BYTES], "big")
            if self._is_behind or kind == READY:
                if end > len(data):
                    break
                passed.append(data[start:at])
                start = at if self._is_drivers(kind, data[at + HEAD_BYTES : end]) else end
            elif end > len(data):
                self._inside, end = end - len(data), len(data)
            at = end
        if not self.is_complete:
            self._part = data[at:]
            passed.append(data[start:at])
        else:
            passed.append(data[start:])
        return b"".join(passed)

    def _is_drivers(self, kind: int, body: bytes) -> bool:
        """Whether it is to have a message of the query, or the end of its request."""
        if not self._is_behind:
            self._is_behind = True
            return False
        if kind == FAILED and self.failure is None:
            self.failure = _error(body)
        elif kind == DONE and body == b"COMMIT\0":
            self.has_committed = True
        self.is_complete = kind == READY
        return self.is_complete or kind in FOR_THE_DRIVER


class Description:
    """What comes for the Parse and Describe of a statement that was described before.

    Where its columns are others by now, the driver does not get the rows, which it would take for
    what they are not.

    Args:
        parameters: the oids of its parameters' types.
        columns: names and types' oids.

    Attributes:
        is_complete: there is nothing more to take.
        is_retyped: its parameters are of other types.
        differs: its columns are others.
    """

    def __init__(self, parameters: Sequence[int], columns: Sequence[tuple[str, int]]) -> None:
        self._parameters, self._columns = tuple(parameters), tuple(columns)
        self._part = b""
        # Bytes of a row that are yet to come, and to be dropped.
        self._inside = 0
        self.is_complete = self.is_retyped = self.differs = False

    @property
    def has_changed(self) -> bool:
        return self.is_retyped or self.differs

    def take(self, data: bytes) -> bytes:
        """Take what describes; gives what is the driver's."""
        if self._part:
            data, self._part = self._part + data, b""
        at, passed = min(self._inside, len(data)), b""
        self._inside -= at
        while not self.is_complete and len(data) - at >= HEAD_BYTES:
            kind, end = data[at], at + 1 + int.from_bytes(data[at + 1 : at + HEAD_BYTES], "big")
            if kind == ROW:
                self._inside, end = max(0, end - len(data)), min(end, len(data))
            elif end > len(data):
                break
            elif self._is_drivers(kind, data[at + HEAD_BYTES : end]):
                passed += data[at:end]
            at = end
        if self.is_complete:
            return passed + data[at:]
        self._part = data[at:]
        return passed

    def _is_drivers(self, kind: int, body: bytes) -> bool:
        if kind == PARAMETERS:
            self.is_retyped = _oids(body) != self._parameters
        elif kind in (COLUMNS, NO_COLUMNS):
            self.differs = (_columns(body) if kind == COLUMNS else ()) != self._columns
            self.is_complete = not self.differs
        else:
            # One that was refused has no description.
            self.is_complete = kind in (FAILED, READY)
            return kind != PARSED
        return False


def _oids(body: bytes) -> tuple[int, ...]:
    """Of a ParameterDescription."""
    return tuple(int.from_bytes(body[at : at + 4], "big") for at in range(2, len(body), 4))


def _columns(body: bytes) -> tuple[tuple[str, int], ...]:
    """Of a RowDescription."""
    found, at = [], 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(0, at)
        oid = int.from_bytes(body[end + 7 : end + 11], "big")
        found.append((body[at:end].decode(), oid))
        at = end + 19
    return tuple(found)


def _error(body: bytes) -> asyncpg.PostgresError:
    fields = {
        field[:1].decode(): field[1:].decode("utf-8", "replace")
        for field in body.rstrip(b"\0").split(b"\0")
    }
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error
