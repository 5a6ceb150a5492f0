from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from core.catalog.reader import numbered
from core.errors import AppError, DatabaseUnavailable, InvalidRequest
from core.postgres.identifiers import Environment
from core.postgres.tenant_connection import TenantConnection
from core.sqlguard import DmlNotAllowed, Ruleset, SqlRefused, Statement
from memory.caller import Caller, Scope
from memory.statements.directory import Access, Directory
from memory.statements.errors import UnknownTable
from memory.statements.executor import Executor, Mode, Run
from memory.statements.failures import GONE
from memory.statements.journal import Journal
from memory.statements.judge import Judge
from memory.statements.place import Place
from memory.statements.schemas import (
    Audience,
    ExecDdl,
    ExecDml,
    Explain,
    LockDetail,
    Rehearsal,
    SchemaChange,
)

EXPLAIN_OPTIONS: Mapping[Explain | bool | None, str] = {
    Explain.PLAN: "FORMAT JSON",
    Explain.ANALYZE: "ANALYZE, BUFFERS, FORMAT JSON",
}


class Rehearsed:
    """What DDL would change, and has locked meanwhile."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Also where a transaction is run again."""
        self.changes: list[SchemaChange] = []
        self.locks: list[LockDetail] = []

    def data(self, seconds: float) -> dict[str, Any]:
        answer = Rehearsal(changes=self.changes, locks=self.locks, exec_time=seconds)
        return answer.model_dump(mode="json")


Definitions = Mapping[tuple[str, str], str]
# Done last in the transaction of a call, with what it gave: the answer is kept there.
Keep = Callable[[TenantConnection, Place, Run], Awaitable[None]]


class StatementService:
    """Runs SQL in databases.

    Each call checks, in this order: the caller, the database, the scope, the statements; then
    PostgreSQL decides, for the session is the database's own.
    """

    def __init__(
        self, directory: Directory, executor: Executor, judge: Judge, journal: Journal
    ) -> None:
        self._directory = directory
        self._executor = executor
        self._judge = judge
        self._journal = journal

    async def exec_ddl(
        self, caller: Caller, body: ExecDdl, keep: Keep | None
    ) -> tuple[Run, Rehearsed]:
        """Change tables of both environments, or of one of them: all statements or none.

        Returns:
            With `dry_run`, what it would change and lock.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, SqlUnreadable, SqlTooLarge, SqlRefused,
            DdlNotAllowed, DdlFailed
        """
        access = await self._directory.as_owner(caller, body)
        caller.require(Scope.SQL_DDL)
        async with self._journal.entry("exec_ddl", caller, access, body.ddl, body.env.value):
            ruleset = Ruleset.OWNER_DDL if body.as_ is Audience.OWNER else Ruleset.DDL
            places = [Place(access.database, each, None) for each in body.environments]
            own = places[0].schema.name if len(places) == 1 else None
            statements = await self._judge(body.ddl, ruleset, own)
            rehearsed = Rehearsed()

            async def work(session: TenantConnection, run: Run) -> None:
                rehearsed.begin()
                for place in places:
                    if run.place is not place:
                        run.place = place
                        await self._executor.act_in(session, place)
                    before = await _definitions(session, place) if body.dry_run else {}
                    for statement in statements:
                        await self._executor.statement(session, run, statement)
                    if body.dry_run:
                        after = await _definitions(session, place)
                        rehearsed.changes += _changes(place.environment, before, after)
                        rehearsed.locks += await _locks(session, place)
                    await self._executor.admit_here(session, run)
                if keep is not None:
                    await keep(session, places[0], run)

            mode = Mode(keeps=not body.dry_run)
            run = await self._run(places[0], work, mode, is_ddl=True)
            return run, rehearsed

    async def exec_dml(
        self, caller: Caller, body: ExecDml, keep: Keep | None, *, is_drop_in: bool
    ) -> Run:
        """Run statements in order in one transaction.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, SqlUnreadable, SqlTooLarge, SqlRefused,
            DmlNotAllowed, UnknownTable, StatementFailed, InvalidParameter, ResultTooLarge,
            TooManyRows
        """
        place, access = await self._place(caller, body, is_drop_in=is_drop_in)
        async with self._journal.entry("exec_dml", caller, access, body.dml, body.env.value):
            statements = await self._admitted(body, place)
            lists = body.parameter_lists

            async def work(session: TenantConnection, run: Run) -> None:
                for statement in statements:
                    await self._executor.statement(session, run, statement, lists)
                if keep is not None:
                    run.statement = None
                    await keep(session, place, run)

            mode = Mode(
                whole_seconds=is_drop_in,
                read_only=body.read_only,
                keeps=not body.dry_run and body.explain is None,
                explain=EXPLAIN_OPTIONS.get(body.explain, ""),
            )
            return await self._run(place, work, mode)

    async def _place(
        self, caller: Caller, body: ExecDml, *, is_drop_in: bool
    ) -> tuple[Place, Access]:
        body.require_together()
        who = self._directory.vouched if is_drop_in else self._directory.as_asked
        access = await who(caller, body)
        caller.require(Scope.SQL_DML)
        return Place(access.database, body.env, access.end_user), access

    async def _admitted(self, body: ExecDml, place: Place) -> Sequence[Statement]:
        try:
            statements = await self._judge(body.dml, Ruleset.DML, place.schema.name)
        except DmlNotAllowed as error:
            # Clients are told of an unknown table before they are told of the statement's kind.
            if place.end_user is not None:
                refusal = error
                await self._run(place, lambda session, _: _refuse_unknown(session, refusal), Mode())
            raise
        if body.params is not None and len(statements) > 1:
            message = "can be given for one statement only"
            raise InvalidRequest(
                f"params: {message}", details=[{"field": "params", "message": message}]
            )
        if body.read_only and any(statement.writes for statement in statements):
            first = next(each for each in statements if each.writes)
            raise SqlRefused(
                f"{first.kind.name} is refused in a read_only call",
                position=first.offset + 1,
                details=[{"statement": first.number}],
            )
        return statements

    async def _run(
        self,
        place: Place,
        work: Callable[[TenantConnection, Run], Awaitable[None]],
        mode: Mode,
        *,
        is_ddl: bool = False,
    ) -> Run:
        try:
            return await self._executor.call(place, work, mode, is_ddl=is_ddl)
        except AppError as error:
            if error.sqlstate in GONE or isinstance(error, DatabaseUnavailable):
                await self._directory.confirm(place.database.id)
            raise


async def _refuse_unknown(session: TenantConnection, error: DmlNotAllowed) -> None:
    for relation in error.relations:
        name = f'"{relation.name.replace(chr(34), chr(34) * 2)}"'
        found = await session.run("SELECT pg_catalog.to_regclass($1)", (name,))
        if found.rows[0][0] is None:
            raise UnknownTable(
                f'relation "{relation.name}" does not exist',
                position=relation.position,
                details=error.details,
            )


async def _definitions(session: TenantConnection, place: Place) -> Definitions:
    query, _ = numbered("definitions")
    found = await session.run(query, (place.schema.name,))
    return {(row[0] or "", row[1] or ""): row[2] or "" for row in found.rows}


def _changes(
    environment: Environment, before: Definitions, after: Definitions
) -> list[SchemaChange]:
    changes = []
    for kind, name in sorted(before.keys() | after.keys()):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old != new:
            change = "added" if old is None else "removed" if new is None else "changed"
            changes.append(
                SchemaChange(
                    env=environment, change=change, kind=kind, name=name, before=old, after=new
                )
            )
    return changes


async def _locks(session: TenantConnection, place: Place) -> list[LockDetail]:
    query, _ = numbered("own_locks")
    found = await session.run(query, (place.schema.name,))
    return [
        LockDetail(env=place.environment, relation=row[0] or "", mode=row[1] or "")
        for row in found.rows
    ]
