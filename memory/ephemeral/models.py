from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String
from sqlmodel import Field

from memory.records import ControlRow, moment


class ReaperDelay(ControlRow, table=True):
    """A database that is due and that the reaper leaves alone until a moment, and why."""

    __tablename__ = "reaper_delay"

    database_id: int = Field(
        sa_column=Column(
            BigInteger,
            ForeignKey("pgtwin.database_meta.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        )
    )
    reason: str = Field(sa_column=Column(String(200), nullable=False))
    failures: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    retry_at: datetime = Field(sa_column=moment(nullable=False))
