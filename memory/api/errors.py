"""Exceptions to envelopes, at one place; and their documentation."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from core.errors import (
    AppError,
    BodyTooLarge,
    ClientGone,
    DatabaseUnavailable,
    InvalidRequest,
    LockTimeout,
    MethodNotAllowed,
    NotAuthenticated,
    NotAuthorized,
    PoolExhausted,
    ResourcesExhausted,
    RouteNotFound,
    TransactionConflict,
    Unexpected,
    Unreadable,
    UnsupportedMediaType,
)
from core.ids import IdsUnavailable
from core.telemetry import current_sid
from memory.api.envelope import Failure
from memory.api.mounts import is_drop_in
from memory.inputs import EXPLAINED

# An answer must not grow with the mistakes in a request, nor with their names.
SHOWN_PROBLEMS = 20
SHOWN_PATH = 100
_BY_STATUS: dict[int, type[AppError]] = {
    400: Unreadable,
    404: RouteNotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
}
# What any endpoint may answer, whatever it does.
COMMON = (
    InvalidRequest,
    Unreadable,
    UnsupportedMediaType,
    BodyTooLarge,
    NotAuthenticated,
    NotAuthorized,
    DatabaseUnavailable,
    PoolExhausted,
    TransactionConflict,
    LockTimeout,
    ResourcesExhausted,
    IdsUnavailable,
    Unexpected,
)


def as_app_error(error: Exception) -> AppError:
    """The service's error for any exception; `Unexpected` for one that nobody foresaw."""
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, ClientDisconnect):
        return ClientGone()
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, Unexpected)()
    return error if isinstance(error, AppError) else Unexpected()


def error_response(error: AppError, *, cause: Exception | None = None) -> Response:
    """The envelope of an error.

    Args:
        cause: the exception that was raised, for the headers that HTTP wants with it.
    """
    headers = dict(getattr(cause, "headers", None) or {})
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = "1"
    body: dict[str, Any] = {"code": error.code, "message": error.message, "sid": current_sid()}
    status = error.status
    if is_drop_in():
        status = status if isinstance(error, RouteNotFound | MethodNotAllowed) else 200
    else:
        body["error"] = _info(error)
    return Response(orjson.dumps(body), status, headers, "application/json")


def _info(error: AppError) -> dict[str, Any]:
    info = {"type": error.kind(), "retryable": error.retryable, "hint": error.hint}
    optional = {
        "sqlstate": error.sqlstate,
        "position": error.position,
        "details": error.details,
    }
    return info | {name: value for name, value in optional.items() if value is not None}


def explain(problem: Any) -> str:
    """What is wrong with a value, without regular expressions."""
    context = problem.get("ctx", {})
    if problem["type"] == "string_pattern_mismatch" and context["pattern"] in EXPLAINED:
        return f"does not match: {EXPLAINED[context['pattern']]}"
    if problem["type"] == "extra_forbidden":
        return "is not a field of this request"
    return str(problem["msg"])


def _invalid(problems: Sequence[Any]) -> AppError:
    if any(problem["type"] == "json_invalid" for problem in problems):
        where = problems[0]["loc"][-1]
        return Unreadable(f"The body is not JSON: {problems[0]['ctx']['error']} at {where}")
    details = [
        {"field": _field(problem), "message": explain(problem)}
        for problem in problems[:SHOWN_PROBLEMS]
    ]
    if len(problems) > SHOWN_PROBLEMS:
        rest = len(problems) - SHOWN_PROBLEMS
        details.append({"field": "", "message": f"{rest} more problems"})
    shown = "; ".join(f"{detail['field']}: {detail['message']}" for detail in details[:5])
    return InvalidRequest(shown, details=details)


def _field(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    return path if len(path) <= SHOWN_PATH else f"{path[:SHOWN_PATH]}..."


def documented(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of an endpoint: its own errors and those that any may answer."""
    return with_errors({}, *errors, *COMMON)


def with_errors(
    responses: dict[int | str, dict[str, Any]], *errors: type[AppError]
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` and more errors, sorted by status."""
    made = dict(responses)
    for kind in errors:
        known = made.get(kind.status)
        text = f"{kind.code} {kind.meaning()}"
        examples = known["content"]["application/json"]["examples"] if known else {}
        made[kind.status] = {
            "model": Failure,
            "description": f"{known['description']}; {text}" if known else text,
            "content": {"application/json": {"examples": examples | {kind.kind(): _example(kind)}}},
        }
    return dict(sorted(made.items(), key=lambda entry: int(entry[0])))


def _example(kind: type[AppError]) -> dict[str, Any]:
    error = kind()
    value = {
        "code": error.code,
        "message": error.message,
        "sid": "0af7651916cd43dd8448eb211c80319c",
        "error": _info(error),
    }
    return {"summary": kind.meaning(), "value": value}
