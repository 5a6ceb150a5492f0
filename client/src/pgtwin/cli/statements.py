"""SQL texts taken apart into statements, and whether each changes tables or rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What the service takes in one call.
MOST_STATEMENTS, MOST_BYTES = 32, 60_000
DDL = frozenset({"create", "alter", "drop", "comment", "truncate"})
_TOKEN = re.compile(
    r"""
      (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<text>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<end>;)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Part:
    """Statements that are sent in one call.

    Attributes:
        is_ddl: they change tables.
    """

    text: str
    is_ddl: bool


def normalised(text: str) -> str:
    """A file's text without its byte order mark, and with one kind of line ends."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def statements(text: str) -> Iterator[str]:
    """The statements, without what ends them; the last one may be without an end.

    Quotes, dollar quotes, comments in comments, and BEGIN ATOMIC ... END of functions are whole.
    """
    start = at = 0
    words: list[str] = []
    depth = 0
    while found := _TOKEN.match(text, at):
        at = found.end()
        match found.lastgroup:
            case "block":
                at = _end_of_comment(text, at)
            case "dollar":
                closed = text.find(found[0], at)
                at = len(text) if closed < 0 else closed + len(found[0])
            case "word":
                words.append(found[0].lower())
                depth = _depth(words, depth)
            case "end" if depth == 0:
                if words:
                    yield text[start : at - 1].strip()
                start, words = at, []
    rest = text[start:].strip()
    if words and rest:
        yield rest


def is_complete(text: str) -> bool:
    """Whether what was typed ends with the end of a statement."""
    return text.rstrip().endswith(";") and len([*statements(text + "\nSELECT")]) > len(
        [*statements(text.rstrip()[:-1] + "\nSELECT")]
    )


def parts(text: str) -> Iterator[Part]:
    """What is sent in one call after the other."""
    kept: list[str] = []
    kind, size = False, 0
    for statement in statements(text):
        is_ddl = first_word(statement) in DDL
        length = len(statement.encode()) + 2
        is_full = len(kept) == MOST_STATEMENTS or size + length > MOST_BYTES
        if kept and (is_ddl is not kind or is_full):
            yield Part(";\n".join(kept), kind)
            kept, size = [], 0
        kept.append(statement)
        kind, size = is_ddl, size + length
    if kept:
        yield Part(";\n".join(kept), kind)


def first_word(statement: str) -> str:
    """The statement's first word, behind comments and parentheses."""
    at = 0
    while found := _TOKEN.match(statement, at):
        at = found.end()
        if found.lastgroup == "word":
            return found[0].lower()
        if found.lastgroup == "block":
            at = _end_of_comment(statement, at)
    return ""


def _depth(words: list[str], depth: int) -> int:
    """How deep in bodies of functions that are written as statements."""
    if words[-2:] == ["begin", "atomic"] and "create" in words:
        return 1
    if depth and words[-1] == "case":
        return depth + 1
    return depth - 1 if depth and words[-1] == "end" else depth


def _end_of_comment(text: str, at: int) -> int:
    depth = 1
    while depth:
        found = _BLOCK.search(text, at)
        if found is None:
            return len(text)
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return at
