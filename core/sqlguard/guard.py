"""Reads SQL of callers as PostgreSQL does, and admits or refuses it.

The guard makes errors kind and abuse dear: it says early and exactly what is not allowed. That
nobody reaches what is not his is up to roles, grants and row security.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import postgast
from google._upb import _message
from google.protobuf.message import DecodeError

from core.errors import AppError
from core.sqlguard.errors import (
    DdlNotAllowed,
    DmlNotAllowed,
    SqlTooLarge,
    SqlUnreadable,
)
from core.sqlguard.kinds import DML, check, kind_of
from core.sqlguard.limits import MAX_STATEMENTS, check_size
from core.sqlguard.statements import Kind, Relation, Ruleset, Statement
from core.sqlguard.tree import DEFINITIONS, EXPRESSIONS, Walk

# Protobuf reads 100 levels of messages, of which an operator is two; `check_size` bounds them.
_message.SetAllowOversizeProtos(True)
_ALLOWED = {
    Ruleset.DML: "SELECT, INSERT, UPDATE, DELETE and MERGE",
    Ruleset.DDL: "CREATE, ALTER and DROP TABLE, RENAME and COMMENT",
    Ruleset.OWNER_DDL: "CREATE, ALTER and DROP of tables, indexes, views, types, domains, "
    "sequences, functions and triggers, RENAME and COMMENT",
}


def admit(
    sql: str, ruleset: Ruleset, *, own_schema: str | None = None, is_checked: bool = False
) -> tuple[Statement, ...]:
    """The statements of a text, each of which may be run.

    Args:
        own_schema: the only schema that names may be qualified with; None: none may.
        is_checked: its size was.

    Raises:
        SqlUnreadable: it does not parse, or is empty.
        SqlTooLarge: it is too much for the parser.
        DdlNotAllowed, DmlNotAllowed: a statement is of a kind that the rules do not have.
        SqlRefused: a part of a statement may not be.
    """
    if not is_checked:
        check_size(sql, ruleset)
    tree = _parsed(sql)
    if not tree.stmts:
        raise SqlUnreadable("There is no statement in the SQL")
    if len(tree.stmts) > MAX_STATEMENTS:
        raise SqlTooLarge(f"The SQL has more than {MAX_STATEMENTS} statements")
    place = _positions(sql)
    data = sql.encode()
    return tuple(
        _admitted(raw, number, data, place, ruleset, own_schema)
        for number, raw in enumerate(tree.stmts, 1)
    )


def overriding_user_value(statement: Statement) -> str:
    """An INSERT whose values for columns that are GENERATED ALWAYS are passed over."""
    tree = postgast.parse(statement.sql)
    tree.stmts[0].stmt.insert_stmt.override = postgast.pg_query_pb2.OVERRIDING_USER_VALUE
    return str(postgast.deparse(tree))


def _parsed(sql: str) -> Any:
    if "\0" in sql:
        raise SqlUnreadable("The SQL has a NUL character", position=sql.index("\0") + 1)
    try:
        return postgast.parse(sql)
    except postgast.PgQueryError as error:
        if "memory exhausted" in str(error):
            raise SqlTooLarge("The SQL nests too deep") from None
        raise SqlUnreadable(str(error), position=error.cursorpos or None) from None
    except DecodeError:
        raise SqlTooLarge("The SQL nests too deep") from None


def _positions(sql: str) -> Callable[[int], int]:
    """From bytes, as the tree has them, to characters from 1."""
    if sql.isascii():
        return lambda location: location + 1
    starts: list[int] = []
    length = 0
    for character in sql:
        starts.append(length)
        length += len(character.encode())
    return lambda location: bisect_right(starts, location)


def _admitted(
    raw: Any,
    number: int,
    data: bytes,
    place: Callable[[int], int],
    ruleset: Ruleset,
    own_schema: str | None,
) -> Statement:
    begin, length = raw.stmt_location, raw.stmt_len or len(data) - raw.stmt_location
    text = data[begin : begin + length]
    lead = len(text) - len(text.lstrip())
    text, begin = text[lead:], begin + lead
    which = raw.stmt.WhichOneof("node")
    node = getattr(raw.stmt, which)
    is_dml = ruleset is Ruleset.DML
    nodes, is_owner = EXPRESSIONS if is_dml else DEFINITIONS, ruleset is Ruleset.OWNER_DDL
    walk = Walk(own_schema, place, place(begin), number, nodes, is_owner=is_owner)
    kind = DML.get(which) if is_dml else kind_of(raw.stmt, is_owner=is_owner)
    if kind is None:
        raise _not_allowed(raw.stmt, ruleset, number, place, place(begin))
    check(walk, raw.stmt)
    walk.through(raw.stmt)
    if kind is Kind.CREATE_FUNCTION:
        _check_body(node, walk, own_schema)
    return Statement(
        kind=kind,
        sql=text.decode(),
        number=number,
        offset=place(begin) - 1,
        writes=walk.writes,
        relations=walk.relations,
        returning=is_dml and kind is not Kind.SELECT and node.HasField("returning_clause"),
        limited=kind is Kind.SELECT and node.HasField("limit_count"),
        only_reads=kind is Kind.SELECT and not (walk.writes or walk.may_write or walk.locks),
        lists_rows=kind is Kind.INSERT and _lists_rows(node),
        target=_target(node) if kind is Kind.INSERT else None,
        weighs_constants=not is_dml or walk.weighs_constants,
    )


def _lists_rows(node: Any) -> bool:
    return not node.HasField("select_stmt") or len(node.select_stmt.select_stmt.values_lists) > 0


def _target(node: Any) -> str:
    relation = node.relation
    return str(relation.alias.aliasname if relation.HasField("alias") else relation.relname)


def _check_body(node: Any, walk: Walk, own_schema: str | None) -> None:
    """Statements of a function in SQL are judged as those of a call; what plpgsql does is not
    looked at: it is up to the rights of whoever calls it."""
    options = {each.def_elem.defname: each.def_elem.arg for each in node.options}
    language = options.get("language")
    # One with neither a language nor a body of statements is refused by PostgreSQL.
    if "as" not in options or language is None or language.string.sval.lower() != "sql":
        return
    body = options["as"].list.items[0].string.sval
    try:
        admit(body, Ruleset.DML, own_schema=own_schema)
    except AppError as error:
        # A place in the body is none in the text.
        location = next(e.def_elem.location for e in node.options if e.def_elem.defname == "as")
        raise walk.refuse(f"The function's body: {error.message}", location) from error


def _not_allowed(
    statement: Any, ruleset: Ruleset, number: int, place: Callable[[int], int], start: int
) -> DdlNotAllowed | DmlNotAllowed:
    which = statement.WhichOneof("node")
    found = _name(which, getattr(statement, which))
    kind = DmlNotAllowed if ruleset is Ruleset.DML else DdlNotAllowed
    error: DdlNotAllowed | DmlNotAllowed = kind(
        f"{found} is not allowed here; allowed are {_ALLOWED[ruleset]}",
        position=start,
        details=[{"statement": number}],
    )
    error.relations = tuple(_relations(statement, place))
    return error


def _relations(statement: Any, place: Callable[[int], int]) -> Iterator[Relation]:
    """Those that a statement names which is not admitted."""
    if statement.WhichOneof("node") in ("create_stmt", "create_table_as_stmt", "view_stmt"):
        return
    stack, count = [statement], 0
    while stack and count < 1_000:
        message = stack.pop()
        count += 1
        if message.DESCRIPTOR.name == "RangeVar":
            yield Relation(message.relname, message.schemaname or None, place(message.location))
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
    drop = statement.drop_stmt if statement.WhichOneof("node") == "drop_stmt" else None
    for each in drop.objects if drop is not None else ():
        words = [item.string.sval for item in each.list.items]
        if drop is not None and drop.remove_type == postgast.pg_query_pb2.OBJECT_TABLE and words:
            yield Relation(words[-1], words[0] if len(words) > 1 else None, 1)


def _name(which: str, node: Any) -> str:
    """What a statement is called, from the name of its node."""
    verbs = {
        "drop_stmt": "DROP",
        "variable_set_stmt": "SET",
        "variable_show_stmt": "SHOW",
        "transaction_stmt": "Transaction control",
        "create_stmt": "CREATE TABLE",
        "alter_table_stmt": "ALTER TABLE",
        "index_stmt": "CREATE INDEX",
        "view_stmt": "CREATE VIEW",
        "rename_stmt": "RENAME",
        "def_elem": "The option",
    }
    objects = getattr(node, "remove_type", None) or getattr(node, "objtype", None)
    kind = verbs.get(which) or which.removesuffix("_stmt").replace("_", " ").upper()
    if which in ("drop_stmt", "alter_table_stmt", "comment_stmt") and objects:
        thing = postgast.pg_query_pb2.ObjectType.Name(objects).removeprefix("OBJECT_")
        verb = "ALTER" if which == "alter_table_stmt" else kind
        return f"{verb} {thing}"
    return kind
