"""What endpoints ask for, and how it is made for a request."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from core.errors import NotAuthenticated
from core.postgres import engine
from memory import caller as callers
from memory.api.after_commit import AfterCommit as AfterCommitWork
from memory.api.gateway import vouched_caller
from memory.api.mounts import is_drop_in
from memory.databases.service import DatabaseService
from memory.operations.runner import OperationRunner
from memory.operations.service import OperationService
from memory.services import Services

_bearer = HTTPBearer(auto_error=False, description="An API key: `pgtwind key create`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def transaction_session(request: Request) -> engine.Session:
    """The session of the request's transaction; nobody but the route commits it."""
    session: engine.Session = request.state.session
    return session


ServicesDep = Annotated[Services, Depends(services)]
Session = Annotated[engine.Session, Depends(transaction_session)]


async def authenticated(
    request: Request, session: Session, services: ServicesDep, credentials: Credentials
) -> callers.Caller:
    """On `/v1` the key's caller; on the drop-in mount the one that the gateway vouches for."""
    if is_drop_in():
        return await vouched_caller(request, services.settings)
    if credentials is None:
        raise NotAuthenticated
    return await services.api_keys(session).authenticate(credentials.credentials)


def operation_service(session: Session, services: ServicesDep) -> OperationService:
    return services.operations(session)


def operation_runner(request: Request) -> OperationRunner:
    runner: OperationRunner = request.app.state.services.runner
    return runner


def after_commit(request: Request) -> AfterCommitWork:
    work: AfterCommitWork = request.state.after_commit
    return work


def database_service(session: Session, services: ServicesDep) -> DatabaseService:
    return services.databases(session)


Caller = Annotated[callers.Caller, Depends(authenticated)]
Operations = Annotated[OperationService, Depends(operation_service)]
Runner = Annotated[OperationRunner, Depends(operation_runner)]
AfterCommit = Annotated[AfterCommitWork, Depends(after_commit)]
Databases = Annotated[DatabaseService, Depends(database_service)]
