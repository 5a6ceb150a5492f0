"""PostgreSQL's messages that are sent past the driver.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from collections.abc import Sequence


def query(message: str) -> bytes:
    """PostgreSQL's message of a simple query."""
    text = message.encode() + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4, "big") + text


def parsing(statement: str, parameters: Sequence[int]) -> bytes:
    """PostgreSQL's messages that parse and describe a statement without a name."""
    types = b"".join(oid.to_bytes(4, "big") for oid in parameters)
    body = b"\0" + statement.encode() + b"\0" + len(parameters).to_bytes(2, "big") + types
    return b"P" + (len(body) + 4).to_bytes(4, "big") + body + b"D\0\0\0\6S\0"
