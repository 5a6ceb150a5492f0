from core.errors import AppError, InvalidRequest


class IdempotencyKeyReused(InvalidRequest):
    """The Idempotency-Key was used for another request."""

    code = 25003
    predecessor = "-"
    remedy = "Send a fresh key with each request, and the old one only with the same body."


class RequestInFlight(AppError):
    """A request with this Idempotency-Key is still being worked on."""

    code, status, retryable = 25017, 409, True
    predecessor = "-"
    remedy = "Try again in a moment, with the same key."
