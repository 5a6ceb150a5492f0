from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from memory.api.envelope import Answer
from memory.databases.models import DatabaseMeta
from memory.databases.schemas import DatabaseRef
from memory.inputs import DatabaseAddress, DatabaseName, Ending, Input, Labels, SpaceId, Uid


class SetExpiration(DatabaseAddress, Ending):
    """A null `expires_at` clears the expiry."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if "expires_at" not in self.model_fields_set and self.ttl_seconds is None:
            raise ValueError("give expires_at, which may be null, or ttl_seconds")
        return self


class SetLabels(DatabaseAddress):
    """All labels, in the place of those that there are."""

    labels: Labels


class SetProtection(DatabaseAddress):
    protected: bool


class RestoreDatabase(DatabaseAddress):
    new_name: DatabaseName | None = Field(
        None, description="In the place of the old name, which another may have by now"
    )


class DropDatabases(Input):
    labels: Annotated[Labels, Field(min_length=1)] = Field(
        description="Drops the databases that carry all of these"
    )
    uid: Uid | None = None
    space_id: SpaceId = ""
    purge: bool = Field(False, description="At once and for good")


class ExpirationSet(DatabaseRef):
    expires_at: datetime | None


class LabelsSet(DatabaseRef):
    labels: dict[str, str]


class ProtectionSet(DatabaseRef):
    protected: bool


class RestoredRef(DatabaseRef):
    database_name: str


class DroppedDatabases(Answer):
    """What a drop by labels has done.

    `protected` are those that stay; with `more`, the same call drops further ones.
    """

    dropped: list[DatabaseRef]
    protected: list[DatabaseRef]
    more: bool


def ref(database: DatabaseMeta) -> dict[str, int | str]:
    """The fields with the id of a database."""
    return {"database_id": database.id, "database_id_str": str(database.id)}
