from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, SmallInteger, String
from sqlmodel import Field

from memory.records import ControlRow


class InstanceLease(ControlRow, table=True):
    """Which worker makes ids with an instance number, until when, and how they are stamped.

    There is a row for each number from the start, and the service removes none: a number whose
    row is gone is never leased again, for nobody knows which ids it was used for.

    `stamped_until` is in Unix milliseconds; no id with this number has a later stamp.
    """

    __tablename__ = "instance_lease"

    instance: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    holder: str = Field(sa_column=Column(String(64), nullable=False))
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    stamped_until: int = Field(sa_column=Column(BigInteger, nullable=False, server_default="0"))
