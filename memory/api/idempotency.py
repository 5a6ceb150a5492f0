"""`Idempotency-Key`: the same request twice is done once and answered twice."""

import re
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from core.errors import InvalidRequest
from core.postgres.engine import Session
from core.telemetry import current_sid
from memory.api import deps
from memory.api.arguments import validated
from memory.api.errors import with_errors
from memory.api.forms import form_of
from memory.caller import Caller
from memory.idempotency.errors import IdempotencyKeyReused, RequestInFlight
from memory.idempotency.models import Found
from memory.idempotency.service import Claim, request_digest
from memory.inputs import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_TEXT, Uid

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
JSON = "application/json"
# The envelope's own: it stands before the data.
_SID = re.compile(rb'"sid":\s*"[^"]*"')
Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=255,
        pattern=IDEMPOTENCY_KEY,
        description=f"{IDEMPOTENCY_KEY_TEXT}, and of your choice. The same request with the same "
        "key is done once; its first answer is given again, for a day by default.",
        examples=["5f0c2a7e-order-4711"],
    ),
]
_key: TypeAdapter[Any] = TypeAdapter(Key)
_uid = TypeAdapter(Uid)


class Replay(Exception):
    """Ends a request before its endpoint: the first answer is to be given again."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self._found = found

    def response(self) -> Response:
        # In place, for numbers would not outlive being parsed and written again.
        body = _SID.sub(b'"sid":"%s"' % current_sid().encode(), self._found.body, count=1)
        headers = {REPLAYED_HEADER: "true"}
        return Response(body, self._found.status, headers, media_type=JSON)


def documented_key(_in_the_document: Key = None) -> None:
    """For the OpenAPI document: writes take the header."""


async def claim_key(request: Request, caller: Caller) -> None:
    """Claim the request's key, if it has one, for its authenticated caller.

    Raises:
        Replay, RequestValidationError, InvalidRequest, IdempotencyKeyReused, RequestInFlight
    """
    given = request.headers.get(HEADER)
    if given is None:
        return
    key = validated(_key, given, "header", HEADER)
    if len(request.headers.getlist(HEADER)) > 1:
        raise InvalidRequest.of(HEADER, "given more than once")
    digest = request_digest(f"{request.url.path}?{request.url.query}", await _asked(request))
    claim = Claim(await _identity(request, caller), key, digest)
    answers = deps.services(request).idempotency(deps.session(request))
    found = await answers.claim(claim)
    if found is not None:
        raise Replay(found)
    request.state.claim = claim


async def _asked(request: Request) -> bytes:
    form = form_of(request)
    return await request.body() if form is None else await form.digest()


async def _identity(request: Request, caller: Caller) -> str:
    """Who a key of this request belongs to: an API key, or the user that a gateway vouches for."""
    if caller.key_id is not None:
        return f"key:{caller.key_id}"
    try:
        form = form_of(request)
        fields = await request.json() if form is None else form.fields
        uid = _uid.validate_python(fields["uid"])
    except (ValueError, TypeError, KeyError):
        # The endpoint refuses such a body, if it must; and the digest covers it.
        uid = ""
    return f"app:{caller.app_id}:{uid}"


async def store_answer(request: Request, session: Session, response: Response) -> None:
    """Store the answer of a request that has claimed a key, unless it is that of an error."""
    claim: Claim | None = request.state.claim
    if claim is None or response.media_type != JSON:
        return
    if orjson.loads(response.body).get("code") != 0:
        return
    services = deps.services(request)
    await services.idempotency(session).store(
        claim, response.status_code, bytes(response.body), request.state.after_commit.operation_id
    )


def documented_on(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a write, with what a key adds to them."""
    header = {
        "description": "`true` on an answer that was given before",
        "schema": {"type": "string", "enum": ["true"]},
    }
    success = responses.get(200, {}) | {"headers": {REPLAYED_HEADER: header}}
    return with_errors(responses, IdempotencyKeyReused, RequestInFlight) | {200: success}
