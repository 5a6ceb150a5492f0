from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
)
from sqlmodel import Field

from memory.operations.models import OperationState
from memory.records import CONTROL_SCHEMA, ControlRow, created_at


class StoredAnswer(ControlRow, table=True):
    """The answer to a request that came with an Idempotency-Key and succeeded.

    Attributes:
        operation_id: the operation that decides whether the answer holds; None: it does.
    """

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_expires_at", "expires_at"),)

    caller: str = Field(sa_column=Column(String(160, collation="C"), primary_key=True))
    key: str = Field(sa_column=Column(String(255, collation="C"), primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int = Field(sa_column=Column(SmallInteger, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    operation_id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger, ForeignKey(f"{CONTROL_SCHEMA}.operation.id")),
    )
    create_at: datetime = Field(default=None, sa_column=created_at())
    expires_at: datetime = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=False)
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored under a key.

    Attributes:
        state: that of the operation that decides whether the answer holds; None: it does.
    """

    digest: bytes
    status: int
    body: bytes
    state: OperationState | None
