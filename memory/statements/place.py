from dataclasses import dataclass

from core.postgres.identifiers import Environment, RoleName, SchemaName
from memory.databases.models import DatabaseEntry
from memory.statements.directory import EndUser
from memory.statements.errors import SchemaMissing


@dataclass(frozen=True, slots=True)
class Place:
    """Where statements run, and as whom.

    Attributes:
        end_user: None: the owner of the environment's tables.
    """

    database: DatabaseEntry
    environment: Environment
    end_user: EndUser | None

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
            return RoleName.ddl(self.database.id)
        return RoleName.app(self.environment, self.database.id)

    @property
    def role(self) -> RoleName | None:
        """Who acts, where it is not the login."""
        if self.end_user is None:
            return RoleName.owner(self.environment, self.database.id)
        return None
