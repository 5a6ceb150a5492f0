from core.errors import AppError, OperationFailed


class NameTaken(OperationFailed):
    """A database with this name already exists in the space."""

    status = 409
    remedy = "Choose another name, or drop the other database first."


class CreateFailed(AppError):
    """The database could not be created; nothing was."""

    code, status = 25011, 500
    predecessor = "CreatDBError"
    remedy = "Run `pgtwind doctor`; look the sid up in the service's log."


class DropFailed(AppError):
    """The database could not be dropped; nothing was."""

    code, status = 25012, 500
    predecessor = "DeleteDBError"
    remedy = "Run `pgtwind doctor`; look the sid up in the service's log."


class DatabaseNotFound(AppError):
    """The database does not exist or is not yours."""

    code, status = 25013, 404
    predecessor = "DatabaseNotExistError"
    remedy = "Compare the id and the uid with GET /v1/databases."


class ModifyFailed(AppError):
    """The description could not be changed."""

    code, status = 25014, 500
    predecessor = "ModifyDBDescriptionError"
    remedy = "Look the sid up in the service's log."


class SpaceNotFound(AppError):
    """The space does not exist or does not contain the database."""

    code, status = 25015, 404
    predecessor = "SpaceIDNotExistError"
    remedy = "Compare the space_id with GET /v1/databases."


class Protected(AppError):
    """The database is protected and can't be dropped."""

    code, status = 25004, 409
    predecessor = "-"
    remedy = "If it is to go all the same, take the protection away with set_protection first."


class NotRestorable(AppError):
    """There is no such dropped database, or it can't be restored any more."""

    code, status = 25005, 404
    predecessor = "-"
    remedy = "Compare the id with GET /v1/databases?include_dropped=true."
