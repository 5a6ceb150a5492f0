from core.errors import AppError, NotAuthorized, OperationFailed


class StatementFailed(OperationFailed):
    """A statement failed; nothing of the call was kept."""

    status = 422
    remedy = "Mend the statement; where a position is given, it failed there."


class ConstraintViolated(StatementFailed):
    """A statement breaks a constraint; nothing of the call was kept."""

    status = 409
    remedy = "Compare the values with the constraint that the message names."


class DdlFailed(AppError):
    """A DDL statement failed; nothing of the call was kept."""

    code, status = 25041, 422
    predecessor = "DDLExecutionError"
    remedy = StatementFailed.remedy


class TooManyRows(AppError):
    """The statement gives more rows than one answer may have."""

    code, status = 25051, 422
    predecessor = "DMLExecutionError"
    remedy = "Add a LIMIT, page through the rows, stream them, or raise PGTWIN_SQL_ROW_LIMIT."


class UnknownTable(NotAuthorized):
    """There is no such table in the database."""

    status = 404
    remedy = "Compare the name with the tables that you made; names in quotes keep their case."


class NotPermitted(NotAuthorized):
    """The statement needs a right that you don't have."""

    remedy = "Ask the database's owner."


class SchemaMissing(AppError):
    """The schema of the environment does not exist."""

    code, status = 25021, 404
    predecessor = "NoSchemaError"
    remedy = "Run `pgtwind doctor --repair`."
