from collections.abc import Sequence
from typing import Any

from core.clone.errors import CloneFailed
from core.ids import IdGenerator
from core.postgres.errors import failing_as
from core.postgres.identifiers import Environment, SchemaName
from memory.audit.service import AuditTrail
from memory.caller import ANY_SPACE, Caller, Scope
from memory.databases.dropping import Dropped, Dropping
from memory.databases.errors import (
    CreateFailed,
    DatabaseNotFound,
    DropFailed,
    ModifyFailed,
    NameTaken,
    Protected,
    SpaceNotFound,
)
from memory.databases.handlers import copy_ticket
from memory.databases.models import (
    DatabaseEntry,
    DatabaseMeta,
    DatabaseStatus,
    LabelFilter,
    SchemaMeta,
)
from memory.databases.repairs import own_verifiers, verifiers
from memory.databases.repository import DatabaseRepository
from memory.databases.schemas import (
    AppGrant,
    CloneData,
    CloneDatabase,
    CreateDatabase,
    DatabaseDetail,
    DatabasePage,
    DatabaseSummary,
    DescribeDatabase,
    DropDatabase,
    Lifecycle,
    ListDatabases,
    ModifyDescription,
)
from memory.inputs import DatabaseAddress, position
from memory.operations.models import Operation, OperationState
from memory.operations.service import OperationService


class DatabaseService:
    """Create, describe, list and drop databases.

    Each call checks, in this order: the caller, the space, the database, the operation.
    """

    def __init__(
        self,
        databases: DatabaseRepository,
        audit: AuditTrail,
        ids: IdGenerator,
        master_secret: str,
        operations: OperationService,
        worker: str,
        retention: float,
    ) -> None:
        self._databases = databases
        self.dropping = Dropping(databases, operations, ids, worker, retention)
        self._operations = operations
        self._worker = worker
        self._audit = audit
        self._ids = ids
        self._master_secret = master_secret

    async def create(self, caller: Caller, body: CreateDatabase) -> DatabaseMeta:
        """Create a database with its roles and both schemas.

        In a space that has databases, the new one belongs to their owner.

        Raises:
            NotAuthorized, NameTaken, CreateFailed
        """
        acting = caller.acting_uid(body.uid, body.space_id)
        caller.require(Scope.DATABASES_WRITE)
        owner = await self._owner_in(body.space_id, acting)
        with failing_as(CreateFailed):
            database = DatabaseMeta.model_construct(
                id=self._ids.next(),
                uid=owner,
                name=body.database_name,
                description=body.description,
                space_id=body.space_id,
                status=DatabaseStatus.READY,
                create_by=acting,
                update_by=acting,
                **_lifecycle(body),
            )
            await self._make(database)
        await self.record(caller, acting, "create_database", database)
        return database

    async def clone(self, caller: Caller, body: CloneDatabase) -> Operation:
        """Make an empty and invisible database, and the operation that fills it.

        The copy is in the source's space and has its owner and description; an expiry, labels and
        protection are its own.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, NameTaken, CloneFailed
        """
        acting, source = await self.admit(caller, body)
        with failing_as(CloneFailed):
            copy = DatabaseMeta.model_construct(
                id=self._ids.next(),
                uid=source.uid,
                name=body.new_database_name,
                description=source.description,
                space_id=source.space_id,
                status=DatabaseStatus.CLONING,
                create_by=acting,
                update_by=acting,
                **_lifecycle(body),
            )
            targets = {each.env: each for each in await self._make(copy)}
            found = {each.env: each for each in await self._databases.schemas(source.id)}
            names = {
                environment: (found[environment].schema_name, targets[environment].schema_name)
                for environment in body.env.each
            }
            operation = self._operation("clone_database", acting, copy.id)
            operation.arguments = {
                "source_id": source.id,
                "schemas": {each.value: list(pair) for each, pair in names.items()},
                "with_data": body.data is CloneData.ALL,
            }
            _, digest = copy_ticket(self._master_secret, operation.id)
            await self._databases.add_ticket(operation.id, digest, source.id, copy.id, names)
            await self._databases.make_readers(source.id, copy.id, names)
            await self._operations.add(operation)
        await self.record(caller, acting, "clone_database", copy)
        return operation

    async def drop(self, caller: Caller, body: DropDatabase) -> Dropped:
        """Drop a database; its name is free.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, Protected, DropFailed
        """
        acting, database = await self.admit(caller, body, or_dropped=body.purge)
        if database.protected:
            raise Protected
        with failing_as(DropFailed):
            dropped = await self.dropping.drop(database, acting, purge=body.purge)
        if dropped is None:
            raise RuntimeError("the first drop of a transaction has room")
        await self.record_drop(caller, acting, dropped)
        return dropped

    async def revive(
        self, database: DatabaseMeta, new_name: str | None, acting: str
    ) -> DatabaseMeta | None:
        """Give a database back that was dropped and is locked; None when the name is taken.

        In a space that has got another owner meanwhile, it becomes his.
        """
        owner = await self._owner_in(database.space_id, database.uid)
        return await self.dropping.restore(database, owner, new_name or database.name, acting)

    async def record_drop(self, caller: Caller, acting: str, dropped: Dropped) -> None:
        action = "purge_database" if dropped.database.deleted_at else "drop_database"
        await self.record(caller, acting, action, dropped.database)

    async def modify_description(self, caller: Caller, body: ModifyDescription) -> None:
        """Set the description; without one it is cleared.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self.admit(caller, body)
        with failing_as(ModifyFailed):
            await self._databases.set_description(database, body.description, acting)
        await self.record(caller, acting, "modify_db_description", database)

    async def grant_app(self, caller: Caller, body: AppGrant) -> None:
        """Let an application run SQL in the database for its end users, row by row.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self.admit(caller, body)
        with failing_as(ModifyFailed):
            await self._databases.grant_app(database.id, body.app_id, acting)
        await self.record(caller, acting, "grant_app", database, app=body.app_id)

    async def revoke_app(self, caller: Caller, body: AppGrant) -> None:
        """Take that back; an application that was not granted it is no error.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, ModifyFailed
        """
        acting, database = await self.admit(caller, body)
        with failing_as(ModifyFailed):
            await self._databases.revoke_app(database.id, body.app_id)
        await self.record(caller, acting, "revoke_app", database, app=body.app_id)

    async def admit(
        self,
        caller: Caller,
        body: DatabaseAddress,
        scope: Scope = Scope.DATABASES_WRITE,
        *,
        or_dropped: bool = False,
    ) -> tuple[str, DatabaseMeta]:
        """The acting uid and the database, locked, for a caller that may change it.

        Args:
            or_dropped: or one that was dropped and can be restored; a space may have no other.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound
        """
        if or_dropped:
            acting = caller.acting_uid(body.uid, body.space_id)
        else:
            acting = await self.admit_to(caller, body.uid, body.space_id)
        database = await self._databases.find(
            body.database_id,
            uid=acting,
            space_id=body.space_id,
            lock=True,
            or_dropped=or_dropped,
        )
        if database is None and body.space_id:
            raise SpaceNotFound(
                f"The space {body.space_id} does not contain the database {body.database_id}"
            )
        if database is None:
            raise DatabaseNotFound
        caller.require(scope)
        return acting, database

    async def admit_to(self, caller: Caller, uid: str | None, space_id: str) -> str:
        """The acting uid, in a space that there is, or in none.

        Raises:
            NotAuthorized, SpaceNotFound
        """
        acting = caller.acting_uid(uid, space_id)
        if space_id and await self._databases.space_owner(space_id) is None:
            raise SpaceNotFound(f"The space {space_id} does not exist")
        return acting

    async def _owner_in(self, space_id: str, otherwise: str) -> str:
        """Who owns what is in a space; `otherwise` where that is decided now, or without one."""
        owner = await self._databases.space_owner(space_id, lock=True) if space_id else None
        return owner or otherwise

    async def require_visible(self, caller: Caller, database_id: int, scope: Scope) -> None:
        """Refuse a caller who may not look at a live database.

        Raises:
            DatabaseNotFound, NotAuthorized
        """
        entry = await self._databases.entry(database_id)
        if entry is None or not (
            caller.uid in (None, entry.uid)
            or entry.space_id in caller.spaces
            or (entry.space_id and ANY_SPACE in caller.spaces)
        ):
            raise DatabaseNotFound
        caller.require(scope)

    async def entry(self, database_id: int) -> DatabaseEntry | None:
        """What running SQL in a live database needs to know of it."""
        return await self._databases.entry(database_id)

    async def entry_for(self, caller: Caller, database_id: int) -> DatabaseEntry:
        """The same for its owner, a member of its space, or an administrator.

        Raises:
            DatabaseNotFound, NotAuthorized
        """
        found = await self._databases.entry(database_id)
        if found is None or not _may_look(caller, found):
            raise DatabaseNotFound
        caller.require(Scope.DATABASES_READ)
        return found

    async def separate_owners(self, database_id: int) -> None:
        """From now on no login may become both environments' owners: code that is planted in one
        can't reach the other. For good, for what was planted stays."""
        if not await self._databases.has_owners_apart(database_id):
            await self._databases.separate_owners(
                database_id, own_verifiers(self._master_secret, database_id)
            )

    async def describe(
        self, caller: Caller, database_id: int, query: DescribeDatabase
    ) -> DatabaseDetail:
        """A database with both its schemas and their sizes.

        Raises:
            DatabaseNotFound, NotAuthorized
        """
        found = await self._databases.find_whole(
            database_id,
            uid=caller.uid,
            spaces=caller.spaces,
            or_dropped=query.include_dropped,
        )
        if found is None:
            raise DatabaseNotFound
        caller.require(Scope.DATABASES_READ)
        return DatabaseDetail.of_rows(found)

    async def page(self, caller: Caller, query: ListDatabases) -> DatabasePage:
        """The caller's databases, the newest first.

        Raises:
            NotAuthorized, InvalidRequest
        """
        if not caller.any_uid:
            caller.acting_uid(query.uid, query.space_id or "")
        caller.require(Scope.DATABASES_READ)
        found = await self._databases.page(
            visible_to=caller.uid,
            spaces=caller.spaces,
            uid=query.uid,
            space_id=query.space_id,
            name_prefix=query.name_prefix,
            labels=LabelFilter.of(query.label),
            or_dropped=query.include_dropped,
            before=position(query.cursor),
            limit=query.limit + 1,
        )
        shown = found[: query.limit]
        more = len(found) > query.limit
        return DatabasePage(
            databases=[DatabaseSummary.of(database) for database in shown],
            next_cursor=f"{shown[-1].id:x}" if more else None,
        )

    async def _make(self, database: DatabaseMeta) -> list[SchemaMeta]:
        """The database's rows, roles and schemas."""
        schemas = self._schemas_of(database)
        if not await self._databases.insert(database, schemas):
            raise NameTaken
        await self._make_schemas(database, schemas)
        return schemas

    def _operation(self, kind: str, acting: str, database_id: int) -> Operation:
        return Operation(
            id=self._ids.next(),
            kind=kind,
            state=OperationState.RUNNING,
            uid=acting,
            database_id=database_id,
            arguments={},
            owner=self._worker,
        )

    async def _make_schemas(self, database: DatabaseMeta, schemas: Sequence[SchemaMeta]) -> None:
        await self._databases.make_schemas(
            database.id,
            {schema.env: SchemaName(schema.schema_name) for schema in schemas},
            verifiers(self._master_secret, database.id),
        )

    def _schemas_of(self, database: DatabaseMeta) -> list[SchemaMeta]:
        return [
            SchemaMeta.model_construct(
                id=self._ids.next(),
                database_id=database.id,
                env=environment,
                schema_name=SchemaName.of(environment, database.uid, database.id).name,
                create_by=database.create_by,
                update_by=database.create_by,
            )
            for environment in Environment
        ]

    async def record(
        self, caller: Caller, acting: str, action: str, database: DatabaseMeta, **details: str
    ) -> None:
        """Note in the audit what was done to a database."""
        await self._audit.record(
            action,
            acting,
            database_id=database.id,
            app_id=caller.app_id,
            key_id=caller.key_id,
            details={
                "name": database.name,
                "owner": database.uid,
                "space_id": database.space_id,
                **details,
            },
        )


def _lifecycle(body: Lifecycle) -> dict[str, Any]:
    return {"expires_at": body.end, "labels": body.labels, "protected": body.protected}


def _may_look(caller: Caller, found: DatabaseEntry) -> bool:
    if caller.uid is None:
        # An application's key that is bound to no uid names any end user, but is no owner.
        return not caller.app_id or Scope.ADMIN in caller.scopes
    is_member = found.space_id in caller.spaces or ANY_SPACE in caller.spaces
    return found.uid == caller.uid or (found.space_id != "" and is_member)
