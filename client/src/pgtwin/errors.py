"""One class for each error of the service, and those of the way to it.

Made by generate.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PgtwinError(Exception):
    """Whatever a call ends with, other than its result.

    Attributes:
        message: what happened.
        retryable: the same call may succeed later.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ServerUnreachable(PgtwinError):
    """There is no answer from the address."""

    retryable = True


class IncompatibleServer(PgtwinError):
    """The server is of a version that this client does not speak with."""


class OperationTimeout(PgtwinError):
    """An operation was not done within the time that was given to wait for it."""


class StreamBroken(PgtwinError):
    """A stream of rows ended before its end."""


class ServiceError(PgtwinError):
    """An error that the service answered, of a kind that this client does not know.

    Attributes:
        status: of HTTP.
        code, type: the service's.
        sqlstate: PostgreSQL's, where it comes from there.
        position: the place in the SQL, in characters from 1.
        hint: what to do about it.
        details: what else there is, by the kind of error.
        request_id: under which the service's log has the request.
    """

    code: ClassVar[int] = 0
    type: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        sqlstate: str | None = None,
        position: int | None = None,
        hint: str | None = None,
        details: Any = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.sqlstate, self.position = status, sqlstate, position
        self.hint, self.details, self.request_id = hint, details, request_id


class BodyTooLarge(ServiceError):
    """The request body is larger than the service takes."""

    code, type = 25000, "body_too_large"


class CannotBeCloned(ServiceError):
    """The source holds what can't be cloned."""

    code, type = 25011, "cannot_be_cloned"


class ClientGone(ServiceError):
    """The client closed the connection before the answer; the statement was cancelled."""

    code, type = 25010, "client_gone"


class ClientProgramFailed(ServiceError):
    """One of PostgreSQL's client programs failed."""

    code, type = 25011, "client_program_failed"


class ClientProgramMissing(ServiceError):
    """PostgreSQL's client programs are missing or older than the server."""

    code, type = 25011, "client_program_missing"


class CloneFailed(ServiceError):
    """The database could not be cloned; nothing of the copy is left."""

    code, type = 25011, "clone_failed"


class ConnectionEnded(ServiceError):
    """The connection was revoked or has expired."""

    code, type = 25010, "connection_ended"


class ConnectionLimitReached(ServiceError):
    """All connections that the server has for connection URIs are given out."""

    code, type = 25010, "connection_limit_reached"


class ConnectionNotFound(ServiceError):
    """The connection does not exist or is not yours."""

    code, type = 25022, "connection_not_found"


class ConstraintViolated(ServiceError):
    """A statement breaks a constraint; nothing of the call was kept."""

    code, type = 25010, "constraint_violated"


class CreateFailed(ServiceError):
    """The database could not be created; nothing was."""

    code, type = 25011, "create_failed"


class DatabaseNotFound(ServiceError):
    """The database does not exist or is not yours."""

    code, type = 25013, "database_not_found"


class DatabaseUnavailable(ServiceError):
    """PostgreSQL can't be reached at the moment."""

    code, type = 25010, "database_unavailable"
    retryable = True


class DdlFailed(ServiceError):
    """A DDL statement failed; nothing of the call was kept."""

    code, type = 25041, "ddl_failed"


class DdlNotAllowed(ServiceError):
    """This kind of DDL is not allowed."""

    code, type = 25040, "ddl_not_allowed"


class DmlNotAllowed(ServiceError):
    """This kind of DML is not allowed."""

    code, type = 25050, "dml_not_allowed"


class DropFailed(ServiceError):
    """The database could not be dropped; nothing was."""

    code, type = 25012, "drop_failed"


class FileEmpty(ServiceError):
    """The file has no rows."""

    code, type = 25300, "file_empty"


class FileTooLarge(ServiceError):
    """What the file holds is larger than the service unpacks."""

    code, type = 25201, "file_too_large"


class FileTypeRefused(ServiceError):
    """The file is of no type that can be uploaded, or of another than it says."""

    code, type = 25100, "file_type_refused"


class FileUnreadable(ServiceError):
    """The file does not parse."""

    code, type = 25200, "file_unreadable"


class IdempotencyKeyReused(ServiceError):
    """The Idempotency-Key was used for another request."""

    code, type = 25003, "idempotency_key_reused"


class IdsUnavailable(ServiceError):
    """This worker holds no valid lease on an id range at the moment."""

    code, type = 25010, "ids_unavailable"
    retryable = True


class Interrupted(ServiceError):
    """The service was interrupted; what was begun has been removed."""

    code, type = 25010, "interrupted"
    retryable = True


class InvalidParameter(ServiceError):
    """A parameter does not fit the statement."""

    code, type = 25000, "invalid_parameter"


class InvalidRequest(ServiceError):
    """The request is not valid."""

    code, type = 25000, "invalid_request"


class LockTimeout(ServiceError):
    """Another transaction holds what this one needs."""

    code, type = 25010, "lock_timeout"
    retryable = True


class MethodNotAllowed(ServiceError):
    """The endpoint does not take this method."""

    code, type = 25002, "method_not_allowed"


class ModifyFailed(ServiceError):
    """The description could not be changed."""

    code, type = 25014, "modify_failed"


class NameTaken(ServiceError):
    """A database with this name already exists in the space."""

    code, type = 25010, "name_taken"


class NotAuthenticated(ServiceError):
    """A valid API key is required."""

    code, type = 25020, "not_authenticated"


class NotAuthorized(ServiceError):
    """The caller may not do this."""

    code, type = 25020, "not_authorized"


class NotPermitted(ServiceError):
    """The statement needs a right that you don't have."""

    code, type = 25020, "not_permitted"


class NotRestorable(ServiceError):
    """There is no such dropped database, or it can't be restored any more."""

    code, type = 25005, "not_restorable"


class OperationFailed(ServiceError):
    """The database operation failed."""

    code, type = 25010, "operation_failed"


class OperationNotFound(ServiceError):
    """The operation does not exist or is not yours."""

    code, type = 25016, "operation_not_found"


class PoolExhausted(ServiceError):
    """All connections to PostgreSQL are in use."""

    code, type = 25010, "pool_exhausted"
    retryable = True


class Protected(ServiceError):
    """The database is protected and can't be dropped."""

    code, type = 25004, "protected"


class ReadersBusy(ServiceError):
    """As many schemas as may be are being written down as DDL."""

    code, type = 25010, "readers_busy"
    retryable = True


class RequestInFlight(ServiceError):
    """A request with this Idempotency-Key is still being worked on."""

    code, type = 25017, "request_in_flight"
    retryable = True


class ResourcesExhausted(ServiceError):
    """PostgreSQL has run out of a resource."""

    code, type = 25010, "resources_exhausted"
    retryable = True


class ResultTooLarge(ServiceError):
    """The result is larger than the service answers."""

    code, type = 25018, "result_too_large"


class RouteNotFound(ServiceError):
    """There is no such endpoint."""

    code, type = 25001, "route_not_found"


class RowRefused(ServiceError):
    """A row of the file can't be stored; nothing of the upload was kept."""

    code, type = 25202, "row_refused"


class SchemaChanging(ServiceError):
    """The schema was altered each time that it was read."""

    code, type = 25010, "schema_changing"
    retryable = True


class SchemaMissing(ServiceError):
    """The schema of the environment does not exist."""

    code, type = 25021, "schema_missing"


class SessionsExhausted(ServiceError):
    """All sessions for SQL in databases are in use."""

    code, type = 25010, "sessions_exhausted"
    retryable = True


class SourceChanged(ServiceError):
    """The source was altered while it was cloned; nothing of the copy is left."""

    code, type = 25011, "source_changed"
    retryable = True


class SpaceNotFound(ServiceError):
    """The space does not exist or does not contain the database."""

    code, type = 25015, "space_not_found"


class SqlRefused(ServiceError):
    """The SQL has a part that is not allowed."""

    code, type = 25020, "sql_refused"


class SqlTooLarge(ServiceError):
    """The SQL is larger than the service takes."""

    code, type = 25031, "sql_too_large"


class SqlUnreadable(ServiceError):
    """The SQL does not parse."""

    code, type = 25030, "sql_unreadable"


class StatementFailed(ServiceError):
    """A statement failed; nothing of the call was kept."""

    code, type = 25010, "statement_failed"


class StatementTimeout(ServiceError):
    """The statement took too long and was cancelled."""

    code, type = 25019, "statement_timeout"


class TooLargeToClone(ServiceError):
    """The source has more tables than the server has locks for."""

    code, type = 25011, "too_large_to_clone"


class TooManyRows(ServiceError):
    """The statement gives more rows than one answer may have."""

    code, type = 25051, "too_many_rows"


class TransactionConflict(ServiceError):
    """The transaction met another one and was rolled back each time it was tried."""

    code, type = 25010, "transaction_conflict"
    retryable = True


class Unexpected(ServiceError):
    """Server error."""

    code, type = 25500, "unexpected"


class UnknownTable(ServiceError):
    """There is no such table in the database."""

    code, type = 25020, "unknown_table"


class Unreadable(ServiceError):
    """The request body can't be read."""

    code, type = 25000, "unreadable"


class UnsupportedMediaType(ServiceError):
    """The request body must be application/json."""

    code, type = 25000, "unsupported_media_type"


class UploadsBusy(ServiceError):
    """As many files are being uploaded as the service takes at once."""

    code, type = 25010, "uploads_busy"
    retryable = True


_BY_TYPE: Mapping[str, type[ServiceError]] = {
    each.type: each for each in ServiceError.__subclasses__()
}


def of(status: int, envelope: Mapping[str, Any]) -> ServiceError:
    """The error that an envelope has.

    Raises:
        KeyError: it is no envelope.
    """
    told: Mapping[str, Any] = envelope.get("error") or {}
    kind = _BY_TYPE.get(told.get("type", ""), ServiceError)
    made = kind(
        envelope["message"],
        status=status,
        sqlstate=told.get("sqlstate"),
        position=told.get("position"),
        hint=told.get("hint"),
        details=told.get("details"),
        request_id=envelope.get("sid", ""),
    )
    if kind is ServiceError:
        made.code, made.type = envelope["code"], told.get("type", "")  # type: ignore[misc]
        made.retryable = bool(told.get("retryable"))  # type: ignore[misc]
    return made
