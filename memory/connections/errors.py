from core.errors import AppError, OperationFailed


class ConnectionNotFound(AppError):
    """The connection does not exist or is not yours."""

    code, status = 25022, 404
    predecessor = "-"
    remedy = "Compare the id with GET /v1/databases/{database_id}/connections."


class ConnectionEnded(OperationFailed):
    """The connection was revoked or has expired."""

    status = 409
    remedy = "Make another with create_connection."


class ConnectionLimitReached(OperationFailed):
    """All connections that the server has for connection URIs are given out."""

    status = 409
    remedy = (
        "Ask for fewer with connection_limit, revoke a connection, raise max_connections of the "
        "server, or set PGTWIN_CONNECTION_LIMIT_TOTAL."
    )
