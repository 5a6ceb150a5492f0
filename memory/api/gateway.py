"""The gateway that vouches for callers of the drop-in mount."""

import hashlib
import hmac
import time
from ipaddress import ip_address

from fastapi import Request

from core.errors import InvalidRequest, NotAuthorized
from core.settings import AuthMode, Settings, is_loopback
from memory.api.forms import form_of
from memory.caller import ANY_SPACE, APP_ID_TEXT, USUAL, Caller, is_app_id

APP_HEADER = "X-Consumer-Username"
SIGNATURE_HEADER = "X-Gateway-Signature"
TOLERANCE_SECONDS = 300


def check_door(request: Request, settings: Settings) -> None:
    """What can be said before the body is there.

    Raises:
        NotAuthorized
    """
    if settings.auth_mode != AuthMode.GATEWAY:
        raise NotAuthorized(
            "This mount is open only with PGTWIN_AUTH_MODE=gateway; use /v1 with an API key"
        )
    _check_peer(request, settings)


async def vouched_caller(request: Request, settings: Settings) -> Caller:
    """A caller that may act for any uid, as the gateway has checked who it is.

    Raises:
        NotAuthorized: no gateway is configured, or the request did not come from it.
        InvalidRequest: the application that it names can't be one.
    """
    check_door(request, settings)
    await _check_signature(request, settings)
    app_id = _app_id(request)
    if app_id and not is_app_id(app_id):
        raise InvalidRequest.of(APP_HEADER, APP_ID_TEXT)
    return Caller(uid=None, scopes=USUAL, app_id=app_id, spaces=frozenset({ANY_SPACE}))


def _app_id(request: Request) -> str:
    """HTTP hands a header over as Latin-1; gateways write names in UTF-8."""
    value = request.headers.get(APP_HEADER, "")
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _check_peer(request: Request, settings: Settings) -> None:
    peer = request.client.host if request.client else ""
    if not settings.gateway_allow:
        if settings.gateway_secret is None and not is_loopback(peer):
            raise NotAuthorized("The request did not come from this machine")
        return
    try:
        address = ip_address(peer)
    except ValueError:
        raise NotAuthorized("The request did not come from the gateway") from None
    if not any(address in network for network in settings.gateway_allow):
        raise NotAuthorized("The request did not come from the gateway")


async def _check_signature(request: Request, settings: Settings) -> None:
    """`t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over what the gateway vouches for.

    The scheme is that of signed webhooks: the time bounds a replay, the digest of the body
    and the application's name bind the signature to this one request.
    """
    if settings.gateway_secret is None:
        return
    parts = dict(
        part.split("=", 1)
        for part in request.headers.get(SIGNATURE_HEADER, "").split(",")
        if "=" in part
    )
    sent_at = parts.get("t", "")
    is_number = sent_at.isascii() and sent_at.isdigit()
    if not is_number or abs(time.time() - int(sent_at[:12])) > TOLERANCE_SECONDS:
        raise NotAuthorized(f"{SIGNATURE_HEADER} is missing or too old")
    expected = _signed(
        settings.gateway_secret.get_secret_value(),
        sent_at,
        request.method,
        request.url.path,
        _app_id(request),
        await _body_digest(request),
    )
    if not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode()):
        raise NotAuthorized(f"{SIGNATURE_HEADER} does not match the request")


def sign(secret: str, sent_at: str, method: str, path: str, app_id: str, body: bytes) -> str:
    """The hexadecimal signature that a gateway sends as `v1`.

    Args:
        sent_at: Unix time in whole seconds, as sent in `t`.
        app_id: the value of X-Consumer-Username, "" without one.
    """
    return _signed(secret, sent_at, method, path, app_id, hashlib.sha256(body).hexdigest())


def _signed(secret: str, sent_at: str, method: str, path: str, app_id: str, digest: str) -> str:
    message = "\n".join((sent_at, method, path, app_id, digest))
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


async def _body_digest(request: Request) -> str:
    form = form_of(request)
    if form is not None:
        return form.body_digest
    return hashlib.sha256(await request.body()).hexdigest()
