"""What is refused before PostgreSQL's parser reads it: it recurses, and some of its rules crash.

libpg_query gives up on deep nesting by itself but dies on long chains (`1 + 1 + 1 ...` with 100,000
parts), and needs quadratic time for nested comments. So depth, chains and comments are counted
first, over everything that is not a literal.
"""

import re

from core.sqlguard.errors import SqlTooLarge
from core.sqlguard.statements import Ruleset

# Rows are long where they are inserted without parameters; definitions are not.
MAX_BYTES = {Ruleset.DML: 1_048_576, Ruleset.DDL: 65_536, Ruleset.OWNER_DDL: 65_536}
MAX_STATEMENTS = 32
MAX_NESTING = 200
MAX_COMMENT_NESTING = 20
# Operators and words that make a tree deeper by one, wherever they stand in the text.
MAX_CHAIN = 8_000
# Brackets, and parts of names: flat, and many all the same.
MAX_PARTS = 60_000
# Nodes of a statement's tree, without constants and the lists that they are in.
MAX_NODES = 20_000

_TOKEN = re.compile(
    r"""
      (?P<skip>  --[^\n]*
        | [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | '(?:[^']|'')*(?:'|\Z)
        | "(?:[^"]|"")*(?:"|\Z)
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
        | (?<=[(,])\s*[-+]\s*(?=[\d.]) )
    | (?P<comment> /\* )
    | (?P<open> [(\[] | \bCASE\b )
    | (?P<close> [)\]] | \bEND\b )
    | (?P<part> \.(?=[^\d\s]) )
    | (?P<end> ; )
    | (?P<chain> [-+*/<>=~!@\#%^&|?]+ | ::
        | \b(?:UNION|INTERSECT|EXCEPT|JOIN|IS|ISNULL|NOTNULL|IN|LIKE|ILIKE|SIMILAR|BETWEEN|COLLATE
             |AT|NOT|OPERATOR|OVERLAPS)\b )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def check_size(sql: str, ruleset: Ruleset) -> None:
    """Refuse a text that is too long, too deep or too much for the parser.

    Raises:
        SqlTooLarge: with the position at which it is.
    """
    most = MAX_BYTES[ruleset]
    if len(sql) > most or len(sql.encode()) > most:
        raise SqlTooLarge(f"The SQL has more than {most} bytes")
    depth = chain = parts = statements = position = 0
    while found := _TOKEN.search(sql, position):
        position = found.end()
        match found.lastgroup:
            case "comment":
                position = _end_of_comment(sql, found.start())
            case "open":
                depth, parts = depth + 1, parts + 1
                if depth > MAX_NESTING:
                    raise _too("nests deeper than", MAX_NESTING, "levels", found.start())
            case "close":
                depth = max(0, depth - 1)
            case "part":
                parts += 1
            case "chain":
                chain += 1
                if chain > MAX_CHAIN:
                    raise _too("has more than", MAX_CHAIN, "operators", found.start())
            case "end":
                statements += 1
                if statements > 2 * MAX_STATEMENTS:
                    raise _too("has more than", MAX_STATEMENTS, "statements", found.start())
        if parts > MAX_PARTS:
            raise _too("has more than", MAX_PARTS, "brackets and names", found.start())


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
