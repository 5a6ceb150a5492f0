from collections.abc import Collection, Mapping, Sequence

import asyncpg
from sqlalchemy import ColumnElement, delete, func, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.catalog.reader import LockNeed, SchemaSize, droppable, lock_need, schema_sizes
from core.postgres.identifiers import Environment, RoleName, SchemaName, literal
from core.postgres.locks import Lock, hold
from memory.caller import ANY_SPACE
from memory.databases.models import DatabaseMeta, DatabaseStatus, SchemaMeta

_LIVE = (
    col(DatabaseMeta.deleted_at).is_(None),
    col(DatabaseMeta.status) == DatabaseStatus.READY,
)


class DatabaseRepository:
    """Rows of `database_meta` and `schema_meta`, and the schemas and roles they stand for."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def insert(self, database: DatabaseMeta) -> DatabaseMeta | None:
        """Add a database; None when its name is taken, by one being created too."""
        values = database.model_dump(exclude_none=True)
        statement = (
            insert(DatabaseMeta)
            .values(**values)
            .on_conflict_do_nothing(
                index_elements=["uid", "space_id", "name"],
                index_where=text("deleted_at IS NULL"),
            )
            .returning(DatabaseMeta)
        )
        return (await self._session.exec(statement)).scalar_one_or_none()

    async def insert_schemas(self, schemas: Sequence[SchemaMeta]) -> None:
        rows = [schema.model_dump(exclude_none=True) for schema in schemas]
        await self._session.exec(insert(SchemaMeta).values(rows))

    async def find(
        self, database_id: int, *, uid: str | None, space_id: str, lock: bool = False
    ) -> DatabaseMeta | None:
        """A live database of the space, or without a space of the uid; uid None: of anybody."""
        query = select(DatabaseMeta).where(DatabaseMeta.id == database_id, *_LIVE)
        if space_id:
            query = query.where(DatabaseMeta.space_id == space_id)
        elif uid is not None:
            query = query.where(DatabaseMeta.uid == uid)
        if lock:
            query = query.with_for_update()
        return (await self._session.exec(query)).one_or_none()

    async def find_visible(
        self, database_id: int, *, uid: str | None, spaces: Collection[str]
    ) -> DatabaseMeta | None:
        """A live database of the uid or of one of the spaces; uid None: of anybody."""
        query = select(DatabaseMeta).where(DatabaseMeta.id == database_id, *_LIVE)
        if uid is not None:
            query = query.where(_visible_to(uid, spaces))
        return (await self._session.exec(query)).one_or_none()

    async def page(
        self,
        *,
        visible_to: str | None,
        spaces: Collection[str],
        uid: str | None,
        space_id: str | None,
        name_prefix: str | None,
        before: int | None,
        limit: int,
    ) -> Sequence[DatabaseMeta]:
        """Live databases, the newest first.

        Args:
            visible_to: only what this uid, or one of the spaces, owns; None: all.
            before: only ids below this one.
        """
        query = select(DatabaseMeta).where(*_LIVE)
        if visible_to is not None:
            query = query.where(_visible_to(visible_to, spaces))
        if uid is not None:
            query = query.where(DatabaseMeta.uid == uid)
        if space_id is not None:
            query = query.where(DatabaseMeta.space_id == space_id)
        if name_prefix:
            query = query.where(col(DatabaseMeta.name).startswith(name_prefix, autoescape=True))
        if before is not None:
            query = query.where(DatabaseMeta.id < before)
        query = query.order_by(col(DatabaseMeta.id).desc()).limit(limit)
        return (await self._session.exec(query)).all()

    async def space_owner(self, space_id: str, *, lock: bool = False) -> str | None:
        """The uid that owns the space's databases; None: it has none.

        Args:
            lock: keep others from giving an empty space an owner until the transaction ends.
        """
        if lock:
            await hold(await self._session.connection(), Lock.SPACE, space_id)
        query = (
            select(DatabaseMeta.uid)
            .where(DatabaseMeta.space_id == space_id, *_LIVE)
            .order_by(col(DatabaseMeta.id))
            .limit(1)
        )
        return (await self._session.exec(query)).one_or_none()

    async def schemas(self, database_id: int) -> Sequence[SchemaMeta]:
        query = (
            select(SchemaMeta)
            .where(SchemaMeta.database_id == database_id)
            .order_by(col(SchemaMeta.env))
        )
        return (await self._session.exec(query)).all()

    async def sizes(self, schemas: Sequence[SchemaMeta]) -> dict[str, SchemaSize]:
        connection = await self._session.connection()
        return await schema_sizes(connection, [schema.schema_name for schema in schemas])

    async def set_description(
        self, database: DatabaseMeta, description: str | None, acting_uid: str
    ) -> None:
        database.description, database.update_by = description, acting_uid
        await self._session.flush()

    async def bury(self, database: DatabaseMeta, acting_uid: str) -> None:
        """Leave the tombstone: the name is free, the schemas' rows are gone."""
        await self._session.exec(
            delete(SchemaMeta).where(col(SchemaMeta.database_id) == database.id)
        )
        database.deleted_at = func.now()  # type: ignore[assignment]
        database.update_by = acting_uid
        await self._session.flush()

    async def bury_name(self, database: DatabaseMeta, acting_uid: str) -> None:
        """Take the database away from its user, and end its sessions; the rest follows."""
        database.deleted_at = func.now()  # type: ignore[assignment]
        database.update_by = acting_uid
        await self._session.flush()
        await self._send([f"SELECT pgtwin_admin.close_roles({database.id})"])

    async def drop_rest(self, database_id: int) -> None:
        """Drop what is left of a database whose name is buried, with its schemas' rows."""
        schemas = await self.schemas(database_id)
        await self.drop_schemas(database_id, [SchemaName(each.schema_name) for each in schemas])
        await self._session.exec(
            delete(SchemaMeta).where(col(SchemaMeta.database_id) == database_id)
        )

    async def forget_schema(self, name: str) -> None:
        await self._session.exec(delete(SchemaMeta).where(col(SchemaMeta.schema_name) == name))

    async def drop_batch(self, database_id: int, limit: int) -> int:
        """Drop up to so many objects of a database's schemas; gives how many there were."""
        names = [schema.schema_name for schema in await self.schemas(database_id)]
        connection = await self._session.connection()
        statements = await droppable(connection, names, limit)
        if statements:
            await self._send(statements)
        return len(statements)

    async def locks_needed(self, schemas: Sequence[SchemaMeta]) -> LockNeed:
        """What dropping the schemas in one transaction would take of the server's locks."""
        connection = await self._session.connection()
        return await lock_need(connection, [schema.schema_name for schema in schemas])

    async def lock_whole(self, database_id: int) -> None:
        """Wait for whoever copies the database, and keep others from it until the end."""
        connection = await self._session.connection()
        await connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": database_id})

    async def add_ticket(
        self,
        ticket_id: int,
        digest: bytes,
        source_id: int,
        target_id: int,
        names: Mapping[Environment, tuple[str, str]],
    ) -> None:
        """Let the target's login copy the source's schemas, once."""
        connection = await self._session.connection()
        await connection.execute(
            text(
                "INSERT INTO pgtwin_admin.copy_ticket (id, digest, source_id, target_id,"
                " environments, source_schemas, target_schemas)"
                " VALUES (:id, :digest, :source, :target, :environments, :sources, :targets)"
            ),
            {
                "id": ticket_id,
                "digest": digest,
                "source": source_id,
                "target": target_id,
                "environments": [environment.value for environment in names],
                "sources": [source for source, _ in names.values()],
                "targets": [target for _, target in names.values()],
            },
        )

    async def is_copied(self, ticket_id: int) -> bool:
        """Whether the copy that the ticket was for is there, whole."""
        connection = await self._session.connection()
        found = await connection.execute(
            text("SELECT done_at FROM pgtwin_admin.copy_ticket WHERE id = :id"), {"id": ticket_id}
        )
        return found.scalar_one_or_none() is not None

    async def publish(self, database_id: int, ticket_id: int) -> None:
        """Make a finished copy visible."""
        database = await self._session.get_one(DatabaseMeta, database_id)
        database.status = DatabaseStatus.READY
        await self._session.flush()
        await self._end_ticket(ticket_id)

    async def discard(self, database_id: int, ticket_id: int, acting_uid: str) -> None:
        """Remove a copy that was not finished; its name is free again."""
        database = await self._session.get_one(DatabaseMeta, database_id)
        names = [SchemaName(each.schema_name) for each in await self.schemas(database_id)]
        await self.drop_schemas(database_id, names)
        await self.bury(database, acting_uid)
        await self._end_ticket(ticket_id)

    async def _end_ticket(self, ticket_id: int) -> None:
        connection = await self._session.connection()
        await connection.execute(
            text("DELETE FROM pgtwin_admin.copy_ticket WHERE id = :id"), {"id": ticket_id}
        )

    async def make_schemas(
        self,
        database_id: int,
        names: dict[Environment, SchemaName],
        verifiers: Mapping[RoleName, str],
    ) -> None:
        """Make the roles, the schemas and their grants, in one message.

        Args:
            verifiers: the SCRAM verifier of each login.
        """
        logins = [RoleName.app(environment, database_id) for environment in Environment]
        logins.append(RoleName.ddl(database_id))
        arguments = ", ".join(literal(verifiers[login]) for login in logins)
        statements = [f"SELECT pgtwin_admin.create_roles({database_id}, {arguments})"]
        for environment, name in names.items():
            owner = RoleName.owner(environment, database_id)
            statements += [
                f"CREATE SCHEMA IF NOT EXISTS {name}",
                f"GRANT USAGE, CREATE ON SCHEMA {name} TO {owner}",
                f"GRANT USAGE ON SCHEMA {name} TO {RoleName.app(environment, database_id)}",
            ]
        await self._send(statements)

    async def drop_schemas(self, database_id: int, names: Sequence[SchemaName]) -> None:
        """End the roles' sessions, drop the schemas and then the roles, in one message."""
        await self._send(
            [
                f"SELECT pgtwin_admin.close_roles({database_id})",
                *(f"DROP SCHEMA IF EXISTS {name} CASCADE" for name in names),
                f"SELECT pgtwin_admin.drop_roles({database_id})",
            ]
        )

    async def _send(self, statements: Sequence[str]) -> None:
        """Several statements in one message, inside the session's transaction.

        SQLAlchemy prepares what it sends and so takes one statement at a time; what is sent
        past it would commit by itself where SQLAlchemy has not begun.
        """
        connection = await self._session.connection()
        raw = await connection.get_raw_connection()
        driver: asyncpg.Connection = raw.driver_connection  # type: ignore[assignment]
        if not driver.is_in_transaction():
            raise RuntimeError("the session has no transaction yet")
        await driver.execute("; ".join(statements))


def _visible_to(uid: str, spaces: Collection[str]) -> ColumnElement[bool]:
    owned = col(DatabaseMeta.uid) == uid
    if ANY_SPACE in spaces:
        return or_(owned, col(DatabaseMeta.space_id) != "")
    return or_(owned, col(DatabaseMeta.space_id).in_(spaces)) if spaces else owned
