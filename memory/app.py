"""The application: wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.api import probes
from memory.api.middleware import RequestMiddleware
from memory.api.v1 import routers
from memory.api_keys.tasks import keep_last_used
from memory.idempotency.tasks import keep_clean
from memory.instances.service import InstanceLeases
from memory.services import Services

# How long running operations may take when the service stops; others take over the rest.
SHUTDOWN_SECONDS = 10.0
DESCRIPTION = (
    "Database-as-a-service in one PostgreSQL. Every database is a twin: a `prod` and a `test` "
    "schema with roles of their own. Every answer is an envelope `{code, message, data?, sid}`; "
    "code 0 is success."
)


def create_app(settings: Settings) -> FastAPI:
    """The service over a prepared and migrated server.

    Args:
        settings: with `dsn` and `master_secret`; `memory.runtime` resolves them for the
            embedded server.
    """
    if settings.dsn is None or settings.master_secret is None:
        raise RuntimeError("the settings name no server; see memory.runtime")
    services = Services(
        settings=settings,
        database=Database(create_engine(settings.dsn, settings), pre_ping=settings.pool_pre_ping),
        master_secret=settings.master_secret.get_secret_value(),
    )
    app = FastAPIOffline(
        title="pgtwin",
        version=version("pgtwin-server"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(RequestMiddleware, body_limit=settings.body_limit)
    # All errors become envelopes at one place, the middleware.
    app.add_exception_handler(RequestValidationError, _pass_on)
    app.add_exception_handler(HTTPException, _pass_on)
    for router in routers():
        app.include_router(router)
    app.include_router(probes.router)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    return app


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")


async def _pass_on(_request: Request, error: Exception) -> Response:
    raise error


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    leases = InstanceLeases(services.database, services.ids)
    await leases.acquire()
    tasks = [
        asyncio.create_task(leases.keep()),
        asyncio.create_task(keep_last_used(services.database, services.key_usage)),
        asyncio.create_task(keep_clean(services.database)),
        asyncio.create_task(services.runner.keep()),
        asyncio.create_task(services.runner.beat_while_running()),
    ]
    try:
        yield
    finally:
        await services.runner.stop(SHUTDOWN_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Exception):
            await leases.release()
        await services.database.close()
