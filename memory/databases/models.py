from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    String,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from core.postgres.identifiers import Environment
from memory.records import ControlRow, created_at, moment, updated_at

_ENVIRONMENT = Enum(
    Environment, native_enum=False, length=4, values_callable=lambda kind: list(kind)
)


class DatabaseStatus(StrEnum):
    """Only a ready database is visible to its users."""

    READY = "ready"
    CLONING = "cloning"


# Of a database that was dropped and can be brought back, as it is shown; it is in no row.
DROPPED = "dropped"


class DatabaseMeta(ControlRow, table=True):
    """A database that was handed out; with `deleted_at`, the tombstone of one.

    With `restorable_until` too, all of it is there yet: its logins, those in `closed_roles`, are
    shut until it is restored or purged.
    """

    __tablename__ = "database_meta"
    __table_args__ = (
        Index(
            "uq_database_meta_live_name",
            "uid",
            "space_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_database_meta_uid", "uid", "id"),
        Index("ix_database_meta_space_id", "space_id", "id"),
        Index("ix_database_meta_name", "name"),
        Index(
            "ix_database_meta_expires_at",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_database_meta_restorable_until",
            "restorable_until",
            postgresql_where=text("restorable_until IS NOT NULL"),
        ),
        Index(
            "ix_database_meta_labels",
            "labels",
            postgresql_using="gin",
            postgresql_where=text("labels <> '{}'::jsonb"),
        ),
        CheckConstraint("id >= 2147483648", name="id_is_wide"),
        CheckConstraint(
            "restorable_until IS NULL OR deleted_at IS NOT NULL", name="only_dropped_is_restorable"
        ),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    uid: str = Field(sa_column=Column(String(64, collation="C"), nullable=False))
    name: str = Field(sa_column=Column(String(20, collation="C"), nullable=False))
    description: str | None = Field(default=None, sa_column=Column(String(200)))
    space_id: str = Field(
        default="", sa_column=Column(String(64, collation="C"), nullable=False, server_default="")
    )
    status: str = Field(
        default=DatabaseStatus.READY,
        sa_column=Column(String(20), nullable=False, server_default=DatabaseStatus.READY.value),
    )
    cluster_id: str = Field(
        default="", sa_column=Column(String(64), nullable=False, server_default="")
    )
    template: str | None = Field(default=None, sa_column=Column(String(64)))
    template_version: str | None = Field(default=None, sa_column=Column(String(64)))
    create_at: datetime = Field(default=None, sa_column=created_at())
    update_at: datetime = Field(default=None, sa_column=updated_at())
    create_by: str = Field(sa_column=Column(String(64), nullable=False))
    update_by: str = Field(sa_column=Column(String(64), nullable=False))
    deleted_at: datetime | None = Field(default=None, sa_column=moment())
    expires_at: datetime | None = Field(default=None, sa_column=moment())
    # Whether no login may become both environments' owners; since its first read-write connection.
    owners_apart: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false"))
    )
    labels: dict[str, str] = Field(
        default={}, sa_column=Column(JSONB, nullable=False, server_default=text("'{}'"))
    )
    protected: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false"))
    )
    restorable_until: datetime | None = Field(default=None, sa_column=moment())
    closed_roles: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))


class SchemaMeta(ControlRow, table=True):
    """One environment of a database; `schema_name` is the truth about its schema."""

    __tablename__ = "schema_meta"
    __table_args__ = (
        Index("uq_schema_meta_database_id_env", "database_id", "env", unique=True),
        Index("uq_schema_meta_schema_name", "schema_name", unique=True),
        CheckConstraint("env IN ('prod', 'test')", name="env_is_known"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    database_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("pgtwin.database_meta.id", ondelete="CASCADE"), nullable=False
        )
    )
    env: Environment = Field(sa_column=Column(_ENVIRONMENT, nullable=False))
    schema_name: str = Field(sa_column=Column(String(63, collation="C"), nullable=False))
    create_at: datetime = Field(default=None, sa_column=created_at())
    update_at: datetime = Field(default=None, sa_column=updated_at())
    create_by: str = Field(sa_column=Column(String(64), nullable=False))
    update_by: str = Field(sa_column=Column(String(64), nullable=False))


class AppGrant(ControlRow, table=True):
    """An application that may run SQL in a database for its end users."""

    __tablename__ = "app_grant"

    database_id: int = Field(
        sa_column=Column(
            BigInteger,
            ForeignKey("pgtwin.database_meta.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        )
    )
    app_id: str = Field(sa_column=Column(String(64, collation="C"), primary_key=True))
    create_at: datetime = Field(default=None, sa_column=created_at())
    create_by: str = Field(sa_column=Column(String(64), nullable=False))


@dataclass(frozen=True, slots=True)
class DatabaseEntry:
    """What running SQL in a database needs to know of it.

    Attributes:
        uid: its owner.
        apps: the applications that it is granted to.
        owners_apart: no login of it may become both environments' owners.
    """

    id: int
    uid: str
    space_id: str
    schemas: Mapping[Environment, str]
    apps: frozenset[str]
    owners_apart: bool = False


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Labels that a database carries all of.

    Attributes:
        pairs: with these values.
        keys: with any value.
    """

    pairs: Sequence[Mapping[str, str]] = ()
    keys: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs or self.keys)

    @classmethod
    def of(cls, given: Sequence[str]) -> Self:
        """From texts of the form `key=value` or `key`."""
        split = [text.partition("=") for text in given]
        return cls(
            [{key: value} for key, sign, value in split if sign],
            [key for key, sign, _ in split if not sign],
        )
