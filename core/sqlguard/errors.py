from typing import TYPE_CHECKING

from core.errors import AppError, NotAuthorized

if TYPE_CHECKING:
    from core.sqlguard.statements import Relation


class SqlUnreadable(AppError):
    """The SQL does not parse."""

    code, status = 25030, 400
    predecessor = "SQLParseError"
    remedy = "Mend the SQL at the position that is given; it is read as PostgreSQL 18 reads it."


class SqlTooLarge(AppError):
    """The SQL is larger than the service takes."""

    code, status = 25031, 422
    predecessor = "-"
    remedy = "Send less at once, and rows as params."


class DdlNotAllowed(AppError):
    """This kind of DDL is not allowed."""

    relations: "tuple[Relation, ...]" = ()

    code, status = 25040, 403
    predecessor = "DDLNotAllowed"
    remedy = "Use the kinds that the message names; rows are read and changed with exec_dml."


class DmlNotAllowed(AppError):
    """This kind of DML is not allowed."""

    relations: "tuple[Relation, ...]" = ()

    code, status = 25050, 403
    predecessor = "DMLNotAllowed"
    remedy = "Use the kinds that the message names; tables are changed with exec_ddl."


class SqlRefused(NotAuthorized):
    """The SQL has a part that is not allowed."""

    remedy = "Leave out the part that the message names."
