from fastapi import APIRouter
from starlette.responses import Response

from core.errors import (
    ClientGone,
    InvalidParameter,
    ResultTooLarge,
    SessionsExhausted,
    StatementTimeout,
)
from core.sqlguard import DdlNotAllowed, DmlNotAllowed, SqlRefused, SqlTooLarge, SqlUnreadable
from memory.api.deps import Caller, Kept, Statements
from memory.api.envelope import Done, Envelope, success_body
from memory.api.errors import documented
from memory.api.lines import Lines
from memory.api.mounts import is_drop_in
from memory.api.transactions import StatementRoute
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.statements.answers import data_of, row_shape, stream_head
from memory.statements.errors import (
    ConstraintViolated,
    DdlFailed,
    NotPermitted,
    SchemaMissing,
    StatementFailed,
    TooManyRows,
    UnknownTable,
)
from memory.statements.rehearsal import Rehearsed
from memory.statements.run import Run
from memory.statements.schemas import ExecDdl, ExecDml, Executed, Rehearsal

actions = APIRouter(route_class=StatementRoute)
COMMON = (
    SpaceNotFound,
    DatabaseNotFound,
    SchemaMissing,
    SqlUnreadable,
    SqlTooLarge,
    SqlRefused,
    NotPermitted,
    StatementTimeout,
    SessionsExhausted,
    ClientGone,
)


@actions.post(
    "/exec_ddl",
    response_model=Done | Envelope[Rehearsal],
    responses=documented(*COMMON, DdlNotAllowed, DdlFailed),
)
async def exec_ddl(body: ExecDdl, caller: Caller, statements: Statements, kept: Kept) -> Response:
    """Change the tables of both environments, or of one; all statements are done or none."""

    rehearsed = Rehearsed()

    def render(run: Run) -> bytes:
        return success_body(rehearsed.data(run.seconds) if body.dry_run else None)

    keep = kept.keeping(render) if body.keeps else None
    run = await statements.exec_ddl(caller, body, rehearsed, keep)
    return kept.response(run, render)


@actions.post(
    "/exec_dml",
    response_model=Envelope[Executed],
    responses=documented(
        *COMMON,
        DmlNotAllowed,
        UnknownTable,
        InvalidParameter,
        ConstraintViolated,
        StatementFailed,
        ResultTooLarge,
        TooManyRows,
    ),
)
async def exec_dml(body: ExecDml, caller: Caller, statements: Statements, kept: Kept) -> Response:
    """Read and change rows; all statements of a call are done or none."""
    if body.stream:
        form = row_shape(body.rows)
        return await Lines.begun(statements.stream(caller, body, form, stream_head))
    drop_in = is_drop_in()

    def render(run: Run) -> bytes:
        return success_body(data_of(run, body.rows, is_drop_in=drop_in))

    keep = kept.keeping(render) if body.keeps else None
    run = await statements.exec_dml(caller, body, keep, is_drop_in=drop_in)
    return kept.response(run, render)
