"""What PostgreSQL says of a tenant's statement, as the caller is told it."""

from typing import Any

import asyncpg

from core.errors import (
    AppError,
    DatabaseUnavailable,
    InvalidRequest,
    NotAuthorized,
    OperationFailed,
    StatementTimeout,
)
from core.postgres.answers import AnswersBehind
from core.postgres.errors import one_line, sqlstate, translate
from memory.statements.errors import (
    ConstraintViolated,
    DdlFailed,
    NotPermitted,
    SchemaMissing,
    StatementFailed,
    UnknownTable,
)
from memory.statements.run import Run

UNDEFINED_TABLE, NO_SCHEMA, NOT_PERMITTED = "42P01", "3F000", "42501"
LOCKED_OUT = frozenset({"28000", "28P01"})
CANCELLED = ("57014", "25P04")
# Raised by pgtwin_rt.stamp().
USER_TOO_LONG, ANOTHERS_ROW = "PGT01", "PGT02"
# After which it is worth asking whether the database is still there.
GONE = frozenset(
    {UNDEFINED_TABLE, NO_SCHEMA, NOT_PERMITTED, *LOCKED_OUT, "57P01", "42704", "08006"}
)
_KINDS: dict[str, type[AppError]] = {
    UNDEFINED_TABLE: UnknownTable,
    NO_SCHEMA: SchemaMissing,
    NOT_PERMITTED: NotPermitted,
    USER_TOO_LONG: InvalidRequest,
    ANOTHERS_ROW: NotAuthorized,
    **dict.fromkeys(LOCKED_OUT, DatabaseUnavailable),
    **dict.fromkeys(CANCELLED, StatementTimeout),
}
# Their messages are about the service, not about the statement.
_OURS = (DatabaseUnavailable, StatementTimeout, SchemaMissing)


def explained(error: BaseException, run: Run) -> AppError:
    """The error of a call: what failed, at which statement, where in it and why.

    Messages name what is in the statement or in the schema. What has values of rows, DETAIL and
    CONTEXT, is for those who may see all rows.
    """
    state = sqlstate(error)
    kind = _kind(error, state, run)
    return kind(
        None if issubclass(kind, _OURS) else _message(error, run),
        sqlstate=state,
        hint=getattr(error, "hint", None),
        position=_position(error, run),
        details=_details(error, run),
    )


def located(error: AppError, run: Run, end: AnswersBehind | None = None) -> AppError:
    """An error of the service's own, with the statement that it is about.

    Args:
        end: what came for that which ended the transaction along with the statement.
    """
    if error.details is None:
        error.details = _details(error, run)
    is_change = run.statement is not None and not run.statement.only_reads
    if end is not None and is_change and (end.has_committed or not end.is_complete):
        kept = "is kept" if end.has_committed else "may be kept"
        error.message = f"{error.message}; what it changed {kept}"
    return error


def _kind(error: BaseException, state: str | None, run: Run) -> type[AppError]:
    known = _KINDS.get(state or "")
    if known is UnknownTable and run.is_ddl:
        known = None
    if known is not None:
        return known
    general = type(translate(error) or OperationFailed())
    if general is not OperationFailed:
        return general
    if run.is_ddl:
        return DdlFailed
    return ConstraintViolated if (state or "").startswith("23") else StatementFailed


def _message(error: BaseException, run: Run) -> str | None:
    if not isinstance(error, asyncpg.PostgresError):
        return None
    return one_line(error)


def _position(error: BaseException, run: Run) -> int | None:
    """In the whole text that the caller sent, in characters from 1."""
    given = str(getattr(error, "position", None) or "")
    if run.statement is None or not given.isdecimal():
        return None
    inside = int(given) - run.added
    return run.statement.offset + inside if 0 < inside <= len(run.statement.sql) else None


def _details(error: BaseException, run: Run) -> list[dict[str, Any]] | None:
    if run.statement is None:
        return None
    found: dict[str, Any] = {"statement": run.statement.number}
    if run.place is not None:
        found["env"] = run.place.environment.value
    detail = getattr(error, "detail", None)
    if detail and run.place is not None and run.place.end_user is None:
        found["detail"] = detail
    return [found]
