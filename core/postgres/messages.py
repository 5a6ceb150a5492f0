"""PostgreSQL's messages that are sent past the driver.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from collections.abc import Sequence

# A Bind without parameters and formats, an Execute for all rows, a Flush.
BIND_AND_EXECUTE = b"B\0\0\0\x0c" + b"\0" * 8 + b"E\0\0\0\x09" + b"\0" * 5 + b"H\0\0\0\4"


def query(message: str) -> bytes:
    """PostgreSQL's message of a simple query."""
    text = message.encode() + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4, "big") + text


def parsing(statement: str) -> bytes:
    """PostgreSQL's messages that parse and describe a statement without a name."""
    return _parse(statement) + b"D\0\0\0\6S\0"


def description(parameters: Sequence[int], columns: Sequence[tuple[str, int]]) -> bytes:
    """What PostgreSQL answers to these two.

    Args:
        parameters: the oids of their types.
        columns: names and types' oids.
    """
    types = b"".join(oid.to_bytes(4, "big") for oid in parameters)
    fields = b"".join(
        # Of no table; the type; its length, its modifier and the format, which nobody asks for.
        name.encode() + b"\0" + bytes(6) + oid.to_bytes(4, "big") + bytes(8)
        for name, oid in columns
    )
    described = [
        (b"1", b""),
        (b"t", len(parameters).to_bytes(2, "big") + types),
        (b"T", len(columns).to_bytes(2, "big") + fields) if columns else (b"n", b""),
    ]
    return b"".join(kind + (len(body) + 4).to_bytes(4, "big") + body for kind, body in described)


def executing(statement: str) -> bytes:
    """PostgreSQL's messages that execute a statement that takes and gives nothing.

    Where it is refused, all that comes up to the next Sync is skipped.
    """
    return _parse(statement) + BIND_AND_EXECUTE


def _parse(statement: str) -> bytes:
    body = b"\0" + statement.encode() + b"\0\0\0"
    return b"P" + (len(body) + 4).to_bytes(4, "big") + body
