from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, String, text
from sqlmodel import Field

from core.postgres.identifiers import RoleName
from memory.records import ControlRow, created_at, moment, updated_at


class Mode(StrEnum):
    READ_WRITE = "read_write"
    READ_ONLY = "read_only"


class ConnectionStatus(StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Connection(ControlRow, table=True):
    """A login of a database that was given out; its password is not here."""

    __tablename__ = "connection"
    __table_args__ = (
        Index("ix_connection_database_id", "database_id", "id"),
        Index(
            "ix_connection_active_expires_at",
            "expires_at",
            postgresql_where=text("status = 'active'"),
        ),
        CheckConstraint("env IN ('prod', 'test')", name="env_is_known"),
        CheckConstraint("mode IN ('read_write', 'read_only')", name="mode_is_known"),
        CheckConstraint("connection_limit > 0", name="limit_is_positive"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    database_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("pgtwin.database_meta.id", ondelete="CASCADE"), nullable=False
        )
    )
    name: str = Field(default="", sa_column=Column(String(64), nullable=False, server_default=""))
    env: str = Field(sa_column=Column(String(4), nullable=False))
    mode: str = Field(sa_column=Column(String(10), nullable=False))
    # The role is another after each rotation.
    role_id: int = Field(sa_column=Column(BigInteger, nullable=False, unique=True))
    connection_limit: int = Field(sa_column=Column(Integer, nullable=False))
    status: str = Field(
        default=ConnectionStatus.ACTIVE,
        sa_column=Column(String(20), nullable=False, server_default=ConnectionStatus.ACTIVE.value),
    )
    expires_at: datetime | None = Field(default=None, sa_column=moment())
    rotated_at: datetime | None = Field(default=None, sa_column=moment())
    ended_at: datetime | None = Field(default=None, sa_column=moment())
    create_at: datetime = Field(default=None, sa_column=created_at())
    update_at: datetime = Field(default=None, sa_column=updated_at())
    create_by: str = Field(sa_column=Column(String(64), nullable=False))
    update_by: str = Field(sa_column=Column(String(64), nullable=False))

    @property
    def role(self) -> RoleName:
        return RoleName.connection(self.database_id, self.role_id)


class RetiredRole(ControlRow, table=True):
    """A role that lets nobody in any more, and is still to be dropped."""

    __tablename__ = "retired_role"

    role_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    database_id: int = Field(
        sa_column=Column(
            BigInteger, ForeignKey("pgtwin.database_meta.id", ondelete="CASCADE"), nullable=False
        )
    )
    retired_at: datetime = Field(default=None, sa_column=created_at())
