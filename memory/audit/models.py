from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from memory.records import ControlRow, created_at


class AuditEntry(ControlRow, table=True):
    """Who did what to which database; the service can add entries and change none."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_database_id", "database_id", "id"),
        Index("ix_audit_entry_uid", "uid", "id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    create_at: datetime = Field(default=None, sa_column=created_at())
    sid: str = Field(sa_column=Column(String(64), nullable=False))
    uid: str = Field(sa_column=Column(String(64), nullable=False))
    app_id: str = Field(default="", sa_column=Column(String(64), nullable=False, server_default=""))
    key_id: int | None = Field(default=None, sa_column=Column(BigInteger))
    action: str = Field(sa_column=Column(String(40), nullable=False))
    database_id: int | None = Field(default=None, sa_column=Column(BigInteger))
    details: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
