"""What endpoints ask for, and how it is made for a request: see `memory.api.arguments`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from core.errors import NotAuthenticated
from core.postgres.engine import Session
from memory import caller as callers
from memory.api.after_commit import AfterCommit as AfterCommitWork
from memory.api.gateway import check_door, vouched_caller
from memory.api.kept import KeptAnswer
from memory.api.mounts import is_drop_in
from memory.connections.models import Connection
from memory.connections.service import ConnectionService
from memory.connections.tasks import end_sessions
from memory.databases import tasks as databases
from memory.databases.dropping import Dropped
from memory.databases.service import DatabaseService
from memory.ephemeral.service import EphemeralService
from memory.inspection.service import InspectionService
from memory.operations.runner import OperationRunner
from memory.operations.service import OperationService
from memory.services import Services
from memory.statements.service import StatementService
from memory.transfer.export import ExportService
from memory.transfer.upload import UploadService

_bearer = HTTPBearer(auto_error=False, description="An API key: `pgtwind key create`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def session(request: Request) -> Session:
    """The session of the request's unit of work; nobody but the route commits it."""
    found: Session = request.state.session
    return found


async def authenticate(request: Request) -> callers.Caller:
    """On `/v1` the key's caller; on the drop-in mount the one that the gateway vouches for.

    Raises:
        NotAuthenticated, NotAuthorized, InvalidRequest
    """
    if is_drop_in():
        return await vouched_caller(request, services(request).settings)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated
    parts = services(request)
    if request.state.session is not None:
        # Whoever changes databases is looked up in the transaction that changes them.
        keys, is_write = parts.api_keys(session(request)), request.method == "POST"
        return await keys.authenticate(token, afresh=is_write)
    known = parts.known_caller(token)
    if known is not None:
        return known
    return await parts.database.reading(lambda own: parts.api_keys(own).authenticate(token))


async def admit_early(request: Request) -> None:
    """Refuse whoever may not call at all, before a large body is received.

    Raises:
        NotAuthenticated, NotAuthorized
    """
    request.state.session = None
    if is_drop_in():
        check_door(request, services(request).settings)
    else:
        await authenticate(request)


def authenticated(request: Request, _in_the_document: Credentials = None) -> callers.Caller:
    """The caller, whom the route has authenticated."""
    found: callers.Caller = request.state.caller
    return found


def operation_service(request: Request) -> OperationService:
    return services(request).operations(session(request))


def operation_runner(request: Request) -> OperationRunner:
    return services(request).runner


def after_commit(request: Request) -> AfterCommitWork:
    work: AfterCommitWork = request.state.after_commit
    return work


def statement_service(request: Request) -> StatementService:
    return services(request).statements


def upload_service(request: Request) -> UploadService:
    return services(request).uploads


def export_service(request: Request) -> ExportService:
    return services(request).exports


def inspection_service(request: Request) -> InspectionService:
    return services(request).inspection


def kept_answer(request: Request) -> KeptAnswer:
    """For an endpoint that stores its answer itself, in the transaction of a tenant's session."""
    claim, request.state.claim = request.state.claim, None
    return KeptAnswer(services(request), claim)


def database_service(request: Request) -> DatabaseService:
    return services(request).databases(session(request))


def ephemeral_service(request: Request) -> EphemeralService:
    return services(request).ephemeral(session(request))


def connection_service(request: Request) -> ConnectionService:
    return services(request).connections(session(request))


def sessions_end(request: Request) -> Callable[[Connection], Callable[[], Awaitable[None]]]:
    """For after the commit: what ends the sessions of a connection's role that was closed."""
    database = services(request).database
    return lambda connection: partial(end_sessions, database, connection)


def drops_end(request: Request) -> Callable[[Sequence[Dropped]], None]:
    """For after the commit: what ends the sessions of databases that were dropped, and drops one
    that no single transaction could."""
    parts, later = services(request), after_commit(request)

    def end(dropped: Sequence[Dropped]) -> None:
        kept = [each.database.id for each in dropped if each.restorable_until]
        if kept:
            later(partial(databases.end_sessions, parts.database, kept))
        for each in dropped:
            if each.operation is not None:
                run = partial(parts.runner.run, each.operation)
                later(run, operation_id=each.operation.id)

    return end


Caller = Annotated[callers.Caller, Depends(authenticated)]
Operations = Annotated[OperationService, Depends(operation_service)]
Runner = Annotated[OperationRunner, Depends(operation_runner)]
AfterCommit = Annotated[AfterCommitWork, Depends(after_commit)]
Statements = Annotated[StatementService, Depends(statement_service)]
Exports = Annotated[ExportService, Depends(export_service)]
Inspection = Annotated[InspectionService, Depends(inspection_service)]
Uploads = Annotated[UploadService, Depends(upload_service)]
Kept = Annotated[KeptAnswer, Depends(kept_answer)]
Databases = Annotated[DatabaseService, Depends(database_service)]
Ephemeral = Annotated[EphemeralService, Depends(ephemeral_service)]
Connections = Annotated[ConnectionService, Depends(connection_service)]
EndSessions = Annotated[
    Callable[[Connection], Callable[[], Awaitable[None]]], Depends(sessions_end)
]
EndDrops = Annotated[Callable[[Sequence[Dropped]], None], Depends(drops_end)]
