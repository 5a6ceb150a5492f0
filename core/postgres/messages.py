"""PostgreSQL's messages that are sent past the driver.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

# A Bind without parameters and formats, an Execute for all rows, a Sync.
BIND_AND_EXECUTE = b"B\0\0\0\x0c" + b"\0" * 8 + b"E\0\0\0\x09" + b"\0" * 5 + b"S\0\0\0\4"


def query(message: str) -> bytes:
    """PostgreSQL's message of a simple query."""
    text = message.encode() + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4, "big") + text


def parsing(statement: str) -> bytes:
    """PostgreSQL's messages that parse and describe a statement without a name."""
    return _parse(statement) + b"D\0\0\0\6S\0"


def executing(statement: str) -> bytes:
    """PostgreSQL's messages that execute a statement that takes and gives nothing."""
    return _parse(statement) + BIND_AND_EXECUTE


def _parse(statement: str) -> bytes:
    body = b"\0" + statement.encode() + b"\0\0\0"
    return b"P" + (len(body) + 4).to_bytes(4, "big") + body
