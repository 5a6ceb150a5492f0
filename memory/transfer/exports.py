from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from core.errors import (
    ClientGone,
    InvalidParameter,
    ResultTooLarge,
    SessionsExhausted,
    StatementTimeout,
)
from core.sqlguard import DmlNotAllowed, SqlRefused, SqlTooLarge, SqlUnreadable
from memory.api.deps import Caller, Exports, Kept
from memory.api.errors import documented
from memory.api.lines import Lines
from memory.api.mounts import is_drop_in
from memory.api.transactions import StatementRoute
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.statements.errors import NotPermitted, SchemaMissing, StatementFailed, UnknownTable
from memory.transfer.export_schemas import ExportData, Format

exports = APIRouter(route_class=StatementRoute)
MEDIA_TYPES = {
    Format.CSV: "text/csv",
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_ROWS = {"schema": {"type": "array", "items": {"type": "object"}}}
_CONTENT = dict.fromkeys(MEDIA_TYPES.values(), _FILE) | {MEDIA_TYPES[Format.JSON]: _ROWS}
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@exports.post(
    "/export_data",
    response_class=Response,
    responses=documented(
        SpaceNotFound,
        DatabaseNotFound,
        SchemaMissing,
        UnknownTable,
        SqlUnreadable,
        SqlTooLarge,
        SqlRefused,
        DmlNotAllowed,
        NotPermitted,
        InvalidParameter,
        StatementFailed,
        ResultTooLarge,
        StatementTimeout,
        SessionsExhausted,
        ClientGone,
    )
    | {200: {"description": "The file", "content": _CONTENT}},
)
async def export_data(body: ExportData, caller: Caller, exports: Exports, _kept: Kept) -> Response:
    """A table's rows, or those of a SELECT, as a file; an Idempotency-Key does not keep it."""
    portions = exports.portions(caller, body, is_drop_in=is_drop_in())
    name = f"{body.table_name or 'sql'}_export.{body.format.value}"
    headers = {"Content-Disposition": attachment(name)}
    return await Lines.begun(portions, MEDIA_TYPES[body.format], headers, exports.seconds)


def attachment(name: str) -> str:
    """Content-Disposition of a file, by RFC 6266: a plain name stays one."""
    if _TOKEN.issuperset(name):
        return f"attachment; filename={name}"
    shown = "".join(sign if " " <= sign <= "~" and sign not in '"\\/%' else "_" for sign in name)
    plain = f'attachment; filename="{shown}"'
    return plain if shown == name else f"{plain}; filename*=UTF-8''{quote(name, safe='')}"
