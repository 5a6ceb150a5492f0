from collections.abc import Collection, Mapping, Sequence

import asyncpg
from sqlalchemy import ColumnElement, delete, func, or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.catalog.reader import SchemaSize, schema_sizes
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
                f"CREATE SCHEMA {name}",
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
