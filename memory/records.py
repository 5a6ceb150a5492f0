"""The base of the control schema's models."""

from collections.abc import Mapping
from typing import Any, Self, cast

import asyncpg
import orjson
from sqlalchemy import Column, DateTime, FetchedValue, MetaData, text
from sqlmodel import SQLModel

CONTROL_SCHEMA = "pgtwin"
# Constraints get names that migrations, and errors, can count on.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class ControlRow(SQLModel):
    """A row of the control schema; PostgreSQL keeps its timestamps."""

    metadata = MetaData(schema=CONTROL_SCHEMA, naming_convention=NAMING)

    @classmethod
    def of(cls, row: Mapping[str, Any] | asyncpg.Record) -> Self:
        """A row as the driver gave it; to be read, for no session watches it."""
        return cast("Self", cls.model_construct(**row))

    def to_json(self) -> bytes:
        """The row as JSON: timestamps in RFC 3339, ids as numbers."""
        return orjson.dumps(self.model_dump(), option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def created_at() -> Any:
    return Column(DateTime(timezone=True), nullable=False, server_default=text("now()"))


def updated_at() -> Any:
    """Set by a trigger on every update."""
    return Column(
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now()"),
        server_onupdate=FetchedValue(),
    )


def moment(*, nullable: bool = True) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)
