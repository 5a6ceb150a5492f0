"""What a container's or a balancer's health check asks, without a key."""

from fastapi import APIRouter, Request

from memory.services import Services

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def alive() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
async def ready(request: Request) -> dict[str, str]:
    """Ready when PostgreSQL answers; otherwise 503, as everywhere."""
    services: Services = request.app.state.services
    await services.database.transaction(lambda session: session.execute("SELECT 1"))
    return {"status": "ok"}
