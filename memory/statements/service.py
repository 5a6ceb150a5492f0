from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from core.errors import AppError, InvalidRequest
from core.postgres.outcomes import Outcome
from core.postgres.tenant_connection import TenantConnection
from core.sqlguard import DmlNotAllowed, Kind, Ruleset, SqlRefused, Statement
from memory.caller import Caller, Scope
from memory.statements.directory import Access, Directory
from memory.statements.errors import UnknownTable
from memory.statements.executor import Executor
from memory.statements.journal import Journal
from memory.statements.judge import Judge
from memory.statements.place import Place
from memory.statements.recovery import Recovery
from memory.statements.rehearsal import Definitions, Rehearsed, definitions
from memory.statements.run import Mode, Run
from memory.statements.schemas import (
    Audience,
    ExecDdl,
    ExecDml,
    Explain,
)
from memory.statements.streams import Streams

EXPLAIN_OPTIONS: Mapping[Explain | bool | None, str] = {
    Explain.PLAN: "FORMAT JSON",
    Explain.ANALYZE: "ANALYZE, BUFFERS, FORMAT JSON",
}
# Done last in the transaction of a call, with what it gave: the answer is kept there.
Keep = Callable[[TenantConnection, Place, Run], Awaitable[None]]


class StatementService:
    """Runs SQL in databases.

    Each call checks, in this order: the caller, the database, the scope, the statements; then
    PostgreSQL decides, for the session is the database's own.
    """

    def __init__(
        self,
        directory: Directory,
        executor: Executor,
        streams: Streams,
        judge: Judge,
        journal: Journal,
        recovery: Recovery,
    ) -> None:
        self._directory = directory
        self._executor = executor
        self._streams = streams
        self._judge = judge
        self._journal = journal
        self._recovery = recovery

    async def exec_ddl(
        self, caller: Caller, body: ExecDdl, rehearsed: Rehearsed, keep: Keep | None
    ) -> Run:
        """Change tables of both environments, or of one of them: all statements or none.

        Args:
            rehearsed: with `dry_run`, gets what it would change and lock.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, SqlUnreadable, SqlTooLarge, SqlRefused,
            DdlNotAllowed, DdlFailed
        """
        access = await self._directory.as_owner(caller, body)
        caller.require(Scope.SQL_DDL)
        async with self._journal.entry("exec_ddl", caller, access, body.ddl, body.env.value):
            ruleset = Ruleset.OWNER_DDL if body.as_ is Audience.OWNER else Ruleset.DDL
            first, *rest = body.env.each
            place = Place(access.database, first, None, spans=bool(rest))
            own = None if rest else place.schema.name
            statements = await self._judge(body.ddl, ruleset, own)

            async def work(session: TenantConnection, run: Run) -> None:
                rehearsed.begin()
                for environment in body.env.each:
                    if run.place.environment is not environment:
                        await self._executor.act_in(session, run, environment)
                    before: Definitions = {}
                    if body.dry_run:
                        await self._executor.send(session, run)
                        before = await definitions(session, run.place)
                    for statement in statements[:-1]:
                        await self._executor.statement(session, run, statement)
                    is_end = keep is None and environment is body.env.each[-1]
                    await self._executor.statement(
                        session,
                        run,
                        statements[-1],
                        after=self._executor.admission(session, run, statements),
                        is_last=is_end or body.dry_run,
                    )
                    if body.dry_run:
                        await rehearsed.note(session, run.place, before)
                if keep is not None:
                    await self._executor.send(session, run)
                    await keep(session, run.place, run)

            mode = Mode(keeps=not body.dry_run)
            return await self._run(place, work, mode, is_ddl=True)

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

            async def work(session: TenantConnection, run: Run) -> None:
                for statement in statements:
                    is_last = keep is None and statement is statements[-1]
                    await self._executor.statement(
                        session, run, statement, body.params, is_last=is_last
                    )
                if keep is not None:
                    run.statement = None
                    await keep(session, run.place, run)

            mode = Mode(
                whole_seconds=is_drop_in,
                read_only=body.read_only,
                keeps=not body.dry_run and body.explain is None,
                explain=EXPLAIN_OPTIONS.get(body.explain, ""),
            )
            return await self._run(place, work, mode)

    async def stream(
        self,
        caller: Caller,
        body: ExecDml,
        shape: Callable[[Outcome], Callable[[list[Any]], Any]],
        head: Callable[[Outcome], dict[str, Any]],
    ) -> AsyncGenerator[bytes, None]:
        """Portions of NDJSON with all rows of one SELECT.

        Raises:
            as `exec_dml`, before the first portion.
        """
        place, access = await self._place(caller, body, is_drop_in=False)
        async with self._journal.entry("exec_dml", caller, access, body.dml, body.env.value):
            statements = await self._admitted(body, place)
            if len(statements) != 1 or statements[0].kind is not Kind.SELECT:
                raise InvalidRequest.of("stream", "streams the rows of one SELECT")
            mode, params = Mode(read_only=body.read_only), body.params or []
            portions = self._streams.lines(place, statements[0], params, mode, shape, head)
            try:
                async for portion in portions:
                    yield portion
            except AppError as error:
                await self._recovery.confirm(error, place.database.id)
                raise

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
                await self._run(place, partial(_refuse_unknown, error), Mode())
            raise
        if body.params is not None and len(statements) > 1:
            raise InvalidRequest.of("params", "can be given for one statement only")
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
            await self._recovery.confirm(error, place.database.id)
            await self._recovery.renew(error, place.database.id)
        return await self._executor.call(place, work, mode, is_ddl=is_ddl)


async def _refuse_unknown(error: DmlNotAllowed, session: TenantConnection, _run: Run) -> None:
    for relation in error.relations:
        name = f'"{relation.name.replace(chr(34), chr(34) * 2)}"'
        found = await session.run("SELECT pg_catalog.to_regclass($1)", (name,))
        if found.rows[0][0] is None:
            raise UnknownTable(
                f'relation "{relation.name}" does not exist',
                position=relation.position,
                details=error.details,
            )
