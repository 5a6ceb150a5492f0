"""Reads the catalog in a session of the database's own owner.

What a tenant has made is never resolved: the query is read under a search_path of PostgreSQL's own
names. If it were, it would run with no right but its owner's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from core.catalog.reader import numbered
from core.errors import AppError, LockTimeout, OperationFailed, ResultTooLarge, StatementTimeout
from core.postgres.context import EXTENSIONS
from core.postgres.errors import sqlstate, translate
from core.postgres.outcomes import Outcome
from core.postgres.tenant_connection import TenantConnection
from memory.inspection.errors import SchemaChanging
from memory.statements.errors import SchemaMissing
from memory.statements.executor import FAILURES, Executor
from memory.statements.place import Place
from memory.statements.run import Mode

T = TypeVar("T")
# Below the second after which PostgreSQL looks for deadlocks, so that it is the reader, and not
# the one who alters tables, that gives up; with the tries it is a second in all.
LOCK_MILLISECONDS = 200
TRIES = 5
PAUSE_SECONDS = 0.05
# Rows from which an answer is made in a thread, to let other calls go on.
LARGE = 1_000
# An object that was dropped while it was read; XX000 is PostgreSQL's word for one that its caches
# have lost meanwhile.
MEANWHILE = frozenset({"XX000", "42P01", "42703", "42704", "42883"})
LOCKED = frozenset({"55P03", "40P01"})
CANCELLED = "57014"


@dataclass(frozen=True, slots=True)
class Extras:
    """What a schema's dump lacks.

    Attributes:
        casts: rows of the catalog's query.
        attached: tables that were attached to their parents after they were made.
        reordered: tables whose columns lie in an order that can't be made again.
        hidden: what has PostgreSQL's own name for something.
        major: the server's major version.
    """

    casts: Sequence[Mapping[str, str | None]]
    attached: Sequence[str]
    reordered: Sequence[str]
    hidden: Sequence[str]
    major: int


class CatalogReader:
    def __init__(self, executor: Executor, timeout: float) -> None:
        """`timeout`: seconds that a query may take."""
        self._executor = executor
        self._timeout = timeout

    async def read(
        self, place: Place, name: str, make: Callable[[Sequence[Any]], T], **given: Any
    ) -> T:
        """What is made of the rows of a query about a schema.

        Args:
            make: gets the rows but for the first, which says that the schema is there.

        Raises:
            SchemaMissing, LockTimeout, SchemaChanging, ResultTooLarge, StatementTimeout,
            SessionsExhausted
        """
        query, names = numbered(name)
        known = {
            "schema_name": place.schema.name,
            "search_path": f"{place.schema}, {EXTENSIONS}",
            **given,
        }
        values = [known[each] for each in names]

        async def work(session: TenantConnection) -> T:
            outcome = await self._run(session, query, values)
            if not outcome.rows:
                raise SchemaMissing
            rows = outcome.rows[1:]
            return await asyncio.to_thread(make, rows) if len(rows) > LARGE else make(rows)

        return await self._tried(place, work)

    async def extras(self, place: Place) -> Extras:
        """
        Raises:
            as `read`.
        """

        async def work(session: TenantConnection) -> Extras:
            found = await self._run(session, _OID, [place.schema.name])
            if not found.rows:
                raise SchemaMissing
            oid = found.rows[0][0]
            casts = await self._run(session, numbered("casts")[0], [oid])
            orders = await self._run(session, numbered("inherited_orders")[0], [oid])
            hidden = await self._run(session, numbered("hidden")[0], [oid])
            names = [column.name for column in casts.columns]
            return Extras(
                [dict(zip(names, row, strict=True)) for row in casts.rows],
                [str(table) for table, attachable in orders.rows if attachable == "t"],
                [str(table) for table, attachable in orders.rows if attachable != "t"],
                [str(row[0]) for row in hidden.rows],
                session.get_server_version().major,
            )

        return await self._tried(place, work)

    async def _tried(self, place: Place, work: Callable[[TenantConnection], Awaitable[T]]) -> T:
        """What the work gives, begun anew where an object was dropped meanwhile."""
        met: BaseException | None = None
        for _ in range(TRIES):
            try:
                async with self._executor.begun(place, Mode(read_only=True)) as session:
                    await session.execute(_SETTINGS)
                    return await work(session)
            except ValidationError as error:
                # Of what was dropped between the query's snapshot and now, parts are NULL.
                met = error
            except FAILURES as error:
                if sqlstate(error) not in MEANWHILE | LOCKED:
                    raise _explained(error) from error
                met = error
            await asyncio.sleep(PAUSE_SECONDS)
        if met is not None and sqlstate(met) in LOCKED:
            raise LockTimeout(sqlstate=sqlstate(met)) from met
        raise SchemaChanging from met

    async def _run(self, session: TenantConnection, query: str, values: Sequence[Any]) -> Outcome:
        try:
            return await session.run(query, values, timeout=self._timeout)
        except ResultTooLarge as error:
            raise ResultTooLarge(
                f"What describes the schema is larger than {session.byte_limit} bytes",
                hint="Ask for some of the tables, with `table`.",
            ) from error


_OID = "SELECT oid FROM pg_namespace WHERE nspname = $1"
_SETTINGS = f"SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"


def _explained(error: BaseException) -> AppError:
    if sqlstate(error) == CANCELLED:
        return StatementTimeout(
            "Reading the catalog took too long", hint="Ask for some of the tables, with `table`."
        )
    return translate(error) or OperationFailed()
