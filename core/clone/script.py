"""A dump's SQL, made fit to be replayed for another owner and, in the end, another schema."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

# The parts of SQL text that a name can hide in. Outside of functions written in SQL's own
# form, a dump has no nested comments and no operators that begin like one.
TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<literal>'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*|)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ENTRY = re.compile(
    r"^-- (?:Data for )?Name: (?P<name>.*); Type: (?P<kind>[A-Z ]+); Schema: ", re.MULTILINE
)
_RELATIONS = ("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE")
_QUALIFIED = re.compile(r'(?:"(?:[^"]|"")*"|[\w$]+)\.(?:"(?:[^"]|"")*"|[\w$]+)')
# How PostgreSQL writes the marks of a CYCLE clause down, which its own grammar can't read.
_CYCLE_MARKS = re.compile(
    r"(?P<before>\bCYCLE [^;]{1,9999}? SET \S+ TO )(?P<mark>'(?:[^']|'')*')::(?P<type>[^;']+?)"
    r" DEFAULT (?P<default>'(?:[^']|'')*')::(?P=type) USING "
)
_KEYS = ("CONSTRAINT", "INDEX", "INDEX ATTACH")
TEXTS = ("literal", "escaped", "dollar", "tag")
# Whose texts stay: comments and enums' labels mean nothing to PostgreSQL, and functions, whose
# texts it reads when it runs them, may have to run before the copy has its name.
VERBATIM = ("COMMENT", "TYPE", "FUNCTION", "PROCEDURE")


@dataclass(frozen=True, slots=True)
class Renaming:
    """What the copy's code is to name in place of what the source's code names.

    Attributes:
        schema: the source's schema and the copy's, both plain, not quoted.
        roles: the source's roles to the copy's; plain names of letters, digits, underscores.
    """

    schema: tuple[str, str]
    roles: Mapping[str, str]

    def in_text(self, text: str) -> str:
        """Every mention, at the boundaries of an identifier."""
        names = {_doubled(self.schema[0], q): _doubled(self.schema[1], q) for q in ("", '"', "'")}
        names |= self.roles
        pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        return re.sub(rf"(?<![\w$])(?:{pattern})(?![\w$])", lambda found: names[found[0]], text)


def _doubled(name: str, quote: str) -> str:
    return name.replace(quote, quote * 2) if quote else name


def statements_of(dump: str) -> str:
    """A plain dump without its settings and without psql's own commands.

    The settings at its top are those of the dump's server version and hold for a session.
    """
    first = dump.find("\n--\n-- Name: ")
    if first < 0:
        return ""
    dump = re.sub(r"\n\\unrestrict \S+\s*\Z", "\n", dump[first:])
    return _CYCLE_MARKS.sub(
        r"\g<before>\g<type> \g<mark> DEFAULT \g<type> \g<default> USING ", dump
    )


def attached_apart(script: str, tables: Collection[str]) -> str:
    """The script with some tables made without their parents, and attached to them then.

    Args:
        tables: their names, quoted where they need it.
    """
    for table in tables:
        made = re.compile(
            rf"(CREATE (?:UNLOGGED )?TABLE (\S+\.{re.escape(table)}) \(\n.*?^\))"
            r"\nINHERITS \(([^\n]*)\)(.*?;\n)",
            re.DOTALL | re.MULTILINE,
        )
        script = made.sub(_attached, script, count=1)
    return script


def _attached(made: re.Match[str]) -> str:
    create, name, parents, options = made.groups()
    attach = "".join(
        f"ALTER TABLE {name} INHERIT {parent[0]};\n" for parent in _QUALIFIED.finditer(parents)
    )
    return f"{create}{options}{attach}"


def entries(script: str) -> Iterator[tuple[str, str]]:
    """The kind and the text of each of a dump's entries, in its order."""
    kind, start = "", 0
    for token in TOKEN.finditer(script):
        if token.lastgroup == "comment" and (found := _ENTRY.match(token[0])):
            yield kind, script[start : token.start()]
            kind, start = found["kind"], token.start()
    yield kind, script[start:]


def titled(script: str) -> Iterator[tuple[str, str]]:
    """A dump's entries, each under its kind and name, such as `view totals`."""
    for kind, text in entries(script):
        found = _ENTRY.search(text)
        yield f"{kind.lower()} {found['name'] if found else ''}".strip(), text


def split_before_tables(script: str) -> tuple[str, str]:
    """A script up to its first table, view or sequence, and the rest.

    Types and functions come first, so what these make possible fits in between.
    """
    start = 0
    for kind, text in entries(script):
        if kind in _RELATIONS:
            return script[:start], script[start:]
        start += len(text)
    return script, ""


def keys_apart(script: str) -> tuple[str, str]:
    """Indexes and their constraints, and the rest of what comes after the data."""
    parts = list(entries(script))
    return (
        "".join(text for kind, text in parts if kind in _KEYS),
        "".join(text for kind, text in parts if kind not in _KEYS),
    )


def adapted(script: str, renaming: Renaming) -> str:
    """The script with the copy's roles, and with the copy's schema where a name is text.

    Names that PostgreSQL resolves while it replays the script are left: the copy has the
    source's name for as long.
    """
    return "".join(_adapted_tokens(script, renaming))


def renamed_function(definition: str, renaming: Renaming) -> str:
    """A function's definition with its texts, its body above all, about the copy."""
    return "".join(
        renaming.in_text(token[0]) if token.lastgroup in TEXTS else token[0]
        for token in TOKEN.finditer(definition)
    )


def is_name(script: str, end: int) -> bool:
    """Whether the literal before is resolved as a name (`'s.t'::regclass`) when it is read."""
    return script.startswith("::reg", end)


def _adapted_tokens(script: str, renaming: Renaming) -> Iterator[str]:
    entry = ""
    for token in TOKEN.finditer(script):
        kind, text = token.lastgroup, token[0]
        if kind == "comment":
            found = _ENTRY.match(text)
            entry = found["kind"] if found else entry
            # Comments of the dump name objects, one that holds a newline breaks them: gone.
            continue
        if kind == "word":
            yield renaming.roles.get(text, text)
        elif kind in TEXTS and entry not in VERBATIM and not is_name(script, token.end()):
            yield renaming.in_text(text)
        else:
            yield text
