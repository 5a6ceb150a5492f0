"""How clones and large drops are run, and brought to an end where their worker died."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.clone.copy import copy_schemas
from core.clone.dump import Login
from core.clone.order import CopyOrder, SchemaCopy
from core.errors import AppError
from core.postgres.engine import Database, Session
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url
from core.telemetry import logger
from memory.databases.repairs import own_verifiers
from memory.databases.repository import DatabaseRepository
from memory.operations.errors import Interrupted
from memory.operations.models import Operation
from memory.operations.service import OperationService

BATCH = 100
# A drop takes at most this part of the server's locks in one transaction.
SHARE_OF_LOCKS = 8
log = logger("pgtwin.databases")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the handlers work with.

    Attributes:
        dsn: the service's own login, from which those of databases are derived.
        worker: this worker's name, under which it holds operations.
        programs: the folder of pg_dump and pg_restore for a server's major version.
    """

    database: Database
    dsn: str = field(repr=False)
    master_secret: str = field(repr=False)
    worker: str
    programs: Callable[[int], Path]
    operations: Callable[[Session], OperationService]

    def login(self, role: RoleName) -> str:
        return login_url(self.dsn, role.name, derive(self.master_secret, role.name))

    async def held(self, session: Session, operation_id: int) -> Operation:
        """The operation, locked, while this worker still has it.

        Raises:
            Interrupted: another worker took it over.
        """
        operation = await self.operations(session).held(operation_id, self.worker)
        if operation is None:
            raise Interrupted
        return operation

    async def told(self, operation_id: int, step: str, done: int, total: int) -> None:
        """Note how far the operation is.

        Raises:
            Interrupted: another worker took it over.
        """

        async def work(session: Session) -> None:
            held = await self.held(session, operation_id)
            await self.operations(session).progress(held, step, done, max(total, done))

        await self.database.transaction(work)

    async def drop_in_batches(self, operation_id: int, step: str) -> None:
        """Drop what the operation's database has, but for what comes in no batches."""

        async def drop_some(session: Session) -> bool:
            held = await self.held(session, operation_id)
            dropped = await DatabaseRepository(session).drop_batch(held.database_id, BATCH)
            done = held.done + dropped
            await self.operations(session).progress(held, step, done, max(held.total, done))
            return dropped > 0

        while await self.database.transaction(drop_some):
            pass


def copy_ticket(master_secret: str, operation_id: int) -> tuple[str, bytes]:
    """The ticket of a clone, which nobody keeps, and the digest that is kept."""
    ticket = derive(master_secret, f"copy:{operation_id}")
    return ticket, hashlib.sha256(ticket.encode()).digest()


def _roles(database_id: int) -> list[RoleName]:
    readers = [RoleName.reader(environment, database_id) for environment in Environment]
    return [*RoleName.all(database_id), *readers]


class CloneHandler:
    """Copies in transactions of the copy's login, then makes the copy visible."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def run(self, operation: Operation) -> None:
        try:
            apart = await self._workshop.database.transaction(
                lambda session: DatabaseRepository(session).has_owners_apart(
                    operation.arguments["source_id"]
                )
            )
            await copy_schemas(self._order(operation, owners_apart=apart))
        except AppError as error:
            await self._remove(operation, error)
            raise
        await self._publish(operation)

    async def resume(self, operation: Operation) -> None:
        """The ticket, used up in the copy's last transaction, tells whether the copy is whole."""
        copied = await self._workshop.database.transaction(
            lambda session: DatabaseRepository(session).is_copied(operation.id)
        )
        if copied:
            await self._publish(operation)
        else:
            await self._remove(operation, Interrupted())

    async def _publish(self, operation: Operation) -> None:
        async def work(session: Session) -> None:
            operations = self._workshop.operations(session)
            if await operations.is_finished(operation.id):
                # Another worker, that took this one for dead, has done it.
                return
            held = await self._workshop.held(session, operation.id)
            databases = DatabaseRepository(session)
            if await databases.has_owners_apart(operation.arguments["source_id"]):
                # What was planted in the source is in the copy.
                verifiers = own_verifiers(self._workshop.master_secret, held.database_id)
                await databases.separate_owners(held.database_id, verifiers)
            await databases.publish(held.database_id, held.id)
            await operations.finish(held)

        await self._workshop.database.transaction(work)

    async def _remove(self, operation: Operation, error: AppError) -> None:
        """Remove what there is; in batches where one transaction could not lock it."""
        workshop = self._workshop

        async def begin(session: Session) -> bool:
            held = await workshop.held(session, operation.id)
            databases = DatabaseRepository(session)
            _, need = await databases.locks_needed(held.database_id)
            if need.needed < need.room // SHARE_OF_LOCKS:
                await databases.discard(held.database_id, held.id, held.uid)
                await workshop.operations(session).fail(held, error)
                return False
            await databases.forsake(held.database_id, held.id, held.uid)
            await workshop.operations(session).progress(held, "removing", 0, need.objects)
            return True

        async def end(session: Session) -> None:
            held = await workshop.held(session, operation.id)
            await DatabaseRepository(session).drop_rest(held.database_id)
            await workshop.operations(session).fail(held, error)

        if await workshop.database.transaction(begin):
            await workshop.drop_in_batches(operation.id, "removing")
            await workshop.database.transaction(end)

    def _order(self, operation: Operation, *, owners_apart: bool) -> CopyOrder:
        workshop, arguments = self._workshop, operation.arguments
        source, target = arguments["source_id"], operation.database_id

        def reader(environment: Environment) -> Login:
            own, both = RoleName.own(environment, source), RoleName.ddl(source)
            login = workshop.login(own if owners_apart else both)
            return Login(login, RoleName.owner(environment, source))

        schemas = [
            SchemaCopy(
                key=key,
                source=SchemaName(names[0]),
                copy=SchemaName(names[1]),
                reader=reader(Environment(key)),
                owner=RoleName.owner(Environment(key), target),
            )
            for key, names in arguments["schemas"].items()
        ]
        return CopyOrder(
            ticket=copy_ticket(workshop.master_secret, operation.id)[0],
            writer_url=workshop.login(RoleName.ddl(target)),
            schemas=schemas,
            roles={
                old.name: new.name for old, new in zip(_roles(source), _roles(target), strict=True)
            },
            programs=workshop.programs,
            report=lambda done, total: workshop.told(operation.id, "copying", done, total),
            with_data=arguments["with_data"],
        )


class DropHandler:
    """Drops in batches what one transaction could not lock."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def run(self, operation: Operation) -> None:
        """The database is gone for its user already: whatever fails is tried again later."""
        try:
            await self.resume(operation)
        except AppError as error:
            log.warning("a drop is to be continued", operation=operation.id, cause=repr(error))

    async def resume(self, operation: Operation) -> None:
        await self._workshop.drop_in_batches(operation.id, "dropping")

        async def finish(session: Session) -> None:
            held = await self._workshop.held(session, operation.id)
            await DatabaseRepository(session).drop_rest(held.database_id)
            await self._workshop.operations(session).finish(held)

        await self._workshop.database.transaction(finish)
