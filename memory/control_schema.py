"""The control schema's version: where it is, where it should be, and the way there."""

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations
from core.postgres.locks import Lock, key_of
from memory.records import CONTROL_SCHEMA

OWNER = "pgtwin_owner"


def newest_revision() -> str:
    """The revision that this release of the service works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("the release has no migrations")
    return head


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision that the database is at; None: no migration ran yet."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision)


async def migrate(engine: AsyncEngine, to: str = "head") -> tuple[str | None, str | None]:
    """Bring the control schema to a revision, up or down, in one transaction.

    Several services may start at once: the first migrates, the others wait and find it done.

    Args:
        engine: logs in as the control schema's owner, or as someone who may become it.
        to: `head`, `base`, a revision, or a relative one such as `-1`.

    Returns:
        The revisions before and after.

    Raises:
        alembic.util.CommandError: there is no such revision.
    """
    async with engine.connect() as connection, connection.begin():
        lock = {"lock": int(Lock.MIGRATION), "key": key_of("")}
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock, :key)"), lock)
        await connection.execute(text(f"SET LOCAL ROLE {OWNER}"))
        await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        before = await connection.run_sync(_revision)
        await connection.run_sync(_move, to)
        return before, await connection.run_sync(_revision)


def migration_sql(to: str = "head") -> str:
    """The SQL that brings an empty control schema to a revision, for review or for psql."""
    output = io.StringIO()
    command.upgrade(_config(output), to, sql=True)
    return output.getvalue()


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output else Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": CONTROL_SCHEMA})
    return context.get_current_revision()


def _move(connection: Connection, to: str) -> None:
    if not to.strip():
        raise CommandError("a revision is needed: head, base, a revision, or a step such as -1")
    config = _config()
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    here = _revision(connection)
    if to == "base" or to.startswith("-") or _lies_below(script, to, here):
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)


def _lies_below(script: ScriptDirectory, target: str, here: str | None) -> bool:
    if here is None or target in ("head", "heads") or target.startswith("+"):
        return False
    wanted = script.get_revision(target).revision
    return wanted != here and any(
        revision.revision == wanted for revision in script.iterate_revisions(here, "base")
    )
