from collections.abc import Sequence

from core.postgres.errors import failing_as
from memory.caller import Caller, Scope
from memory.databases.dropping import Dropped
from memory.databases.errors import (
    DatabaseNotFound,
    DropFailed,
    ModifyFailed,
    NameTaken,
    NotRestorable,
    SpaceNotFound,
)
from memory.databases.models import DatabaseMeta
from memory.databases.service import DatabaseService
from memory.ephemeral.repository import EphemeralRepository
from memory.ephemeral.schemas import (
    DropDatabases,
    RestoreDatabase,
    SetExpiration,
    SetLabels,
    SetProtection,
)

AT_ONCE = 100


class EphemeralService:
    """How long databases live, which of them go together, and how they come back."""

    def __init__(self, ephemeral: EphemeralRepository, databases: DatabaseService) -> None:
        self._ephemeral = ephemeral
        self._databases = databases

    async def set_expiration(self, caller: Caller, body: SetExpiration) -> DatabaseMeta:
        """Set when a database is dropped by itself, or clear it.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self._databases.admit(caller, body)
        database.__dict__["expires_at"] = end = body.end
        with failing_as(ModifyFailed):
            await self._ephemeral.set_expiration(database.id, end, acting)
        said = end.isoformat() if end else "never"
        await self._databases.record(caller, acting, "set_expiration", database, expires_at=said)
        return database

    async def set_labels(self, caller: Caller, body: SetLabels) -> DatabaseMeta:
        """Replace a database's labels.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self._databases.admit(caller, body)
        with failing_as(ModifyFailed):
            await self._ephemeral.set_labels(database.id, body.labels, acting)
        await self._databases.record(caller, acting, "set_labels", database)
        return database

    async def set_protection(self, caller: Caller, body: SetProtection) -> DatabaseMeta:
        """Keep a database from being dropped, or let it be dropped again.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self._databases.admit(caller, body)
        with failing_as(ModifyFailed):
            await self._ephemeral.set_protection(database.id, body.protected, acting)
        said = str(body.protected).lower()
        await self._databases.record(caller, acting, "set_protection", database, protected=said)
        return database

    async def drop_labelled(
        self, caller: Caller, body: DropDatabases
    ) -> tuple[Sequence[Dropped], Sequence[DatabaseMeta], bool]:
        """Drop what carries all of the labels, the oldest first, as far as one transaction goes.

        Returns:
            What was dropped; what stays, for it is protected; whether there is more to drop.

        Raises:
            NotAuthorized, SpaceNotFound, DropFailed
        """
        acting = await self._databases.admit_to(caller, body.uid, body.space_id)
        caller.require(Scope.DATABASES_WRITE)
        dropped = list[Dropped]()
        with failing_as(DropFailed):
            found = await self._labelled(body, acting, protected=False)
            for database in found[:AT_ONCE]:
                one = await self._databases.dropping.drop(database, acting, purge=body.purge)
                if one is None:
                    break
                await self._databases.record_drop(caller, acting, one)
                dropped.append(one)
        kept = await self._labelled(body, acting, protected=True)
        return dropped, kept[:AT_ONCE], len(found) > len(dropped)

    async def restore(self, caller: Caller, body: RestoreDatabase) -> DatabaseMeta:
        """Give a database back that was dropped: data, logins and connections.

        In a space that has got another owner meanwhile, it belongs to him as all others do.

        Raises:
            NotAuthorized, NotRestorable, NameTaken, ModifyFailed
        """
        try:
            acting, database = await self._databases.admit(caller, body, or_dropped=True)
        except (DatabaseNotFound, SpaceNotFound) as error:
            raise NotRestorable from error
        if database.deleted_at is None:
            raise NotRestorable("The database is not dropped")
        with failing_as(ModifyFailed):
            restored = await self._databases.revive(database, body.new_name, acting)
        if restored is None:
            raise NameTaken
        await self._databases.record(caller, acting, "restore_database", restored)
        return restored

    async def _labelled(
        self, body: DropDatabases, acting: str, *, protected: bool
    ) -> Sequence[DatabaseMeta]:
        return await self._ephemeral.labelled(
            body.labels, acting, body.space_id, protected=protected, limit=AT_ONCE + 1
        )
