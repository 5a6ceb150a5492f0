"""Runs admitted statements in a session of the database's own login, all of them or none."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from core.errors import AppError, StatementTimeout
from core.postgres.context import EXTENSIONS, UNLOCK, beginning, signed_context
from core.postgres.errors import is_lost, is_rerunnable, sqlstate
from core.postgres.identifiers import literal
from core.postgres.tenant_connection import Outcome, TenantConnection
from core.postgres.tenant_sessions import TenantSessions
from core.postgres.values import Column, JsonValue, row_converter
from core.settings import Settings
from core.sqlguard import Kind, Statement, overriding_user_value
from memory.statements.errors import TooManyRows
from memory.statements.failures import NOT_PERMITTED, explained, located
from memory.statements.place import Place

# A SELECT without LIMIT gives no more.
DEFAULT_ROWS = 100
RERUNS = 3
# Seconds that a statement has, beyond its own limit, to end by itself, and a transaction to be
# undone.
GRACE, UNDO = 1.0, 5.0
# Rows times columns from which values are made in a thread, to let other calls go on.
LARGE = 5_000
GENERATED_ALWAYS = "428C9"
# A policy that is there by now, a table whose row in the catalog was written by another.
OPENED_MEANWHILE = ("42710", "XX000")
CHANGES = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
Work = Callable[[TenantConnection, "Run"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mode:
    """How a call's statements are run.

    Attributes:
        whole_seconds: cut timestamps, as the drop-in mount's clients expect.
        keeps: False: all is undone at the end.
        explain: the options of EXPLAIN; empty: statements are run as they are.
    """

    whole_seconds: bool = False
    read_only: bool = False
    keeps: bool = True
    explain: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one execution of a statement gave.

    Attributes:
        item: the place of its parameters in a batch, from 1; None: there is no batch.
        truncated: there are more rows than the default.
    """

    statement: Statement
    columns: Sequence[Column]
    rows: list[list[Any]]
    affected: int | None
    truncated: bool = False
    item: int | None = None


@dataclass(slots=True)
class Run:
    """A call on its way.

    Attributes:
        place: where it is now.
        statement: the one that runs now; None: none does.
        added: characters that were put before it.
        overrides: values that clients gave for generated columns are passed over.
    """

    place: Place
    mode: Mode
    is_ddl: bool = False
    overrides: bool = False
    statement: Statement | None = None
    added: int = 0
    results: list[Result] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


class Executor:
    """Runs calls in sessions; what fails is undone, and explained."""

    def __init__(self, sessions: TenantSessions, settings: Settings, context_key: bytes) -> None:
        self._sessions = sessions
        self._settings = settings
        self._key = context_key

    async def call(self, place: Place, work: Work, mode: Mode, *, is_ddl: bool = False) -> Run:
        """Run work in one transaction.

        It is run again where it met another transaction, a table that nobody opened to end users
        yet, or a column whose values only PostgreSQL makes.

        Raises:
            AppError: what failed, and where; nothing of the call is kept.
        """
        reruns, overrides, is_admitted = 0, False, place.end_user is None
        while True:
            run = Run(place, mode, is_ddl, overrides)
            try:
                async with self.begun(place, mode) as session:
                    await work(session, run)
                    run.statement = None
                    await self._end(session, mode)
                return run
            except AppError as error:
                raise located(error, run) from error.__cause__
            except FAILURES as error:
                state = sqlstate(error)
                if is_rerunnable(error) and reruns < RERUNS:
                    reruns += 1
                elif state == GENERATED_ALWAYS and place.end_user and not overrides:
                    overrides = True
                elif state == NOT_PERMITTED and not is_admitted:
                    # Though there be nothing to do: another call may have done it meanwhile.
                    await self.admit(place)
                    is_admitted = True
                else:
                    raise explained(error, run) from error

    @asynccontextmanager
    async def begun(self, place: Place, mode: Mode) -> AsyncIterator[TenantConnection]:
        """A session in whose transaction the place's user acts; undone where it is not ended.

        One that broke while it was idle is replaced, and nobody sees it.
        """
        while True:
            async with self._sessions.session(place.login.name) as session:
                try:
                    await self._begin(session, place, mode)
                except FAILURES as error:
                    if session.is_closed() and session.uses > 0 and is_lost(error):
                        continue
                    raise
                finally:
                    session.uses += 1
                try:
                    yield session
                    return
                finally:
                    if session.is_in_transaction():
                        await _undo(session)

    async def statement(
        self,
        session: TenantConnection,
        run: Run,
        statement: Statement,
        parameter_lists: Sequence[Sequence[JsonValue]] | None = None,
    ) -> None:
        """Run one statement, once for each list of parameters."""
        run.statement, run.added = statement, 0
        text, limit = self._prepared(run, statement)
        lists = parameter_lists or ((),)
        outcomes = await session.run_many(text, lists, row_limit=limit, timeout=self._left(run))
        for place, outcome in enumerate(outcomes, 1):
            item = place if len(outcomes) > 1 else None
            run.results.append(await self._result(session, run, statement, outcome, item))

    async def act_in(self, session: TenantConnection, place: Place) -> None:
        """Go on in another environment of the database, as its owner."""
        await session.execute(_acting(place))

    async def admit(self, place: Place) -> None:
        """Open new tables of an environment to its end users.

        Raises:
            AppError: why that can't be done.
        """
        owner = Place(place.database, place.environment, None)
        for left in range(RERUNS, -1, -1):
            try:
                async with self.begun(owner, Mode()) as session:
                    await session.run(_ADMIT, (owner.schema.name,))
                    await self._end(session, Mode())
                return
            except FAILURES as error:
                met_another = is_rerunnable(error) or sqlstate(error) in OPENED_MEANWHILE
                if not left or not met_another:
                    raise explained(error, Run(owner, Mode())) from error

    async def admit_here(self, session: TenantConnection, run: Run) -> None:
        """The same within the transaction of the DDL that made them.

        The owner's code may have changed who acts: it is said again in the same message.
        """
        run.statement = None
        schema = literal(run.place.schema.name)
        await session.execute(f"{_acting(run.place)}; SELECT pgtwin_rt.admit({schema})")

    async def _begin(self, session: TenantConnection, place: Place, mode: Mode) -> None:
        user, context = place.end_user, ""
        if user is not None:
            pid, login = session.get_server_pid(), place.login.name
            context = signed_context(self._key, pid, login, user.app_id, user.uid)
        await session.execute(
            beginning(place.schema, role=place.role, context=context, read_only=mode.read_only)
        )

    async def _end(self, session: TenantConnection, mode: Mode) -> None:
        patience = self._settings.sql_timeout + GRACE
        ending = "COMMIT" if mode.keeps else "ROLLBACK"
        await session.execute(f"{ending}; {UNLOCK}", timeout=patience)

    def _left(self, run: Run) -> float:
        left = self._settings.sql_transaction_timeout - run.seconds
        if left <= 0:
            raise StatementTimeout
        return min(left, self._settings.sql_timeout + GRACE)

    def _prepared(self, run: Run, statement: Statement) -> tuple[str, int]:
        """The text that is sent, and the limit of its rows; 0: none."""
        overrides = run.overrides and statement.kind is Kind.INSERT
        text = overriding_user_value(statement) if overrides else statement.sql
        if run.mode.explain:
            prefix = f"EXPLAIN ({run.mode.explain}) "
            run.added = len(prefix)
            return prefix + text, 0
        if statement.kind is Kind.INSERT and not statement.returning and statement.target:
            # The row as a whole, for the table may have no id; on a line of its own, for the
            # statement may end with a comment.
            target = '"' + statement.target.replace('"', '""') + '"'
            return f"{text}\nRETURNING pg_catalog.to_jsonb({target}.*) -> 'id' AS id", 0
        if statement.kind is Kind.SELECT and not statement.limited:
            return text, DEFAULT_ROWS
        return text, self._settings.sql_row_limit

    async def _result(
        self,
        session: TenantConnection,
        run: Run,
        statement: Statement,
        outcome: Outcome,
        item: int | None,
    ) -> Result:
        is_default = statement.kind is Kind.SELECT and not statement.limited
        if not outcome.complete and not is_default:
            raise TooManyRows(f"The statement gives more than {self._settings.sql_row_limit} rows")
        convert = row_converter(
            outcome.columns, session.types, whole_seconds=run.mode.whole_seconds
        )

        def rows() -> list[list[Any]]:
            return [convert(row) for row in outcome.rows]

        is_large = len(outcome.rows) * len(outcome.columns) > LARGE
        made = await asyncio.to_thread(rows) if is_large else rows()
        columns: Sequence[Column] = outcome.columns
        if statement.kind is Kind.INSERT and not statement.returning and not run.mode.explain:
            made = [row for row in made if row[0] is not None]
            columns = columns if made else ()
        affected = outcome.affected if statement.kind in CHANGES else None
        return Result(statement, columns, made, affected, not outcome.complete, item)


_ADMIT = "SELECT pgtwin_rt.admit($1)"


def _acting(place: Place) -> str:
    return (
        f"RESET SESSION AUTHORIZATION; SET LOCAL ROLE {place.role};"
        f" SET LOCAL search_path = {place.schema}, {EXTENSIONS}"
    )


async def _undo(session: TenantConnection) -> None:
    """Also when the call was cancelled: then its statement is, and ends first."""
    undoing = asyncio.ensure_future(session.execute(f"ROLLBACK; {UNLOCK}", timeout=UNDO))
    try:
        await asyncio.shield(undoing)
    except FAILURES:
        session.terminate()
    except asyncio.CancelledError:
        undoing.cancel()
        session.terminate()
        raise
