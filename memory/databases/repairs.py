"""Mends for what the catalog and the control schema disagree about."""

import re
from collections.abc import Mapping, Sequence

from core.ids import IdGenerator
from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive, scram_verifier
from memory.audit.service import AuditTrail
from memory.databases.models import DatabaseMeta, SchemaMeta
from memory.databases.repository import DatabaseRepository

OPERATOR = "pgtwind"


class Repairs:
    """Brings the two together again without losing data that has an owner.

    A schema whose database is live gets its row back; one whose database is not is dropped.
    A live database gets the schemas and roles back that it lacks, empty. One that was dropped and
    can be restored counts as live, and stays shut.
    """

    def __init__(
        self,
        databases: DatabaseRepository,
        audit: AuditTrail,
        ids: IdGenerator,
        master_secret: str,
    ) -> None:
        self._databases = databases
        self._audit = audit
        self._ids = ids
        self._master_secret = master_secret

    async def mend(self, kind: str, name: str) -> str:
        """Mend one difference.

        Args:
            kind, name: as the comparison gives them.

        Returns:
            What was done.
        """
        database_id = _id_in(name)
        database = await self._databases.find(
            database_id, uid=None, space_id="", lock=True, or_dropped=True
        )
        if database is not None:
            await self._complete(database, owners_apart=kind == "login of both owners")
            if database.deleted_at is not None:
                await self._databases.close_again(database_id)
            done = f"completed the database {database_id}"
        elif kind == "role without database":
            await self._databases.drop_schemas(database_id, [])
            done = f"dropped the roles of {database_id}"
        else:
            await self._databases.drop_schemas(database_id, await self._orphans(kind, name))
            await self._databases.forget_schema(name)
            done = f"dropped what was left of {database_id}"
        await self._audit.record("repair", OPERATOR, database_id=database_id, details={kind: name})
        return done

    async def renew_logins(self, database_id: int) -> None:
        """Let the logins of a live database in again, whose passwords come from another secret."""
        database = await self._databases.find(database_id, uid=None, space_id="", lock=True)
        if database is None:
            return
        await self._complete(database)
        await self._audit.record("renew_logins", OPERATOR, database_id=database_id)

    async def _orphans(self, kind: str, name: str) -> list[SchemaName]:
        return [SchemaName(name)] if kind == "schema without rows" else []

    async def _complete(self, database: DatabaseMeta, *, owners_apart: bool = False) -> None:
        rows = {each.env: each for each in await self._databases.schemas(database.id)}
        names = {
            environment: SchemaName(rows[environment].schema_name)
            if environment in rows
            else SchemaName.of(environment, database.uid, database.id)
            for environment in Environment
        }
        await self._databases.make_schemas(
            database.id, names, verifiers(self._master_secret, database.id)
        )
        missing = [
            SchemaMeta(
                id=self._ids.next(),
                database_id=database.id,
                env=environment,
                schema_name=name.name,
                create_by=OPERATOR,
                update_by=OPERATOR,
            )
            for environment, name in names.items()
            if environment not in rows
        ]
        if missing:
            await self._databases.insert_schemas(missing)
        if database.owners_apart or owners_apart:
            await self._databases.separate_owners(
                database.id, own_verifiers(self._master_secret, database.id)
            )


def verifiers(master_secret: str, database_id: int) -> Mapping[RoleName, str]:
    """The SCRAM verifier of each login of a database."""
    logins = [RoleName.app(environment, database_id) for environment in Environment]
    return _verifiers(master_secret, [*logins, RoleName.ddl(database_id)])


def own_verifiers(master_secret: str, database_id: int) -> Mapping[RoleName, str]:
    """The SCRAM verifiers of the logins that a database whose owners are apart has besides."""
    return _verifiers(master_secret, [RoleName.own(each, database_id) for each in Environment])


def _verifiers(master_secret: str, logins: Sequence[RoleName]) -> Mapping[RoleName, str]:
    return {login: scram_verifier(derive(master_secret, login.name)) for login in logins}


def _id_in(name: str) -> int:
    """The database's id in the name of a schema, of a role, or by itself."""
    found = re.search(r"(?:^d?|_)(\d{10,19})(?:_(?:prod|test|ddl|app|c)|$)", name)
    if found is None:
        raise ValueError(f"no database id in {name}")
    return int(found[1])
