from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

import asyncpg
from pydantic import Field

from core.postgres.identifiers import Environment
from memory.api.envelope import Answer
from memory.databases.models import DROPPED, DatabaseMeta, DatabaseStatus
from memory.inputs import (
    MOST_LABELS,
    AppId,
    DatabaseAddress,
    DatabaseName,
    Description,
    Ending,
    Environments,
    Input,
    Labels,
    LabelText,
    SpaceId,
    Uid,
)
from memory.operations.models import Operation


class Lifecycle(Ending):
    """What becomes of a database, as it is said when it is made."""

    V1_ONLY = frozenset({"expires_at", "ttl_seconds", "labels", "protected"})

    labels: Labels = Field(default_factory=dict)
    protected: bool = Field(False, description="A protected database can't be dropped")


class CreateDatabase(Lifecycle):
    database_name: DatabaseName
    uid: Uid | None = None
    description: Description | None = None
    space_id: SpaceId = ""


class DropDatabase(DatabaseAddress):
    V1_ONLY = frozenset({"purge"})

    purge: bool = Field(
        False, description="At once and for good; also of one that was dropped before"
    )


class CloneData(StrEnum):
    ALL = "all"
    NONE = "none"


class CloneDatabase(DatabaseAddress, Lifecycle):
    V1_ONLY = Lifecycle.V1_ONLY | {"env", "data"}

    new_database_name: DatabaseName
    env: Environments = Field(
        Environments.BOTH, description="What is copied; the other environment is empty"
    )
    data: CloneData = Field(
        CloneData.ALL, description="`none` copies the definition without the rows"
    )


class AppGrant(DatabaseAddress):
    """An application that may run SQL in the database for its end users."""

    app_id: AppId


class ModifyDescription(DatabaseAddress):
    description: Description | None = None


INCLUDE_DROPPED = Field(False, description="Also those that were dropped and can be restored")


class DescribeDatabase(Input):
    include_dropped: bool = INCLUDE_DROPPED


class ListDatabases(Input):
    """Filters and page of a listing, as query parameters."""

    uid: Uid | None = None
    space_id: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] | None = None
    name_prefix: Annotated[str, Field(max_length=20, pattern=r"^[^\x00]*$")] | None = None
    label: list[LabelText] = Field([], max_length=MOST_LABELS)
    include_dropped: bool = INCLUDE_DROPPED
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=100)] | None = None


class DatabaseRef(Answer):
    database_id: int
    database_id_str: str

    @classmethod
    def of(cls, database: DatabaseMeta) -> Self:
        return cls(database_id=database.id, database_id_str=str(database.id))


class DroppedRef(DatabaseRef):
    """A database that was dropped."""

    restorable_until: datetime | None = Field(
        description="Until when restore_database brings it back; null: it is gone"
    )

    @classmethod
    def of_drop(cls, database: DatabaseMeta, restorable_until: datetime | None) -> Self:
        ref = DatabaseRef.of(database)
        return cls(**ref.__dict__, restorable_until=restorable_until)


class CloneRef(DatabaseRef):
    """The copy, and the operation that made it."""

    operation_id: int
    operation_id_str: str

    @classmethod
    def of_operation(cls, operation: Operation) -> Self:
        return cls(
            database_id=operation.database_id,
            database_id_str=str(operation.database_id),
            operation_id=operation.id,
            operation_id_str=str(operation.id),
        )


class DatabaseSummary(DatabaseRef):
    uid: str
    name: str
    description: str | None
    space_id: str
    status: str = Field(
        description=", ".join(f"`{status}`" for status in (DatabaseStatus.READY, DROPPED))
    )
    labels: dict[str, str]
    protected: bool
    create_at: datetime
    update_at: datetime
    create_by: str
    update_by: str
    expires_at: datetime | None
    dropped_at: datetime | None
    restorable_until: datetime | None

    @classmethod
    def of(cls, database: DatabaseMeta) -> Self:
        return cls(**_summary(database.__dict__))


class SchemaDetail(Answer):
    env: Environment
    schema_name: str
    size_bytes: int
    tables: int
    create_at: datetime
    update_at: datetime
    create_by: str
    update_by: str

    @classmethod
    def of_row(cls, row: asyncpg.Record) -> Self:
        return cls(
            env=row["s_env"],
            schema_name=row["s_schema_name"],
            size_bytes=row["size_bytes"],
            tables=row["tables"],
            create_at=row["s_create_at"],
            update_at=row["s_update_at"],
            create_by=row["s_create_by"],
            update_by=row["s_update_by"],
        )


class DatabaseDetail(DatabaseSummary):
    schemas: list[SchemaDetail]

    @classmethod
    def of_rows(cls, rows: Sequence[asyncpg.Record]) -> Self:
        """From the rows of a database with each of its schemas."""
        return cls(**_summary(rows[0]), schemas=[SchemaDetail.of_row(row) for row in rows])


class DatabasePage(Answer):
    databases: list[DatabaseSummary]
    next_cursor: str | None


def _summary(row: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    """The fields of a summary, from a row of `database_meta`."""
    fields = {name: row[name] for name in _SUMMARY}
    if row["deleted_at"] is not None:
        fields["status"] = DROPPED
    return fields | {
        "database_id": row["id"],
        "database_id_str": str(row["id"]),
        "dropped_at": row["deleted_at"],
    }


_OTHERWISE = DatabaseRef.model_fields.keys() | {"dropped_at"}
_SUMMARY = tuple(DatabaseSummary.model_fields.keys() - _OTHERWISE)
