"""A schema in few words, for a reader that pays by the word."""

import re
from collections.abc import Iterator

from memory.inspection.schemas import (
    ColumnInfo,
    ConstraintInfo,
    ForeignKey,
    FunctionInfo,
    SchemaContents,
    SequenceInfo,
    TableInfo,
    ViewInfo,
)

# What can't be the name of a table or a column without quotes, in PostgreSQL 18.
_RESERVED = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check
collate collation column concurrently constraint create cross current_catalog current_date
current_role current_schema current_time current_timestamp current_user default deferrable desc
distinct do else end except false fetch for foreign freeze from full grant group having ilike in
initially inner intersect into is isnull join lateral leading left like limit localtime
localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
references returning right select session_user similar some symmetric system_user table
tablesample then to trailing true union unique user using variadic verbose when where window with
"""
RESERVED = frozenset(_RESERVED.split())
# PostgreSQL's long names for the short ones that it takes as well.
_SHORT = (
    (re.compile(r"^character varying\b"), "varchar"),
    (re.compile(r"^character\b"), "char"),
    (re.compile(r"^timestamp(\(\d\))? with time zone"), r"timestamptz\1"),
    (re.compile(r"^timestamp(\(\d\))? without time zone"), r"timestamp\1"),
    (re.compile(r"^time(\(\d\))? with time zone"), r"timetz\1"),
    (re.compile(r"^time(\(\d\))? without time zone"), r"time\1"),
    (re.compile(r"^double precision\b"), "float8"),
    (re.compile(r"^integer\b"), "int"),
    (re.compile(r"^boolean\b"), "bool"),
)
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
# A literal's type, where the column has it too.
_CAST = re.compile(r"^('(?:[^']|'')*')::(.+)$", re.DOTALL)
_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def text_of(contents: SchemaContents) -> str:
    return "\n".join(_lines(contents))


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    if _PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _lines(contents: SchemaContents) -> Iterator[str]:
    for enum in contents.enums:
        labels = ", ".join("'" + label.replace("'", "''") + "'" for label in enum.labels)
        yield f"enum {quoted(enum.name)}: {labels}{_remark(enum.comment)}"
    for domain in contents.domains:
        rules = "" if domain.nullable else " not null"
        rules += f" = {_flat(domain.default)}" if domain.default else ""
        rules += "".join(f" {_flat(_lower(check))}" for check in domain.checks)
        yield f"domain {quoted(domain.name)}: {_short(domain.type)}{rules}{_remark(domain.comment)}"
    for composite in contents.composites:
        fields = ", ".join(f"{quoted(f.name)} {_short(f.type)}" for f in composite.fields)
        yield f"type {quoted(composite.name)}: {fields}{_remark(composite.comment)}"
    for each in contents.ranges:
        yield f"range {quoted(each.name)}: {_short(each.subtype)}{_remark(each.comment)}"
    owned = {tuple(s.owned_by): s.name for s in contents.sequences if s.owned_by}
    partitions = [table for table in contents.tables if table.partition_of]
    for table in contents.tables:
        if not table.partition_of:
            yield from _table(table, owned, partitions)
    known = {table.name for table in contents.tables}
    for table in partitions:
        if table.partition_of not in known:
            yield from _table(table, owned, partitions)
    for view in contents.views:
        yield from _view(view)
    for sequence in contents.sequences:
        if not sequence.owned_by:
            yield _sequence(sequence)
    for function in contents.functions:
        yield _function(function)


def _table(
    table: TableInfo, owned: dict[tuple[str, ...], str], partitions: list[TableInfo]
) -> Iterator[str]:
    facts = [f"{table.kind} {quoted(table.name)}"]
    if table.partition_of:
        facts.append(f"partition of {quoted(table.partition_of)} {table.partition_bounds}")
    if table.inherits:
        facts.append(f"inherits {', '.join(map(quoted, table.inherits))}")
    if table.partition_key:
        facts.append(f"by {_lower(table.partition_key)}")
    facts += ["unlogged"] if table.is_unlogged else []
    facts += ["rows by uid"] if table.rows_by_uid else []
    facts += [f"~{_count(table.rows)} rows"] if table.rows else []
    yield ", ".join(facts) + _remark(table.comment)
    alone = _alone(table)
    for column in table.columns:
        yield "  " + _column(column, alone.get(column.name, ""), (table.name, column.name) in owned)
    yield from _keys(table)
    yield from _rest(table)
    parts = [part for part in partitions if part.partition_of == table.name]
    for part in parts:
        if part.partition_key:
            yield from (f"  {line}" for line in _table(part, owned, partitions))
        else:
            yield f"  partition {quoted(part.name)} {_lower(part.partition_bounds or '')}"


def _alone(table: TableInfo) -> dict[str, str]:
    """What keys of one column say of that column."""
    found: dict[str, str] = {}
    keys: list[tuple[str, ConstraintInfo]] = [("unique", each) for each in table.unique]
    if table.primary_key is not None:
        keys.insert(0, ("pk", table.primary_key))
    for word, key in keys:
        if _is_inline(key):
            found[key.columns[0]] = found.get(key.columns[0], "") + f" {word}"
    for key in table.foreign_keys:
        if _is_inline(key):
            there = f"{quoted(key.references)}({', '.join(map(quoted, key.referenced_columns))})"
            more = _lower(re.sub(r"^.*?\bREFERENCES .*?\)(?= |$)", "", _flat(key.definition)))
            found[key.columns[0]] = found.get(key.columns[0], "") + f" -> {there}{more}"
    return found


def _is_inline(key: ConstraintInfo) -> bool:
    if len(key.columns) != 1 or key.comment:
        return False
    if isinstance(key, ForeignKey):
        return True
    return re.fullmatch(r"(PRIMARY KEY|UNIQUE) \([^()]*\)", key.definition) is not None


def _column(column: ColumnInfo, keys: str, has_sequence: bool) -> str:
    line = f"{quoted(column.name)} {_short(column.type)}{keys}"
    if not column.nullable and " pk" not in keys and not column.identity:
        line += " not null"
    if column.identity:
        line += f" identity {column.identity}"
    elif column.generated is not None:
        line += f" generated = {_flat(column.generated)}"
    elif has_sequence and (column.default or "").startswith("nextval("):
        line += " serial"
    elif column.default is not None:
        line += f" = {_default(column)}"
    return line + _remark(column.comment)


def _default(column: ColumnInfo) -> str:
    cast = _CAST.match(column.default or "")
    if cast is not None and cast[2] in (column.type, column.type.partition("(")[0]):
        return _flat(cast[1])
    return _flat(column.default or "")


def _keys(table: TableInfo) -> Iterator[str]:
    first = [table.primary_key] if table.primary_key is not None else []
    for key in (*first, *table.unique, *table.foreign_keys):
        if not _is_inline(key):
            yield f"  {_lower(_flat(key.definition))}{_remark(key.comment)}"
    for rule in (*table.checks, *table.exclusions):
        yield f"  {_lower(_flat(rule.definition))}{_remark(rule.comment)}"


def _rest(relation: TableInfo | ViewInfo) -> Iterator[str]:
    for index in relation.indexes:
        if index.by_service:
            continue
        what = re.sub(r"^CREATE (?:UNIQUE )?INDEX .*? USING (?:btree )?", "", index.definition)
        unique = "unique " if index.is_unique else ""
        invalid = "" if index.is_valid else " (invalid)"
        yield f"  {unique}index {_lower(_flat(what))}{invalid}{_remark(index.comment)}"
    for trigger in relation.triggers:
        what = re.sub(r"^CREATE (?:CONSTRAINT )?TRIGGER ", "", trigger.definition)
        off = "" if trigger.is_enabled else " (disabled)"
        yield f"  trigger {_flat(what)}{off}{_remark(trigger.comment)}"
    if isinstance(relation, TableInfo):
        for policy in relation.policies:
            using = f" using {_flat(policy.using)}" if policy.using else ""
            check = f" check {_flat(policy.check)}" if policy.check else ""
            kind = "" if policy.is_permissive else "restrictive "
            yield f"  {kind}policy {quoted(policy.name)} {policy.command}{using}{check}"


def _view(view: ViewInfo) -> Iterator[str]:
    rows = f", ~{_count(view.rows)} rows" if view.rows else ""
    yield f"{view.kind} {quoted(view.name)}{rows}{_remark(view.comment)}"
    for column in view.columns:
        yield f"  {quoted(column.name)} {_short(column.type)}{_remark(column.comment)}"
    yield f"  as {_flat(view.definition)}"
    yield from _rest(view)


def _sequence(sequence: SequenceInfo) -> str:
    step = f", by {sequence.increment}" if sequence.increment != 1 else ""
    return (
        f"sequence {quoted(sequence.name)} {_short(sequence.type)}, from {sequence.start}{step}"
        f"{_remark(sequence.comment)}"
    )


def _function(function: FunctionInfo) -> str:
    gives = f" returns {_flat(function.returns)}" if function.returns else ""
    return (
        f"{function.kind} {quoted(function.name)}({_flat(function.arguments)}){gives},"
        f" {function.language}{_remark(function.comment)}"
    )


def _short(name: str) -> str:
    for pattern, short in _SHORT:
        name = pattern.sub(short, name)
    return name


def _lower(definition: str) -> str:
    """A definition with its leading words in small letters, which read as well."""
    found = re.match(r"^[A-Z ]+", definition)
    return found[0].lower() + definition[found.end() :] if found else definition


def _flat(text: str) -> str:
    return " ".join(text.split())


def _remark(comment: str | None) -> str:
    return f"  -- {_flat(comment)}" if comment else ""


def _count(number: int | None) -> str:
    for size, unit in _UNITS:
        if number is not None and number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
