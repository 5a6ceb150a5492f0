from core.errors import AppError, OperationFailed


class RowRefused(AppError):
    """A row of the file can't be stored; nothing of the upload was kept."""

    code, status = 25202, 422
    predecessor = "-"
    remedy = "Mend the line that the details name, or upload with on_error=skip."


class UploadsBusy(OperationFailed):
    """As many files are being uploaded as the service takes at once."""

    status, retryable = 503, True
    remedy = "Try again in a moment."
