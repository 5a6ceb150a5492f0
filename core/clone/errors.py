from core.errors import AppError


class CloneFailed(AppError):
    """The database could not be cloned; nothing of the copy is left."""

    code, status = 25011, 500
    predecessor = "CreatDBError"
    remedy = "Read the message; look the sid up in the service's log."


class ClientProgramMissing(CloneFailed):
    """PostgreSQL's client programs are missing or older than the server."""

    remedy = "Set PGTWIN_PG_BIN_DIR to the folder of pg_dump and pg_restore."


class ClientProgramFailed(CloneFailed):
    """One of PostgreSQL's client programs failed."""


class SourceChanged(CloneFailed):
    """The source was altered while it was cloned; nothing of the copy is left."""

    status, retryable = 503, True
    remedy = "Try again when the source's tables are not being altered."


class CannotBeCloned(CloneFailed):
    """The source holds what can't be cloned."""

    status = 422
    remedy = "Drop or change the object that the message names."


class TooLargeToClone(CloneFailed):
    """The source has more tables than the server has locks for."""

    status = 422
    remedy = "Raise max_locks_per_transaction on the server."
