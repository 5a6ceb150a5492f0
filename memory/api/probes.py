"""What health checks and Prometheus ask; outside of /v1, its envelope and its transaction."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from core.errors import NotAuthenticated
from core.postgres.engine import Session
from core.settings import is_loopback
from memory.api.deps import Credentials, services
from memory.caller import Caller, Scope
from memory.monitoring.service import Monitor

router = APIRouter(include_in_schema=False)


async def monitor(request: Request) -> Monitor:
    found: Monitor = request.app.state.monitor
    return found


MonitorDep = Annotated[Monitor, Depends(monitor)]


async def may_read_metrics(request: Request, credentials: Credentials) -> None:
    """Open on a loopback address; else, and with a token set, to the token or an admin's key.

    Raises:
        NotAuthenticated, NotAuthorized
    """
    parts = services(request)
    token = parts.settings.metrics_token
    if token is None and is_loopback(parts.settings.host):
        return
    if credentials is None:
        raise NotAuthenticated
    given = credentials.credentials
    if token and hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        return

    async def authenticate(session: Session) -> Caller:
        return await parts.api_keys(session).authenticate(given)

    (await parts.database.reading(authenticate)).require(Scope.ADMIN)


@router.get("/metrics", dependencies=[Depends(may_read_metrics)])
async def metrics(monitor: MonitorDep) -> Response:
    return Response(await monitor.scrape(), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz")
async def alive() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
async def ready(monitor: MonitorDep) -> JSONResponse:
    """Ready when PostgreSQL answers and ids can be made."""
    if await monitor.ready():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "unavailable"}, 503)
