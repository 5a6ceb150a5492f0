"""The one base of every error that a caller may see."""

from typing import Any, ClassVar, Self


class AppError(Exception):
    """The service failed."""

    # The subclass's docstring is its default message. `predecessor` is the name under which
    # clients of the service that pgtwin replaces know the code; `remedy` is what to do.
    code: ClassVar[int] = 25500
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    predecessor: ClassVar[str] = "HttpError"
    remedy: ClassVar[str] = "Look the sid up in the service's log."

    def __init__(
        self,
        message: str | None = None,
        *,
        sqlstate: str | None = None,
        hint: str | None = None,
        details: Any = None,
        position: int | None = None,
    ) -> None:
        """`position`: the place in the caller's SQL, in characters from 1."""
        self.message = message or self.meaning()
        self.sqlstate = sqlstate
        self.position = position
        self.hint = hint or self.remedy
        self.details = details
        super().__init__(self.message)

    @classmethod
    def meaning(cls) -> str:
        """The class's docstring as one line, without the full stop."""
        return " ".join((cls.__doc__ or "").split()).rstrip(".")

    @classmethod
    def kind(cls) -> str:
        """The class's name in snake_case, as the wire's `error.type`."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")


class Unexpected(AppError):
    """Server error."""


class InvalidRequest(AppError):
    """The request is not valid."""

    code, status = 25000, 422
    predecessor = "ParamError"
    remedy = "Correct the field that the message names."

    @classmethod
    def of(cls, field: str, message: str) -> Self:
        """What is wrong with one field."""
        return cls(f"{field}: {message}", details=[{"field": field, "message": message}])


class Unreadable(InvalidRequest):
    """The request body can't be read."""

    status = 400
    remedy = "Send one JSON object in UTF-8."


class UnsupportedMediaType(InvalidRequest):
    """The request body must be application/json."""

    status = 415
    remedy = "Send the header Content-Type: application/json."


class BodyTooLarge(InvalidRequest):
    """The request body is larger than the service takes."""

    status = 413
    remedy = "Send less, or raise PGTWIN_BODY_LIMIT, for uploads PGTWIN_UPLOAD_LIMIT."


class InvalidParameter(InvalidRequest):
    """A parameter does not fit the statement."""

    remedy = "Send the value that the message asks for, or PostgreSQL's text form of it."


class RouteNotFound(AppError):
    """There is no such endpoint."""

    code, status = 25001, 404
    predecessor = "-"
    remedy = "Compare the path with /docs."


class MethodNotAllowed(AppError):
    """The endpoint does not take this method."""

    code, status = 25002, 405
    predecessor = "-"
    remedy = "Compare the method with /docs."


class NotAuthenticated(AppError):
    """A valid API key is required."""

    code, status = 25020, 401
    predecessor = "NoAuthorityError"
    remedy = "Send Authorization: Bearer KEY; make a key with `pgtwind key create`."


class NotAuthorized(AppError):
    """The caller may not do this."""

    code, status = 25020, 403
    predecessor = "NoAuthorityError"
    remedy = "Use a key whose uid, spaces and scopes cover the call."


class OperationFailed(AppError):
    """The database operation failed."""

    code, status = 25010, 500
    predecessor = "DatabaseExecutionError"
    remedy = "Look the sid up in the service's log."


class DatabaseUnavailable(OperationFailed):
    """PostgreSQL can't be reached at the moment."""

    status, retryable = 503, True
    remedy = "Try again in a moment; look whether a write has happened before you repeat it."


class PoolExhausted(OperationFailed):
    """All connections to PostgreSQL are in use."""

    status, retryable = 503, True
    remedy = "Try again; raise PGTWIN_POOL_SIZE or PGTWIN_POOL_MAX_OVERFLOW if it stays."


class SessionsExhausted(OperationFailed):
    """All sessions for SQL in databases are in use."""

    status, retryable = 503, True
    remedy = "Try again; raise PGTWIN_SQL_SESSIONS or PGTWIN_SQL_SESSIONS_PER_LOGIN if it stays."


class ClientGone(OperationFailed):
    """The client closed the connection before the answer; the statement was cancelled."""

    status = 499
    remedy = "Wait longer for the answer."


class TransactionConflict(OperationFailed):
    """The transaction met another one and was rolled back each time it was tried."""

    status, retryable = 503, True
    remedy = "Try again."


class LockTimeout(OperationFailed):
    """Another transaction holds what this one needs."""

    status, retryable = 503, True
    remedy = "Try again when the other transaction has ended."


class ResourcesExhausted(OperationFailed):
    """PostgreSQL has run out of a resource."""

    status, retryable = 503, True
    remedy = "Free disk, memory, locks or connections as the SQLSTATE says, then try again."


class ResultTooLarge(OperationFailed):
    """The result is larger than the service answers."""

    code, status = 25018, 422
    predecessor = "-"
    remedy = "Select fewer rows or columns, or page through them."


class StatementTimeout(OperationFailed):
    """The statement took too long and was cancelled."""

    code, status = 25019, 422
    predecessor = "-"
    remedy = "Make the statement cheaper: look at its plan with EXPLAIN, or do less at once."
