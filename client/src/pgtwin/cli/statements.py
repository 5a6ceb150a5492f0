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
        text: a part of what was given, as it is there.
        is_ddl: they change tables.
        start: where that part begins.
    """

    text: str
    is_ddl: bool
    start: int


def normalised(text: str) -> str:
    """A file's text without its byte order mark, and with one kind of line ends."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def statements(text: str) -> Iterator[str]:
    """The statements, without what ends them; the last one may be without an end.

    Quotes, dollar quotes, comments in comments, and BEGIN ATOMIC ... END of functions are whole.
    """
    for start, end in spans(text):
        yield text[start:end]


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the statements begin and end."""
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
                    yield _stripped(text, start, at - 1)
                start, words = at, []
    if words:
        yield _stripped(text, start, len(text))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    whole = text[start:end]
    return start + len(whole) - len(whole.lstrip()), start + len(whole.rstrip())


def is_complete(text: str) -> bool:
    """Whether what was typed ends with the end of a statement."""
    return text.rstrip().endswith(";") and len([*statements(text + "\nSELECT")]) > len(
        [*statements(text.rstrip()[:-1] + "\nSELECT")]
    )


def parts(text: str) -> Iterator[Part]:
    """What is sent in one call after the other."""
    first = last = count = size = 0
    kind = False
    for start, end in spans(text):
        is_ddl = first_word(text[start:end]) in DDL
        # What is between two statements is sent with them, so that places in it are those given.
        length = len(text[last if count else start : end].encode())
        is_full = count == MOST_STATEMENTS or size + length > MOST_BYTES
        if count and (is_ddl is not kind or is_full):
            yield Part(text[first:last], kind, first)
            count = size = 0
        if not count:
            first, length = start, len(text[start:end].encode())
        kind, last, count, size = is_ddl, end, count + 1, size + length
    if count:
        yield Part(text[first:last], kind, first)


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
