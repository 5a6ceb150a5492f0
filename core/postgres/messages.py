"""PostgreSQL's messages that are sent past the driver.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""


def query(message: str) -> bytes:
    """PostgreSQL's message of a simple query."""
    text = message.encode() + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4, "big") + text


def parsing(statement: str) -> bytes:
    """PostgreSQL's messages that parse and describe a statement without a name."""
    body = b"\0" + statement.encode() + b"\0\0\0"
    return b"P" + (len(body) + 4).to_bytes(4, "big") + body + b"D\0\0\0\6S\0"
