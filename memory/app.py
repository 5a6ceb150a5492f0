"""The application: wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from core.metrics import Metrics
from core.postgres.embedded import restarts_in
from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.api import probes
from memory.api.middleware import Limits, RequestMiddleware
from memory.api.v1 import mount
from memory.api_keys.tasks import keep_last_used
from memory.changes import hear_of_changes
from memory.connections.tasks import keep_ending
from memory.idempotency.tasks import keep_clean
from memory.instances.service import InstanceLeases
from memory.monitoring.service import Monitor
from memory.services import Services

# How long running operations may take when the service stops; others take over the rest.
SHUTDOWN_SECONDS = 10.0
DESCRIPTION = (
    "Database-as-a-service in one PostgreSQL. Every database is a twin: a `prod` and a `test` "
    "schema with roles of their own. Every answer is an envelope `{code, message, data?, sid}`; "
    "code 0 is success."
)


# FastAPI's own telemetry follows OTEL_EXPORTER_OTLP_ENDPOINT, and sends paths and queries as
# they are: with ids and uids.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(settings: Settings, embedded_in: Path | None = None) -> FastAPI:
    """The service over a prepared and migrated server.

    Args:
        settings: with `dsn` and `master_secret`; `memory.runtime` resolves them for the
            embedded server.
        embedded_in: the embedded server's data folder; None: the server is another.
    """
    metrics = Metrics()
    services = _services(settings, metrics)
    app = FastAPIOffline(
        title="pgtwin",
        version=version("pgtwin-server"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.services = services
    app.state.monitor = Monitor(
        Database(create_engine(settings.dsn or "", settings, pooled=False)),
        metrics,
        services.ids,
        lambda: restarts_in(embedded_in) if embedded_in else 0,
    )
    app.add_middleware(
        RequestMiddleware, limits=Limits.of(settings), metrics=metrics, tracing=services.tracing
    )
    # All errors become envelopes at one place, the middleware.
    app.add_exception_handler(RequestValidationError, _pass_on)
    app.add_exception_handler(HTTPException, _pass_on)
    mount(app)
    app.include_router(probes.router)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    return app


def _services(settings: Settings, metrics: Metrics) -> Services:
    if settings.dsn is None or settings.master_secret is None:
        raise RuntimeError("the settings name no server; see memory.runtime")
    tracing = None
    if settings.otlp_endpoint:
        from core.tracing import Tracing

        tracing = Tracing(settings.otlp_endpoint)
    services = Services(
        settings=settings,
        database=Database(
            create_engine(settings.dsn, settings, tracing=tracing),
            pre_ping=settings.pool_pre_ping,
            metrics=metrics,
        ),
        master_secret=settings.master_secret.get_secret_value(),
        metrics=metrics,
        tracing=tracing,
    )
    metrics.ids(lambda: services.ids.issued)
    return services


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")


async def _pass_on(_request: Request, error: Exception) -> Response:
    raise error


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    monitor: Monitor = app.state.monitor
    leases = InstanceLeases(services.database, services.ids)
    await leases.acquire()
    tasks = [
        asyncio.create_task(leases.keep()),
        asyncio.create_task(keep_last_used(services.database, services.key_usage)),
        asyncio.create_task(hear_of_changes(services.settings.dsn or "", services.caches)),
        asyncio.create_task(services.sessions.keep()),
        asyncio.create_task(services.journal.keep(services.database)),
        asyncio.create_task(keep_clean(services.database)),
        asyncio.create_task(keep_ending(services.database)),
        asyncio.create_task(services.reaper().keep()),
        asyncio.create_task(services.runner.keep()),
        asyncio.create_task(services.runner.beat_while_running()),
        asyncio.create_task(monitor.keep()),
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
        services.sessions.close_idle()
        services.tenant_server.close()
        await monitor.close()
        await services.database.close()
        if services.tracing is not None:
            await asyncio.to_thread(services.tracing.close)
