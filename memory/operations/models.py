from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from memory.records import ControlRow, created_at, moment, updated_at


class OperationState(StrEnum):
    SCHEDULING = "scheduling"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


OPEN = (OperationState.SCHEDULING, OperationState.RUNNING, OperationState.CANCELLING)


class Operation(ControlRow, table=True):
    """Work that takes more than one transaction, and is taken over where its worker died."""

    __tablename__ = "operation"
    __table_args__ = (
        Index(
            "ix_operation_heartbeat_at",
            "heartbeat_at",
            postgresql_where=text("state IN ('scheduling', 'running', 'cancelling')"),
        ),
        Index("ix_operation_database_id", "database_id"),
        Index("ix_operation_uid", "uid", "id"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(String(40), nullable=False))
    state: str = Field(sa_column=Column(String(20), nullable=False))
    step: str = Field(default="", sa_column=Column(String(40), nullable=False, server_default=""))
    done: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    total: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    uid: str = Field(sa_column=Column(String(64, collation="C"), nullable=False))
    database_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    arguments: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    owner: str = Field(sa_column=Column(String(64), nullable=False))
    attempts: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    heartbeat_at: datetime = Field(default=None, sa_column=created_at())
    create_at: datetime = Field(default=None, sa_column=created_at())
    update_at: datetime = Field(default=None, sa_column=updated_at())
    finished_at: datetime | None = Field(default=None, sa_column=moment())
