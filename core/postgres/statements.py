"""Statements as logs and traces may show them: without literals, parameters and tenants' names."""

import hashlib
import re
from functools import lru_cache

# More of a statement is not read, and not shown.
READ_CHARACTERS, SHOWN_CHARACTERS = 20_000, 1_000

_TOKEN = re.compile(
    r"""
      (?P<space>   (?: \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) )+ )
    | (?P<value>   [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
                 | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
                 | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
                 | \$\d+
                 | \.?\d[\w.]*(?:(?<=[eE])[+-]\d+)? )
    | (?P<name>    "(?:[^"]|"")*(?:"|\Z) | [^\W\d][\w$]* )
    """,
    re.VERBOSE | re.DOTALL,
)
# Names with an id in them are those of a database's schemas and roles.
_WITH_ID = re.compile(r"\d{9}")
_LIST = re.compile(r"\?(::\w+)?(?:\s*,\s*\?(?:::\w+)?)+")
_ROWS = re.compile(r"(\(\?[^()]*\))(?:\s*,\s*\(\?[^()]*\))+")


@lru_cache(maxsize=1024)
def normalised(statement: str) -> str:
    """The statement on one line, with `?` for every literal and every name that has an id."""

    def shown(match: re.Match[str]) -> str:
        if match["space"]:
            return " "
        if match["value"] or _WITH_ID.search(match["name"]):
            return "?"
        return match["name"]

    text = _TOKEN.sub(shown, statement[:READ_CHARACTERS]).strip()
    text = _ROWS.sub(r"\1, ...", _LIST.sub(r"?\1, ...", text))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def fingerprint(text: str) -> str:
    """16 hexadecimal digits that are the same for statements that differ in values only.

    Args:
        text: the statement, normalised.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]
