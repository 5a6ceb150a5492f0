"""What is refused before PostgreSQL's parser reads it: it recurses, and some of its rules crash.

libpg_query dies on long chains (`1 + 1 + 1 ...` with 100,000 parts), and needs quadratic time for
nested comments and for long operators. So all of that is counted first, over everything that is
not a literal. What is a literal must be told exactly as PostgreSQL's scanner does: whatever is
taken for the inside of one without being it would not be counted.
"""

import re
from dataclasses import dataclass, field

from core.sqlguard.errors import SqlTooLarge, SqlUnreadable
from core.sqlguard.statements import Ruleset

# Rows are long where they are inserted without parameters; definitions are not.
MAX_BYTES = {Ruleset.DML: 1_048_576, Ruleset.DDL: 65_536, Ruleset.OWNER_DDL: 65_536}
MAX_STATEMENTS = 32
MAX_NESTING = 200
MAX_COMMENT_NESTING = 20
# Operators of which each holds the ones before it, as those of `1 + 1 + 1`.
MAX_CHAIN = 1_000
# Joins, and queries that UNION and its like put together, in the whole text.
MAX_CLAUSES = 1_000
MAX_OPERATOR = 63
# Brackets, and parts of names and of conditions: flat, and many all the same.
MAX_PARTS = 60_000
# Items of lists, constants among them.
MAX_ITEMS = 200_000
# Nodes of a statement's tree, without constants, parameters, their types, and lists.
MAX_NODES = 20_000

_START = r"[A-Za-z_\x80-\U0010ffff]"
_LATER = r"[A-Za-z_0-9$\x80-\U0010ffff]"
_PLAIN = r"'(?:[^']++|'')*+(?:'|\Z)"
_ESCAPED = r"'(?:[^'\\]++|\\.|'')*+(?:'|\Z)"
# A literal goes on after whitespace with a newline in it, in the manner in which it began.
_GOES_ON = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\f\v\n\r]|--[^\n\r]*+[\n\r])*+"
_CHAINING = """AT BETWEEN COLLATE ILIKE IN IS ISNULL LIKE NOT NOTNULL OPERATOR OVERLAPS SIMILAR"""
_CLAUSES = "ATOMIC EXCEPT INTERSECT JOIN UNION"
_ENDING = "AND ELSE OR THEN WHEN"


def _any_of(words: str) -> str:
    return rf"(?i:{'|'.join(words.split())})(?!{_LATER})"


_TOKEN = re.compile(
    rf"""
      (?P<skip>   (?:[ \t\n\r\f\v]++ | --[^\n\r]*+)++ )
    | (?P<number> [0-9][0-9_]*+(?:\.(?!\.)[0-9_]*+)? | \.[0-9][0-9_]*+ )
    | (?P<literal>
          [eE]{_ESCAPED}(?:{_GOES_ON}{_ESCAPED})*+
        | {_PLAIN}
        | "(?:[^"]++|"")*+(?:"|\Z)
        | \$[0-9]++ )
    | (?P<clause> {_any_of(_CLAUSES)} )
    | (?P<ending> {_any_of(_ENDING)} )
    | (?P<case>   {_any_of("CASE")} )
    | (?P<end>    {_any_of("END")} )
    | (?P<chain>  {_any_of(_CHAINING)} | :: )
    | (?P<word>   {_START}{_LATER}*+ )
    | (?P<dollar> \$(?:{_START}(?:(?!\$){_LATER})*+)?\$ )
    | (?P<comment> /\* )
    | (?P<operator> (?: (?!--|/\*) [-+*/<>=~!@\#%^&|?`] )++ )
    | (?P<open>   [(\[] )
    | (?P<close>  [)\]] )
    | (?P<comma>  , )
    | (?P<semicolon> ; )
    | (?P<dot>    \. )
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(_LATER)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# What stands for a constant in a skeleton; no text that is admitted has such a character.
_MARK = "\0"
# The constant behind the one says how names are to be read, and the other does not take each.
_WEIGHING = re.compile(r"uescape|float\s*\(", re.IGNORECASE)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_CONVERTED = re.compile(r"[-+]")


def check_size(sql: str, ruleset: Ruleset) -> None:
    """Refuse a text that is too long, too deep or too much for the parser.

    Raises:
        SqlTooLarge: with the position at which it is.
        SqlUnreadable: it is no Unicode.
    """
    _Counter(_short_enough(sql, ruleset)).through()


def skeleton(sql: str, ruleset: Ruleset) -> str | None:
    """The text without its plain constants, of which only the kind is left.

    PostgreSQL reads texts with the same skeleton as the same but for the values of constants:
    numbers of few digits, and texts between single quotes.

    Returns:
        None: it has none, and its size was not checked.

    Raises:
        SqlTooLarge, SqlUnreadable: as `check_size`.
    """
    if _MARK in sql or _WEIGHING.search(sql):
        return None
    counter = _Counter(_short_enough(sql, ruleset), pieces=[])
    counter.through()
    return counter.skeleton()


def _short_enough(sql: str, ruleset: Ruleset) -> str:
    most = MAX_BYTES[ruleset]
    if len(sql) > most or len(_encoded(sql)) > most:
        raise SqlTooLarge(f"The SQL has more than {most} bytes")
    return sql


def _encoded(sql: str) -> bytes:
    try:
        return sql.encode()
    except UnicodeEncodeError as error:
        raise SqlUnreadable(
            "The SQL has half of a surrogate pair", position=error.start + 1
        ) from None


@dataclass(slots=True)
class _Level:
    """What is between two brackets, or is a CASE.

    Attributes:
        before: links of the chain in which it stands.
        links: `before`, and links since the last comma.
        most: the most that `links` has been.
        ranges: BETWEENs whose AND has not come.
    """

    is_case: bool = False
    before: int = 0
    links: int = 0
    most: int = 0
    ranges: int = 0


@dataclass(slots=True)
class _Counter:
    """
    Attributes:
        pieces: of the skeleton, up to `taken`; None: there is to be none.
        goes_on: the last token was a literal that is in the skeleton, and may go on in the next.
    """

    sql: str
    pieces: list[str] | None = None
    taken: int = 0
    goes_on: bool = False
    levels: list[_Level] = field(default_factory=lambda: [_Level()])
    parts: int = 0
    items: int = 0
    clauses: int = 0
    statements: int = 0

    def through(self) -> None:
        sql, position, size, match = self.sql, 0, len(self.sql), _TOKEN.match
        is_name = False
        while position < size:
            found = match(sql, position)
            kind = found.lastgroup if found else None
            if found is None or kind is None:
                position += 1
                continue
            start, position = position, found.end()
            match kind:
                case "skip":
                    continue
                case "comment":
                    position = _end_of_comment(sql, start)
                    continue
                case "dollar":
                    end = sql.find(found[0], position)
                    position = size if end < 0 else end + len(found[0])
                case "word":
                    pass
                case "literal" | "number":
                    if self.pieces is not None:
                        self.goes_on = not self._leave_out(self.pieces, kind, start, position)
                        is_name = False
                        continue
                case _ if not is_name or kind in _MARKS:
                    self._count(kind, found[0], start)
            is_name, self.goes_on = kind == "dot", False

    def skeleton(self) -> str:
        return "".join((*(self.pieces or ()), self.sql[self.taken :]))

    def _leave_out(self, pieces: list[str], kind: str, start: int, end: int) -> bool:
        """Leave a constant out of the skeleton, if it is plain: nothing around it is a part of it,
        nor is it a part of what is before it, and it is whole."""
        before, text, after = (
            self.sql[start - 1 : start],
            self.sql[start:end],
            self.sql[end : end + 1],
        )
        if kind == "number":
            found = _NUMBER.fullmatch(text)
            is_plain = found is not None and after != "." and not _WORD.match(after)
            mark = f"{_MARK}{'f' if found and found[1] else 'i'}"
        else:
            # That of `U&'...'` is read on, and so is that of `x'...'`.
            is_alone = before != "&" and not _WORD.match(before)
            is_whole = text.count("'") % 2 == 0
            is_plain = text[0] == "'" and is_alone and is_whole and not self.goes_on
            mark = f"{_MARK}s"
        if is_plain:
            pieces += (self.sql[self.taken : start], mark)
            self.taken = end
        return is_plain

    def _count(self, kind: str, text: str, place: int) -> None:
        level = self.levels[-1]
        match kind:
            case "comma":
                level.links = level.before
                self.items = _one_more(self.items, MAX_ITEMS, "items of lists", place)
            case "open" | "case":
                self._open(place, is_case=kind == "case")
            case "close":
                while self.levels[-1].is_case:
                    self._close()
                self._close()
            case "end":
                if level.is_case:
                    self._close()
            case "operator" | "chain":
                self._link(kind, text, place)
            case "ending":
                self.parts = _one_more(self.parts, MAX_PARTS, "parts", place)
                if text.upper() == "AND" and level.ranges:
                    level.ranges -= 1
                else:
                    level.links = level.before
            case "clause":
                self.clauses = _one_more(self.clauses, MAX_CLAUSES, "joined queries", place)
            case "dot":
                self.parts = _one_more(self.parts, MAX_PARTS, "parts", place)
            case "semicolon":
                self.statements = _one_more(
                    self.statements, 2 * MAX_STATEMENTS, "statements", place
                )

    def _open(self, place: int, *, is_case: bool) -> None:
        links = self.levels[-1].links
        self.levels.append(_Level(is_case, links, links, links))
        if len(self.levels) > MAX_NESTING + 1:
            raise _too("nests deeper than", MAX_NESTING, "levels", place)
        self.parts = _one_more(self.parts, MAX_PARTS, "parts", place)

    def _close(self) -> None:
        if len(self.levels) > 1:
            ended, level = self.levels.pop(), self.levels[-1]
            level.links = ended.most
            level.most = max(level.most, level.links)

    def _link(self, kind: str, text: str, place: int) -> None:
        if len(text) > MAX_OPERATOR:
            raise _too("has an operator of more than", MAX_OPERATOR, "characters", place)
        level = self.levels[-1]
        # Of `*-` and `+-` PostgreSQL makes two operators.
        level.links += max(1, len(_CONVERTED.findall(text))) if kind == "operator" else 1
        level.ranges += text.upper() == "BETWEEN"
        level.most = max(level.most, level.links)
        if level.links > MAX_CHAIN:
            raise _too("has a chain of more than", MAX_CHAIN, "operators", place)


_MARKS = frozenset({"open", "close", "comma", "semicolon", "operator", "dot"})


def _one_more(count: int, most: int, of_what: str, place: int) -> int:
    if count >= most:
        raise _too("has more than", most, of_what, place)
    return count + 1


def _too(what: str, most: int, of_what: str, place: int) -> SqlTooLarge:
    return SqlTooLarge(f"The SQL {what} {most:,} {of_what}", position=place + 1)


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
        if depth > MAX_COMMENT_NESTING:
            raise _too("nests comments deeper than", MAX_COMMENT_NESTING, "levels", edge.start())
    return len(sql)
