"""How a database is dropped: so that it can be restored, at once, or by an operation; and how it is
restored."""

from dataclasses import dataclass
from datetime import datetime

from core.ids import IdGenerator
from memory.databases.handlers import SHARE_OF_LOCKS
from memory.databases.models import DatabaseMeta
from memory.databases.repository import DatabaseRepository
from memory.operations.models import Operation, OperationState
from memory.operations.service import OperationService

# What dropping a database without tables takes of the server's locks, about.
LOCKS_OF_NONE = 40


@dataclass(frozen=True, slots=True)
class Dropped:
    """What became of a database that was dropped.

    Attributes:
        restorable_until: None: it is gone.
        operation: what drops it, where one transaction can't; to be run after the commit.
    """

    database: DatabaseMeta
    restorable_until: datetime | None = None
    operation: Operation | None = None


class Dropping:
    """Drops databases in one transaction, within a part of the server's locks.

    Args:
        worker: this worker's name, under which it holds operations.
        retention: seconds for which a database that was dropped can be restored; 0: none can.
    """

    def __init__(
        self,
        databases: DatabaseRepository,
        operations: OperationService,
        ids: IdGenerator,
        worker: str,
        retention: float,
    ) -> None:
        self._databases = databases
        self._operations = operations
        self._ids = ids
        self._worker = worker
        self._retention = retention
        self._locks = 0

    async def drop(self, database: DatabaseMeta, acting: str, *, purge: bool) -> Dropped | None:
        """Drop a database that is locked.

        One that has an expiry goes at once: nobody will miss it.

        Args:
            purge: at once; also one that was dropped before.

        Returns:
            None: not in this transaction, which has dropped others.
        """
        if self._retention and not purge and database.expires_at is None:
            until = await self._databases.close(database.id, self._retention, acting)
            return Dropped(database, until)
        names, need = await self._databases.locks_needed(database.id)
        room, had = need.room // SHARE_OF_LOCKS, self._locks
        is_large = need.needed >= room
        self._locks += need.needed + LOCKS_OF_NONE
        if had and (is_large or self._locks > room):
            return None
        if not is_large:
            await self._databases.drop_schemas(database.id, names)
            await self._databases.bury(database.id, acting)
            return Dropped(database)
        operation = await self._begin(database, acting, need.objects)
        return Dropped(database, operation=operation)

    async def restore(
        self, database: DatabaseMeta, uid: str, name: str, acting: str
    ) -> DatabaseMeta | None:
        """Give a database back that was dropped and is locked; None when the name is taken.

        Args:
            uid: whose it is from now on.
        """
        if not await self._databases.revive(database.id, uid, name, acting):
            return None
        await self._databases.open(database.id, database.closed_roles or ())
        back = {"uid": uid, "name": name, "deleted_at": None, "restorable_until": None}
        return DatabaseMeta.of(database.__dict__ | back)

    async def _begin(self, database: DatabaseMeta, acting: str, objects: int) -> Operation:
        operation = Operation(
            id=self._ids.next(),
            kind="drop_database",
            state=OperationState.RUNNING,
            uid=acting,
            database_id=database.id,
            arguments={},
            owner=self._worker,
            total=objects,
        )
        await self._databases.bury_name(database.id, acting)
        await self._operations.add(operation)
        return operation
