from core.errors import AppError


class OperationNotFound(AppError):
    """The operation does not exist or is not yours."""

    code, status = 25016, 404
    predecessor = "-"
    remedy = "Compare the id with the answer that started it."


class Interrupted(AppError):
    """The service was interrupted; what was begun has been removed."""

    code, status, retryable = 25010, 503, True
    predecessor = "DatabaseExecutionError"
    remedy = "Try again."
