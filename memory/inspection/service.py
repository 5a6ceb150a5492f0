from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson

from core.errors import AppError
from core.postgres.engine import Database, Session
from core.postgres.identifiers import Environment
from memory.audit.service import AuditTrail
from memory.caller import Caller
from memory.databases.service import DatabaseService
from memory.inspection.catalog import CatalogReader
from memory.inspection.contents import contents_of
from memory.inspection.ddl import Dumps
from memory.inspection.schemas import (
    Form,
    SchemaContents,
    SchemaDdl,
    SchemaStatistics,
    SchemaText,
    SlowCalls,
    TableStatistics,
    TotalStatistics,
    WhichEnvironment,
    WhichSchema,
)
from memory.inspection.text import text_of
from memory.statements.errors import UnknownTable
from memory.statements.place import Place
from memory.statements.recovery import Recovery

T = TypeVar("T")


class InspectionService:
    """Shows what an environment of a database holds, as its own login sees it.

    Each call checks, in this order: the database, the caller's scope, the schema.
    """

    def __init__(
        self,
        database: Database,
        databases: Callable[[Session], DatabaseService],
        audit: Callable[[Session], AuditTrail],
        catalog: CatalogReader,
        dumps: Dumps,
        recovery: Recovery,
    ) -> None:
        self._database = database
        self._databases = databases
        self._audit = audit
        self._catalog = catalog
        self._dumps = dumps
        self._recovery = recovery

    async def schema(
        self, caller: Caller, database_id: int, which: WhichSchema
    ) -> SchemaContents | SchemaText:
        """
        Raises:
            DatabaseNotFound, NotAuthorized, SchemaMissing, UnknownTable, SchemaChanging,
            LockTimeout, ResultTooLarge, StatementTimeout, SessionsExhausted
        """
        place = await self._place(caller, database_id, which.env)

        def make(rows: Sequence[Any]) -> SchemaContents | SchemaText:
            contents = contents_of(which.env, rows)
            _refuse_unknown(which.table, contents)
            if which.format is Form.TEXT:
                return SchemaText(env=which.env, text=text_of(contents))
            return contents

        tables = which.table or None
        return await self._as_owner(
            caller, place, lambda: self._catalog.read(place, "inspected", make, tables=tables)
        )

    async def ddl(self, caller: Caller, database_id: int, which: WhichEnvironment) -> SchemaDdl:
        """
        Raises:
            DatabaseNotFound, NotAuthorized, SchemaMissing, SchemaChanging, ReadersBusy,
            NotPermitted, ClientProgramMissing, ClientProgramFailed, SessionsExhausted
        """
        place = await self._place(caller, database_id, which.env)
        extras = await self._as_owner(caller, place, lambda: self._catalog.extras(place))
        ddl, still_names = await self._as_owner(
            caller, place, lambda: self._dumps.ddl(place, extras)
        )
        return SchemaDdl(
            env=which.env,
            ddl=ddl,
            still_names=still_names,
            hidden=list(extras.hidden),
            reordered=list(extras.reordered),
        )

    async def stats(
        self, caller: Caller, database_id: int, which: WhichEnvironment
    ) -> SchemaStatistics:
        """
        Raises:
            DatabaseNotFound, NotAuthorized, SchemaMissing, SchemaChanging, LockTimeout,
            ResultTooLarge, StatementTimeout, SessionsExhausted
        """
        place = await self._place(caller, database_id, which.env)
        tables = await self._as_owner(
            caller, place, lambda: self._catalog.read(place, "table_statistics", _tables)
        )
        slowest = await self._database.reading(
            lambda session: self._audit(session).slowest(database_id, which.env.value)
        )
        return SchemaStatistics(
            env=which.env,
            total=_total(tables),
            tables=tables,
            slowest=[SlowCalls.model_validate(dict(row)) for row in slowest],
        )

    async def _place(self, caller: Caller, database_id: int, env: Environment) -> Place:
        entry = await self._database.reading(
            lambda session: self._databases(session).entry_for(caller, database_id)
        )
        return Place(entry, env, None)

    async def _as_owner(self, caller: Caller, place: Place, work: Callable[[], Awaitable[T]]) -> T:
        """What the work gives, which logs in as one of the database's own logins.

        Raises:
            DatabaseNotFound: it failed, for the database was dropped meanwhile.
        """
        try:
            return await work()
        except AppError as error:
            await self._place(caller, place.database.id, place.environment)
            await self._recovery.renew(error, place.database.id)
        return await work()


def _refuse_unknown(names: Sequence[str], contents: SchemaContents) -> None:
    known = {each.name for each in (*contents.tables, *contents.views)}
    unknown = [name for name in names if name not in known]
    if unknown:
        details: list[dict[str, Any]] = [{"field": "table", "message": unknown[0]}]
        raise UnknownTable(f'relation "{unknown[0]}" does not exist', details=details)


def _tables(rows: Sequence[Any]) -> list[TableStatistics]:
    return [TableStatistics.model_validate(orjson.loads(info)) for _, info in rows]


def _total(tables: Sequence[TableStatistics]) -> TotalStatistics:
    sums = {
        name: sum(getattr(table, name) for table in tables)
        for name in ("live_rows", "dead_rows", "table_bytes", "index_bytes", "toast_bytes")
    }
    size = sums["table_bytes"] + sums["index_bytes"] + sums["toast_bytes"]
    return TotalStatistics(tables=len(tables), size_bytes=size, **sums)
