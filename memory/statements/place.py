from dataclasses import dataclass, replace
from typing import Self

from core.postgres.identifiers import Environment, RoleName, SchemaName
from memory.databases.models import DatabaseEntry
from memory.statements.directory import EndUser
from memory.statements.errors import SchemaMissing


@dataclass(frozen=True, slots=True)
class Place:
    """Where statements run, and as whom.

    Attributes:
        end_user: None: the owner of the environment's tables.
        spans: the call goes on in the other environment, in the same transaction.
    """

    database: DatabaseEntry
    environment: Environment
    end_user: EndUser | None
    spans: bool = False

    @property
    def schema(self) -> SchemaName:
        """
        Raises:
            SchemaMissing: the database has lost it.
        """
        name = self.database.schemas.get(self.environment)
        if name is None:
            raise SchemaMissing
        return SchemaName(name)

    @property
    def login(self) -> RoleName:
        if self.end_user is None:
            if self.database.owners_apart and not self.spans:
                return RoleName.own(self.environment, self.database.id)
            return RoleName.ddl(self.database.id)
        return RoleName.app(self.environment, self.database.id)

    @property
    def is_lent(self) -> bool:
        """Whether the login may not become who acts, but for the service's loan."""
        return self.end_user is None and self.database.owners_apart and self.spans

    @property
    def is_signed(self) -> bool:
        """Whether who acts is said with a signature, which holds for one session."""
        return self.end_user is not None or self.is_lent

    def with_owners_apart(self) -> Self:
        """The same, in a database whose owners were set apart meanwhile."""
        return replace(self, database=replace(self.database, owners_apart=True))

    @property
    def role(self) -> RoleName | None:
        """Who acts, where it is not the login."""
        if self.end_user is None:
            return RoleName.owner(self.environment, self.database.id)
        return None
