"""Runs admitted statements in a session of the database's own login, all of them or none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg

from core.errors import AppError, StatementTimeout
from core.postgres.context import (
    LIFT,
    NOBODY,
    UNLOCK,
    acting,
    becoming_lent,
    beginning,
    entering,
    frozen,
    locking,
)
from core.postgres.errors import is_rerunnable, sqlstate
from core.postgres.identifiers import Environment, Identifier, literal
from core.postgres.outcomes import DescriptionChanged, Outcome, RefusedAhead, RefusedBehind, Utility
from core.postgres.statements import SHOWN_CHARACTERS, normalised
from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_sessions import TenantSessions
from core.postgres.type_book import Kind as Type
from core.postgres.type_book import PostgresType
from core.postgres.values import Column, JsonValue, row_converter
from core.settings import Settings
from core.sqlguard import Kind, Statement, overriding_user_value
from memory.statements.errors import TooManyRows
from memory.statements.failures import NOT_PERMITTED, explained, located
from memory.statements.place import Place
from memory.statements.run import Mode, Result, Run, Waiting

# A SELECT without LIMIT gives no more.
DEFAULT_ROWS = 100
RERUNS = 3
# Seconds that a statement has, beyond its own limit, to end by itself, and a transaction to be
# undone.
GRACE, UNDO = 1.0, 5.0
# Rows times columns from which values are made in a thread, to let other calls go on.
LARGE = 5_000
GENERATED_ALWAYS = "428C9"
NOT_A_BOOLEAN = "22P02"
# A policy that is there by now, a table whose row in the catalog was written by another.
OPENED_MEANWHILE = ("42710", "XX000")
CHANGES = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE})
# Those that may have parameters and rows; others have none, unless their text has a `$`.
DESCRIBED = CHANGES | {Kind.SELECT}
# What they leave needs no opening to end users, unless they take a part of another table along.
REMOVALS = frozenset({Kind.DROP_TABLE, Kind.DROP_VIEW, Kind.DROP_SEQUENCE, Kind.COMMENT})
# A connection that is ending may be in a state in which the driver takes nothing.
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
# Refused where the transaction has written anything, by whatever function or view: its number is no
# boolean. A new session has no operator or cast to look up for it.
UNWRITTEN = (
    f"{UNLOCK}, pg_catalog.boolin(pg_catalog.xid8out(pg_catalog.pg_current_xact_id_if_assigned()))"
)
# A row of an INSERT's text gives an id, in a message of about so many bytes for each of its own.
ANSWER_GROWTH = 20
TAKE_LISTS = frozenset({Type.ARRAY, Type.JSON, Type.VECTOR})
Work = Callable[[TenantConnection, Run], Awaitable[None]]


class _HasWrittenError(Exception):
    """A SELECT has written something, and its transaction is undone."""


class Executor:
    """Runs calls in sessions; what fails is undone, and explained."""

    def __init__(self, sessions: TenantSessions, settings: Settings, context_key: bytes) -> None:
        self._sessions = sessions
        self._settings = settings
        self._key = context_key

    async def call(self, place: Place, work: Work, mode: Mode, *, is_ddl: bool = False) -> Run:
        """Run work in one transaction.

        It is run again where it met another transaction, a table that nobody opened to end users
        yet, or a column whose values only PostgreSQL makes; a SELECT that has written; and what was
        remembered of tables that have changed.

        Raises:
            AppError: what failed, and where; nothing of the call is kept, or the message says so.
        """
        reruns, overrides, is_admitted = 0, False, place.end_user is None
        describes = ends_apart = False
        while True:
            run, session = Run(place, mode, is_ddl, overrides, describes, ends_apart), None
            try:
                # DDL goes out along with a beginning that can't be refused without it.
                ahead = not is_ddl
                async with self.begun(place, mode, at_once=False, ahead=ahead) as session:
                    await work(session, run)
                    if not run.is_ended:
                        if run.waiting or run.place.is_lent:
                            await self.send(session, run)
                        run.statement = None
                        if run.place.is_lent:
                            run.unsent.append(NOBODY)
                        await self._end(session, mode, run.unsent)
                return run
            except _HasWrittenError:
                ends_apart = True
            except DescriptionChanged:
                describes = True
            except AppError as error:
                raise located(error, run, session.end if session else None) from error.__cause__
            except FAILURES as error:
                state = sqlstate(error)
                if session is not None and _was_lost_before(session, run):
                    continue
                if is_rerunnable(error) and reruns < RERUNS:
                    reruns += 1
                elif state == GENERATED_ALWAYS and place.end_user and not overrides:
                    overrides = True
                elif state == NOT_PERMITTED and not is_admitted:
                    # Though there be nothing to do: another call may have done it meanwhile.
                    await self.admit(place)
                    is_admitted = True
                elif state == NOT_PERMITTED and _may_be_apart(place, session):
                    place = place.with_owners_apart()
                else:
                    raise explained(error, run) from error

    @asynccontextmanager
    async def begun(
        self, place: Place, mode: Mode, *, at_once: bool = True, ahead: bool = False
    ) -> AsyncIterator[TenantConnection]:
        """A session in whose transaction the place's user acts; undone where it is not ended.

        One that broke while it was idle, or was left in a state in which nothing can begin, is
        replaced, and nobody sees it.

        Args:
            at_once: False: it begins along with the first statement. One that has not begun then
                is closed, and the caller takes another.
            ahead: a new session may begin along with its login.
        """

        def of_new() -> str:
            return self._beginning(None, place, mode) if ahead and not place.is_signed else ""

        while True:
            async with self._sessions.session(place.login.name, of_new) as session:
                session.uses += 1
                session.begin_with(self._beginning(session, place, mode))
                if at_once:
                    try:
                        await session.begin_now()
                    except FAILURES:
                        session.terminate()
                        if session.uses > 1:
                            continue
                        raise
                try:
                    yield session
                    return
                finally:
                    if session.awaits_beginning:
                        session.forget_beginning()
                    elif not (session.has_begun or session.has_only_begun):
                        session.terminate()
                    if not session.is_closed() and session.is_in_transaction():
                        await _undo(session)

    async def statement(
        self,
        session: TenantConnection,
        run: Run,
        statement: Statement,
        params: Sequence[JsonValue] | None = None,
        *,
        after: Sequence[str] = (),
        is_last: bool = False,
    ) -> None:
        """Run one statement, once for each list of parameters that there is.

        One that gives no rows waits for the next, or for `send`, and runs in its round trip.

        Args:
            after: SQL of the service's own to be done after it.
            is_last: it waits for no other, and the transaction ends along with it if it is to be
                kept, and what it gives can't be refused.
        """
        run.added = 0
        text, limit = self._prepared(run, statement)
        is_utility = statement.kind not in DESCRIBED and "$" not in text
        if is_utility:
            utility = Utility(text, run.take_unsent())
            run.waiting.append(Waiting(statement, run.place, utility))
        else:
            await self.send(session, run)
        behind = self._ending(run, statement, after, params or ()) if is_last else ""
        if not is_utility:
            key = None if run.describes else _layout(run, statement, text)
            run.statement = statement
            with _refusals(run):
                outcomes = await session.run_many(
                    text,
                    partial(executions, params or ()),
                    row_limit=limit,
                    timeout=self._left(run),
                    behind=behind,
                    remembered_as=key,
                )
            for place, outcome in enumerate(outcomes, 1):
                item = place if len(outcomes) > 1 else None
                run.results.append(await self._result(session, run, statement, outcome, item))
        elif is_last:
            await self._send_waiting(session, run, behind)
        run.is_ended = bool(behind)
        if not behind:
            run.unsent += after

    def _ending(
        self,
        run: Run,
        statement: Statement,
        after: Sequence[str],
        params: Sequence[JsonValue],
    ) -> str:
        """What ends the transaction along with a statement; empty: what the statement gives may
        be refused, when it has to be undone."""
        if not run.mode.keeps or run.ends_apart or run.place.is_lent:
            return ""
        ending = (*after, "COMMIT", UNLOCK, LIFT)
        if statement.kind is Kind.SELECT:
            only_reads = all(each.statement.only_reads for each in run.results)
            is_short, ending = only_reads and statement.only_reads, (UNWRITTEN, "COMMIT", LIFT)
        elif statement.kind is Kind.INSERT and not statement.returning:
            longest = (len(statement.sql) + _length(params)) * ANSWER_GROWTH
            is_short = statement.lists_rows and longest < self._settings.sql_byte_limit
        else:
            is_short = not statement.returning
        return "; ".join(ending) if is_short else ""

    async def act_in(self, session: TenantConnection, run: Run, environment: Environment) -> None:
        """Go on in another environment of the database, as its owner."""
        if run.place.is_lent:
            # What code of the one environment may read has nothing for the other.
            await self.send(session, run)
        run.place = replace(run.place, environment=environment)
        run.unsent.append(self._acting(session, run.place))

    async def send(self, session: TenantConnection, run: Run) -> None:
        """Send what waits, where what comes next can't take it along."""
        if run.waiting:
            await self._send_waiting(session, run)
        if run.unsent:
            run.statement = None
            await session.execute(run.take_unsent())

    async def _send_waiting(self, session: TenantConnection, run: Run, behind: str = "") -> None:
        """Run the statements that wait, in one round trip."""
        waiting = run.waiting.copy()
        run.waiting.clear()
        session.utilities_done = 0
        utilities = [each.utility for each in waiting]
        with _refusals(run):
            try:
                outcomes = await session.run_utilities(
                    utilities, behind=behind, timeout=self._left(run, len(waiting))
                )
            except BaseException:
                failed = waiting[min(session.utilities_done, len(waiting) - 1)]
                run.statement, run.place = failed.statement, failed.place
                raise
        for each, outcome in zip(waiting, outcomes, strict=True):
            run.results.append(await self._result(session, run, each.statement, outcome, None))

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

    def admission(
        self, session: TenantConnection, run: Run, statements: Sequence[Statement]
    ) -> Sequence[str]:
        """The SQL that does the same within the transaction of the DDL that made them.

        The owner's code may have changed who acts: it is said again.
        """
        if not any(map(_makes, statements)):
            return ()
        schema = literal(run.place.schema.name)
        return self._acting(session, run.place), f"SELECT pgtwin_rt.admit({schema})"

    async def freeze(
        self,
        session: TenantConnection,
        place: Place,
        relations: Sequence[Identifier],
        seconds: float,
    ) -> None:
        """Fix the moment that a transaction in `Mode.snapshot` sees.

        Its tables are locked first: one that ALTER TABLE writes anew between the snapshot and the
        lock would be seen as empty.

        Args:
            seconds: how long its statements may run each.
        """
        if relations:
            await session.execute(locking(relations))
        await session.execute(frozen(self._entry(session, place), seconds))

    def _beginning(self, session: TenantConnection | None, place: Place, mode: Mode) -> str:
        """
        Args:
            session: None: one that is about to log in, for which nothing can be signed.
        """
        return beginning(
            place.schema,
            becoming=self._becoming(session, place),
            entry="" if mode.snapshot else self._entry(session, place),
            read_only=mode.read_only,
            snapshot=mode.snapshot,
            is_new=session is None or session.uses == 1,
        )

    def _becoming(self, session: TenantConnection | None, place: Place) -> str:
        if place.role is None:
            return ""
        if place.is_lent:
            pid, login = _backend(session), place.login.name
            return becoming_lent(self._key, pid, login, place.role, place.environment)
        return f"SET LOCAL ROLE {place.role}"

    def _acting(self, session: TenantConnection, place: Place) -> str:
        return acting(place.schema, self._becoming(session, place))

    def _entry(self, session: TenantConnection | None, place: Place) -> str:
        user = place.end_user
        if user is None:
            return ""
        pid, login = _backend(session), place.login.name
        return entering(self._key, pid, login, user.app_id, user.uid)

    async def _end(self, session: TenantConnection, mode: Mode, unsent: Sequence[str] = ()) -> None:
        patience = self._settings.sql_timeout + GRACE
        ending = "COMMIT" if mode.keeps else "ROLLBACK"
        await session.execute("; ".join((*unsent, ending, UNLOCK, LIFT)), timeout=patience)

    def _left(self, run: Run, statements: int = 1) -> float:
        left = self._settings.sql_transaction_timeout - run.seconds
        if left <= 0:
            raise StatementTimeout
        return min(left, statements * self._settings.sql_timeout + GRACE)

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
            pairs = zip(made, outcome.rows, strict=True)
            made = [row for row, raw in pairs if raw[0] not in (None, "null")]
            columns = [_id_column(outcome)] if made else ()
        affected = outcome.affected if statement.kind in CHANGES else None
        return Result(statement, columns, made, affected, not outcome.complete, item)


@contextmanager
def _refusals(run: Run) -> Iterator[None]:
    """PostgreSQL's errors of what went along with a statement, which are not the statement's."""
    try:
        yield
    except RefusedAhead as refused:
        run.statement = None
        raise refused.__cause__ or refused from None
    except RefusedBehind as refused:
        is_select = run.statement is not None and run.statement.kind is Kind.SELECT
        if is_select and sqlstate(refused.__cause__ or refused) == NOT_A_BOOLEAN:
            raise _HasWrittenError from None
        run.statement = None
        raise refused.__cause__ or refused from None


def _backend(session: TenantConnection | None) -> int:
    """Its number, which signatures are for."""
    if session is None:
        raise ValueError("nothing can be signed for a session that is not there yet")
    return session.backend_pid


def _length(params: Sequence[JsonValue]) -> int:
    """About how many characters the parameters of all executions have."""
    flat = (each for item in params for each in (item if isinstance(item, list) else (item,)))
    return sum(len(each) if isinstance(each, str) else 1 for each in flat)


def _layout(run: Run, statement: Statement, text: str) -> str:
    """What stands for the types of a statement's parameters and for its columns.

    Literals rarely make a difference, and where they do, such a statement may be run twice.
    """
    gives_nothing = statement.kind in CHANGES and not statement.returning
    if (statement.only_reads or gives_nothing) and "$" not in text and len(text) < SHOWN_CHARACTERS:
        return f"{run.place.schema.name} like {normalised(text)}"
    return f"{run.place.schema.name} {text}"


def _id_column(outcome: Outcome) -> Column:
    """Ids come as JSON, for a table's may be of any type."""
    is_number = all((row[0] or "").lstrip("-").isdigit() for row in outcome.rows)
    given = outcome.columns[0]
    return Column(given.name, given.type_oid, "bigint" if is_number else given.type_name)


def executions(
    params: Sequence[JsonValue], types: Sequence[PostgresType]
) -> Sequence[Sequence[JsonValue]]:
    """The parameters of each execution of a statement.

    Lists are each an execution's, unless they are what the statement's own parameters take.
    """
    is_lists = bool(params) and all(isinstance(each, list) for each in params)
    taken = len(params) == len(types) and all(each.kind in TAKE_LISTS for each in types)
    return params if is_lists and not taken else (params,)  # type: ignore[return-value]


def _makes(statement: Statement) -> bool:
    return statement.kind not in REMOVALS or "cascade" in statement.sql.lower()


_ADMIT = "SELECT pgtwin_rt.admit($1)"


def _was_lost_before(session: TenantConnection, run: Run) -> bool:
    """Whether a warm session failed before anything of the call can have been kept."""
    only_reads = run.statement is None or run.statement.only_reads
    may_be_kept = session.may_have_run and not only_reads
    return session.uses > 1 and not session.has_begun and not may_be_kept


def _may_be_apart(place: Place, session: TenantConnection | None) -> bool:
    """Whether a session was refused to become an owner because its database's owners were set
    apart, of which this worker has yet to hear."""
    did_not_begin = session is not None and not session.has_begun
    return did_not_begin and place.end_user is None and not place.database.owners_apart


async def _undo(session: TenantConnection) -> None:
    """Also when the call was cancelled: then its statement is, and ends first."""
    undoing = asyncio.ensure_future(session.execute(f"ROLLBACK; {UNLOCK}; {LIFT}", timeout=UNDO))
    try:
        await asyncio.shield(undoing)
    except FAILURES:
        session.terminate()
    except asyncio.CancelledError:
        undoing.cancel()
        session.terminate()
        raise
