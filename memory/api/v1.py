"""Which routers are on which mount."""

from fastapi import APIRouter

from memory.api.mounts import Mount
from memory.databases import endpoints as databases
from memory.operations import endpoints as operations
from memory.statements import endpoints as statements


def routers() -> list[APIRouter]:
    v1 = APIRouter(prefix=Mount.V1, tags=["v1"])
    v1.include_router(databases.actions)
    v1.include_router(databases.grants)
    v1.include_router(databases.reads)
    v1.include_router(statements.actions)
    v1.include_router(operations.reads)
    # Not in the OpenAPI document, whose statuses, keys and strictness are those of /v1.
    drop_in = APIRouter(prefix=Mount.DROP_IN, include_in_schema=False)
    drop_in.include_router(databases.actions)
    drop_in.include_router(statements.actions)
    return [v1, drop_in]
