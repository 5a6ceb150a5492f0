"""Whether an expression of a table gives the same whoever evaluates it, and runs nobody's code."""

from typing import Any

import postgast
from google.protobuf.message import DecodeError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What is in an expression besides these is not looked into, and so not plain.
_MESSAGES = _words("""
    ParseResult RawStmt SelectStmt ResTarget Node List String Integer Float Boolean BitString
    A_Const ColumnRef A_Expr BoolExpr NullTest BooleanTest CaseExpr CaseWhen CoalesceExpr
    MinMaxExpr A_ArrayExpr TypeCast TypeName FuncCall SQLValueFunction CollateClause RowExpr
""")
# Of pg_catalog; none of them reads rows, settings, or who asks.
_FUNCTIONS = _words("""
    abs array_length btrim cardinality ceil ceiling char_length character_length clock_timestamp
    coalesce concat concat_ws cos date_part date_trunc exp extract floor format gen_random_uuid
    greatest initcap is_normalized jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_typeof json_typeof least left length ln log lower lpad ltrim make_date md5 mod now
    num_nonnulls num_nulls octet_length overlay position power random regexp_like regexp_replace
    repeat replace reverse right round rpad rtrim sign similar_to_escape sin split_part sqrt
    starts_with statement_timestamp strpos substr substring tan timezone to_char to_date to_number
    to_timestamp to_tsvector transaction_timestamp translate trim trunc upper uuidv4 uuidv7
""")
_CATALOG = "pg_catalog"
# Casts to these look names up, with the rights of whoever casts.
_LOOKED_UP = "reg"
_MOMENTS = frozenset(
    f"SVFOP_{name}"
    for each in ("CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP")
    for name in (each, f"{each}_N")
) | {"SVFOP_CURRENT_DATE"}


def is_plain(expression: str) -> bool:
    """Whether an expression is made of columns, constants, and what is known of pg_catalog.

    Args:
        expression: as pg_get_expr gives it where the search_path is empty, so that whatever is
            of another schema is qualified with it.
    """
    try:
        tree = postgast.parse(f"SELECT ({expression})")
    except (postgast.PgQueryError, DecodeError):
        return False
    stack: list[Any] = [tree]
    while stack:
        message = stack.pop()
        if not _is_known(message):
            return False
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.is_repeated else [value])
    return True


def _is_known(message: Any) -> bool:
    kind = message.DESCRIPTOR.name
    match kind:
        case "FuncCall":
            is_bare = not message.HasField("over") and not message.agg_order
            return is_bare and _named(message.funcname) in _FUNCTIONS
        case "A_Expr":
            return len(message.name) == 1
        case "TypeName":
            name = _named(message.names)
            return name is not None and not name.startswith(_LOOKED_UP)
        case "CollateClause":
            return _named(message.collname) is not None
        case "SQLValueFunction":
            moment = message.DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[message.op]
            return moment.name in _MOMENTS
        case "SelectStmt":
            return len(message.target_list) == 1 and not message.from_clause
        case _:
            return kind in _MESSAGES


def _named(parts: Any) -> str | None:
    """A name of pg_catalog; None: it is of another schema."""
    names = [part.string.sval for part in parts]
    if len(names) == 2 and names[0] == _CATALOG:
        names = names[1:]
    return names[0] if len(names) == 1 else None
