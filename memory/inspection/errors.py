from core.errors import OperationFailed


class SchemaChanging(OperationFailed):
    """The schema was altered each time that it was read."""

    status, retryable = 503, True
    remedy = "Try again when its tables are not being made, altered or dropped."


class ReadersBusy(OperationFailed):
    """As many schemas as may be are being written down as DDL."""

    status, retryable = 503, True
    remedy = "Try again in a moment."
