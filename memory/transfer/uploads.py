from typing import Annotated

from fastapi import APIRouter, Form
from starlette.responses import Response

from core.errors import ClientGone, SessionsExhausted, StatementTimeout
from core.transfer.readers_errors import FileEmpty, FileTooLarge, FileTypeRefused, FileUnreadable
from memory.api.deps import Caller, Kept, Uploads
from memory.api.envelope import Envelope, success_body
from memory.api.errors import documented
from memory.api.mounts import is_drop_in
from memory.api.transactions import UploadRoute
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.statements.errors import (
    ConstraintViolated,
    NotPermitted,
    SchemaMissing,
    StatementFailed,
    UnknownTable,
)
from memory.statements.run import Run
from memory.transfer.upload import tally_for
from memory.transfer.upload_errors import RowRefused, UploadsBusy
from memory.transfer.upload_schemas import UploadData, Uploaded

uploads = APIRouter(route_class=UploadRoute)
UploadForm = Annotated[UploadData, Form(media_type="multipart/form-data")]


@uploads.post(
    "/upload_data",
    response_model=Envelope[Uploaded],
    responses=documented(
        FileTypeRefused,
        FileUnreadable,
        FileTooLarge,
        FileEmpty,
        RowRefused,
        SpaceNotFound,
        DatabaseNotFound,
        SchemaMissing,
        UnknownTable,
        NotPermitted,
        ConstraintViolated,
        StatementFailed,
        StatementTimeout,
        SessionsExhausted,
        UploadsBusy,
        ClientGone,
    ),
)
async def upload_data(form: UploadForm, caller: Caller, uploads: Uploads, kept: Kept) -> Response:
    """Take a file's rows into a table."""
    drop_in = is_drop_in()
    tally = tally_for(is_drop_in=drop_in)

    def render(run: Run) -> bytes:
        return success_body(tally.data(run.seconds, is_drop_in=drop_in))

    keep = kept.keeping(render)
    run = await uploads.upload(caller, form, tally, keep, is_drop_in=drop_in)
    return kept.response(run, render)
