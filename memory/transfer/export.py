from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from core.errors import AppError, InvalidRequest
from core.postgres.identifiers import Identifier
from core.sqlguard import Kind, Ruleset, SqlRefused, Statement
from memory.caller import Caller, Scope
from memory.statements.directory import Directory
from memory.statements.errors import UnknownTable
from memory.statements.journal import Journal
from memory.statements.judge import Judge
from memory.statements.place import Place
from memory.statements.recovery import Recovery
from memory.transfer.export_rows import Export, ExportedRows
from memory.transfer.export_schemas import ExportData


class ExportService:
    """Gives rows out as files.

    A table is the SELECT of its columns, which is judged, scoped and run as one that a caller
    sends.
    """

    def __init__(
        self,
        directory: Directory,
        rows: ExportedRows,
        judge: Judge,
        journal: Journal,
        recovery: Recovery,
    ) -> None:
        self._directory = directory
        self._rows = rows
        self._judge = judge
        self._journal = journal
        self._recovery = recovery
        self.seconds = rows.seconds

    async def portions(
        self, caller: Caller, body: ExportData, *, is_drop_in: bool
    ) -> AsyncGenerator[bytes, None]:
        """A file, a portion after the other; it is whole when they end without an error.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, SqlUnreadable, SqlTooLarge, SqlRefused,
            DmlNotAllowed, UnknownTable, StatementFailed, ResultTooLarge, StatementTimeout
        """
        who = self._directory.vouched if is_drop_in else self._directory.as_asked
        access = await who(caller, body)
        caller.require(Scope.SQL_DML)
        place = Place(access.database, body.env, access.end_user)
        text = body.sql if body.sql is not None else _of_table(body)
        async with self._journal.entry("export_data", caller, access, text, body.env.value):
            judged = await self._judge(text, Ruleset.DML, place.schema.name)
            export = Export(place, _one_select(judged), body)
            async with aclosing(self._tried_again(export)) as portions:
                async for portion in portions:
                    yield portion

    async def _tried_again(self, export: Export) -> AsyncGenerator[bytes, None]:
        has_begun = False
        try:
            async with aclosing(self._rows.portions(export)) as portions:
                async for portion in portions:
                    has_begun = True
                    yield portion
            return
        except AppError as error:
            await self._recovery.confirm(error, export.place.database.id)
            if has_begun:
                raise
            await self._recovery.renew(error, export.place.database.id)
        async with aclosing(self._rows.portions(export)) as portions:
            async for portion in portions:
                yield portion


def _of_table(body: ExportData) -> str:
    """
    Raises:
        UnknownTable: no table can have such a name.
    """
    try:
        table = Identifier(body.table_name or "")
    except ValueError:
        raise UnknownTable("No table has such a name") from None
    try:
        columns = [str(Identifier(name)) for name in body.columns or ()]
    except ValueError:
        raise InvalidRequest.of("columns", "no column has such a name") from None
    return f"SELECT {', '.join(columns) or '*'} FROM {table}"


def _one_select(judged: Sequence[Statement]) -> Statement:
    """
    Raises:
        InvalidRequest, SqlRefused
    """
    statement = judged[0]
    if len(judged) != 1 or statement.kind is not Kind.SELECT:
        raise InvalidRequest.of("sql", "takes one SELECT")
    if statement.writes:
        raise SqlRefused("What is exported can't write", position=statement.offset + 1)
    return statement
