"""PostgreSQL's text form of arrays, from and to lists."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

DIMENSIONS = 6  # PostgreSQL's limit
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parse_array(text: str, delimiter: str, convert: Callable[[str], Any] | None) -> list[Any]:
    """The elements, each through `convert`; a list of lists where there are dimensions.

    The bounds of an array that does not begin at 1 are left out.
    """
    if text[0] == "[":
        text = text[text.index("=") + 1 :]
    if text == "{}":
        return []
    if '"' in text or "{" in text[1:]:
        return _parse_tokens(text, delimiter, convert)
    items = text[1:-1].split(delimiter)
    if convert is None:
        return [None if item == "NULL" else item for item in items]
    return [None if item == "NULL" else convert(item) for item in items]


def _parse_tokens(text: str, delimiter: str, convert: Callable[[str], Any] | None) -> list[Any]:
    outer: list[Any] = []
    inner, stack = outer, [outer]
    for token in _tokens(delimiter).finditer(text):
        quoted, bare, brace = token.groups()
        if brace == "{":
            inner = []
            stack[-1].append(inner)
            stack.append(inner)
        elif brace == "}":
            stack.pop()
            inner = stack[-1]
        elif bare == "NULL":
            inner.append(None)
        else:
            value = bare or (_ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted)
            inner.append(value if convert is None else convert(value))
    array: list[Any] = outer[0]
    return array


@cache
def _tokens(delimiter: str) -> re.Pattern[str]:
    """An element in quotes, a bare one, or a brace."""
    bare = rf'[^{{}}"{re.escape(delimiter)}]++'
    return re.compile(rf'"((?:[^"\\]++|\\.)*+)"|({bare})|([{{}}])', re.DOTALL)


# The texts of an array's elements, None for NULL, in lists of lists where there are dimensions.
Elements: TypeAlias = "list[str | Elements | None]"


def array_literal(texts: Elements, delimiter: str) -> str:
    return "{" + delimiter.join(_element(text, delimiter) for text in texts) + "}"


def _element(text: "str | Elements | None", delimiter: str) -> str:
    if text is None:
        return "NULL"
    if isinstance(text, list):
        return array_literal(text, delimiter)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
