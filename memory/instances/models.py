from datetime import datetime

from sqlalchemy import Column, DateTime, SmallInteger, String
from sqlmodel import Field

from memory.records import ControlRow


class InstanceLease(ControlRow, table=True):
    """Which worker makes ids with an instance number, and until when."""

    __tablename__ = "instance_lease"

    instance: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    holder: str = Field(sa_column=Column(String(64), nullable=False))
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
