"""Answers to a message that was sent past the driver, taken out of what the driver reads.

PostgreSQL's messages: a byte that says the kind, then the length, which counts itself.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncpg

HEAD_BYTES = 5
# Of the session, whatever message they come with: parameters, notices, notifications.
FOR_THE_DRIVER = frozenset(b"SNA")
READY, FAILED = ord("Z"), ord("E")


class Answers:
    """What comes for one simple query.

    Attributes:
        is_complete: all of it has come.
        failure: what PostgreSQL refused; None: nothing yet.
    """

    def __init__(self) -> None:
        self._part = b""
        self.is_complete = False
        self.failure: asyncpg.PostgresError | None = None

    def take(self, data: bytes) -> bytes:
        """Take what belongs to the query; gives what is the driver's."""
        data, at, passed = self._part + data, 0, b""
        while not self.is_complete and len(data) - at >= HEAD_BYTES:
            end = at + 1 + int.from_bytes(data[at + 1 : at + HEAD_BYTES], "big")
            if end > len(data):
                break
            if data[at] in FOR_THE_DRIVER:
                passed += data[at:end]
            elif data[at] == FAILED:
                self.failure = _error(data[at + HEAD_BYTES : end])
            self.is_complete = data[at] == READY
            at = end
        if self.is_complete:
            return passed + data[at:]
        self._part = data[at:]
        return passed


def _error(body: bytes) -> asyncpg.PostgresError:
    fields = {
        field[:1].decode(): field[1:].decode("utf-8", "replace")
        for field in body.rstrip(b"\0").split(b"\0")
    }
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error
