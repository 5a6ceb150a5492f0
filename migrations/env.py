"""Alembic's environment; `memory.control_schema` calls it with a connection of its own."""

from typing import Any

from alembic import context
from sqlalchemy import Connection

import memory.tables  # noqa: F401  every model, so that autogenerate sees them all
from memory.records import CONTROL_SCHEMA, ControlRow


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    return name == CONTROL_SCHEMA if kind == "schema" else True


OPTIONS: dict[str, Any] = {
    "target_metadata": ControlRow.metadata,
    "version_table_schema": CONTROL_SCHEMA,
    "include_schemas": True,
    "include_name": include_name,
    "compare_server_default": True,
}


def run_offline() -> None:
    context.configure(dialect_name="postgresql", literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online(connection: Connection) -> None:
    context.configure(connection=connection, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online(context.config.attributes["connection"])
