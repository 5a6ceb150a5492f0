from datetime import datetime

from sqlalchemy import BigInteger, Column, LargeBinary, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from memory.records import ControlRow, created_at, moment


class ApiKey(ControlRow, table=True):
    """A key that may call `/v1`; its secret is not here, only the secret's hash."""

    __tablename__ = "api_key"

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    prefix: str = Field(sa_column=Column(String(12, collation="C"), nullable=False, unique=True))
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    name: str = Field(default="", sa_column=Column(String(64), nullable=False, server_default=""))
    uid: str | None = Field(default=None, sa_column=Column(String(64, collation="C")))
    app_id: str | None = Field(default=None, sa_column=Column(String(64)))
    spaces: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")),
    )
    scopes: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")),
    )
    create_at: datetime = Field(default=None, sa_column=created_at())
    create_by: str = Field(sa_column=Column(String(64), nullable=False))
    expires_at: datetime | None = Field(default=None, sa_column=moment())
    revoked_at: datetime | None = Field(default=None, sa_column=moment())
    last_used_at: datetime | None = Field(default=None, sa_column=moment())
