"""A dump's SQL for whoever runs it in a schema of another name: without the schema's name, and
without what the service adds to tables by itself."""

import re
from collections.abc import Collection, Iterator, Sequence

from core.clone.script import TEXTS, TOKEN, entries, is_name, titled

_NAME = r'(?:"(?:[^"]|"")*"|[\w$]+)'
_POLICY = re.compile(rf"^CREATE POLICY (?P<policy>{_NAME}) ON (?P<table>{_NAME}\.{_NAME}) ", re.M)
_SECURED = re.compile(rf"^ALTER TABLE (?P<table>{_NAME}\.{_NAME}) ENABLE ROW LEVEL SECURITY;", re.M)
_STAMP = re.compile(r"^CREATE TRIGGER pgtwin_stamp ", re.M)
_ON_SCHEMA = re.compile(r"^COMMENT ON SCHEMA ", re.M)
_ADMITTED = "pgtwin_rows"
# What pg_dump sets between its entries, for a session.
_SETTINGS = re.compile(r"(?:^SET default_\w+ = [^;\n]*;\s*)+\Z", re.M)
_HEADER = re.compile(r"-- Name: .*; Type: (?P<kind>[A-Z ]+); Schema: ")
# Whose texts are data.
_DATA = ("COMMENT", "TYPE")


def own_entries(script: str) -> str:
    """The script without the schema itself, and without what admission adds to tables: the policy,
    the stamp, and row security where there is no other policy."""
    parts = [(kind, _SETTINGS.sub("", text)) for kind, text in entries(script)]
    policies = [
        found for kind, text in parts if kind == "POLICY" for found in _POLICY.finditer(text)
    ]
    admitted = {found["table"] for found in policies if found["policy"] == _ADMITTED}
    admitted -= {found["table"] for found in policies if found["policy"] != _ADMITTED}
    return "".join(text for kind, text in parts if _is_own(kind, text, admitted))


def _is_own(kind: str, text: str, admitted: Collection[str]) -> bool:
    if kind == "POLICY":
        found = _POLICY.search(text)
        return found is None or found["policy"] != _ADMITTED
    if kind == "ROW SECURITY":
        secured = _SECURED.search(text)
        return secured is None or secured["table"] not in admitted
    if kind == "TRIGGER":
        return _STAMP.search(text) is None
    return not (kind == "SCHEMA" or (kind == "COMMENT" and _ON_SCHEMA.search(text)))


def portable(script: str, schemas: Sequence[str], roles: Sequence[str]) -> tuple[str, list[str]]:
    """The script without the names of some schemas before other names, and without comments.

    In texts that PostgreSQL reads as code or as names too; in comments on objects and in the
    labels of enums a name is data.

    Args:
        schemas: plain names, not quoted; the first is the one that is written down.
        roles: plain names that mean something in this database alone.

    Returns:
        The script, and the titles of the entries that still name the first schema or a role.
    """
    pattern, qualifier = _mentions([schemas[0], *roles]), _qualifier(schemas)
    parts, naming = [], []
    for title, text in titled(script):
        part = "".join(_tokens(text, schemas)).strip()
        if part:
            parts.append(f"{part}\n")
        if pattern.search(part) and not title.startswith("comment "):
            naming.append(qualifier.sub("", title))
    return "\n".join(parts), naming


def _tokens(script: str, schemas: Sequence[str]) -> Iterator[str]:
    written = {form for name in schemas for form in (name, _quoted(name))}
    qualifier = _qualifier(schemas)
    entry, dot, before = "", -1, ""
    for token in TOKEN.finditer(script):
        kind, text = token.lastgroup, token[0]
        if kind == "comment":
            found = _HEADER.match(text)
            entry = found["kind"] if found else entry
            continue
        if token.start() == dot:
            continue
        if kind in ("word", "quoted") and text in written and before != ".":
            if script.startswith(".", token.end()):
                dot = token.end()
                continue
        elif kind in TEXTS and (entry not in _DATA or is_name(script, token.end())):
            text = qualifier.sub("", text)
        before = text[-1:]
        yield text


def _qualifier(schemas: Sequence[str]) -> re.Pattern[str]:
    """A schema's name and the dot behind it, in any of the spellings that a text may have."""
    forms = {form for name in schemas for form in _spellings(name)}
    each = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf'(?<![\w$".])(?:{each})\.(?=[\w"])')


def _mentions(names: Sequence[str]) -> re.Pattern[str]:
    forms = {form for name in names for form in _spellings(name)}
    each = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?<![\w$])(?:{each})(?![\w$])")


def _spellings(name: str) -> set[str]:
    return {form.replace("'", quote) for form in (name, _quoted(name)) for quote in ("'", "''")}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
