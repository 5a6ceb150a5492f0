from dataclasses import dataclass
from enum import StrEnum

import postgast

from core.errors import AppError, NotAuthorized


class Kind(StrEnum):
    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    OTHER = "other"


class Ruleset(StrEnum):
    DML = "dml"
    DDL = "ddl"
    OWNER_DDL = "owner_ddl"


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    schema: str | None
    position: int


@dataclass(frozen=True, slots=True)
class Statement:
    kind: Kind
    sql: str
    number: int
    offset: int
    writes: bool
    parameters: int
    relations: tuple[Relation, ...]
    returning: bool
    limited: bool
    target: str | None
    overriding: bool


class SqlUnreadable(AppError):
    """The SQL does not parse."""

    code, status, predecessor = 25030, 400, "SQLParseError"


class SqlTooLarge(AppError):
    """The SQL is larger than the service takes."""

    code, status, predecessor = 25031, 422, "-"


class DdlNotAllowed(AppError):
    """This kind of DDL is not allowed."""

    code, status, predecessor = 25040, 403, "DDLNotAllowed"
    relations = ()


class DmlNotAllowed(AppError):
    """This kind of DML is not allowed."""

    code, status, predecessor = 25050, 403, "DMLNotAllowed"
    relations = ()


class SqlRefused(NotAuthorized):
    """The SQL has a part that is not allowed."""


def admit(sql, ruleset, *, own_schema=None):
    try:
        tree = postgast.parse(sql)
    except postgast.PgQueryError as e:
        raise SqlUnreadable(str(e), position=e.cursorpos) from None
    out = []
    for n, raw in enumerate(tree.stmts, 1):
        name = raw.stmt.WhichOneof("node")
        kind = {
            "select_stmt": Kind.SELECT,
            "insert_stmt": Kind.INSERT,
            "update_stmt": Kind.UPDATE,
            "delete_stmt": Kind.DELETE,
            "merge_stmt": Kind.MERGE,
        }.get(name, Kind.OTHER)
        if ruleset == Ruleset.DML and kind is Kind.OTHER:
            e = DmlNotAllowed(f"{name} is not allowed", details=[{"statement": n}])
            e.relations = ()
            raise e
        node = getattr(raw.stmt, name)
        b = sql.encode()
        text = b[
            raw.stmt_location : raw.stmt_location + raw.stmt_len if raw.stmt_len else None
        ].decode()
        target = None
        returning = False
        if kind is Kind.INSERT:
            r = node.relation
            target = r.alias.aliasname if r.HasField("alias") else r.relname
            returning = node.HasField("returning_clause")
        out.append(
            Statement(
                kind,
                text,
                n,
                len(b[: raw.stmt_location].decode()),
                kind is not Kind.SELECT,
                0,
                (),
                returning,
                kind is Kind.SELECT and node.HasField("limit_count"),
                target,
                False,
            )
        )
    return tuple(out)


def overriding_user_value(statement):
    tree = postgast.parse(statement.sql)
    tree.stmts[0].stmt.insert_stmt.override = 2
    return postgast.deparse(tree)
