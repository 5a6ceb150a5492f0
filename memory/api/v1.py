"""Which routers are on which mount."""

from fastapi import FastAPI

from memory.api.mounts import Mount
from memory.connections import endpoints as connections
from memory.databases import endpoints as databases
from memory.ephemeral import endpoints as ephemeral
from memory.inspection import endpoints as inspection
from memory.operations import endpoints as operations
from memory.statements import endpoints as statements
from memory.transfer import exports, uploads


def mount(app: FastAPI) -> None:
    """Routers are asked one after the other which of them has a path: what is called most often
    stands first, and none is in another.
    """
    shared = (statements.actions, databases.actions, exports.exports, uploads.uploads)
    for router in (
        *shared,
        databases.reads,
        databases.grants,
        ephemeral.actions,
        operations.reads,
        inspection.reads,
        connections.actions,
        connections.reads,
    ):
        app.include_router(router, prefix=Mount.V1, tags=["v1"])
    # Not in the OpenAPI document, whose statuses, keys and strictness are those of /v1.
    for router in shared:
        app.include_router(router, prefix=Mount.DROP_IN, include_in_schema=False)
