"""What is done to databases between the commit of a request and its answer."""

from collections.abc import Sequence

from core.errors import AppError
from core.postgres.engine import Database
from core.telemetry import logger
from memory.databases.repository import DatabaseRepository

log = logger("pgtwin.databases")


async def end_sessions(database: Database, database_ids: Sequence[int]) -> None:
    """End the sessions that were let in before the closing of databases was committed."""
    try:
        await database.reading(
            lambda session: DatabaseRepository(session).end_sessions(database_ids)
        )
    except AppError as error:
        # The reaper ends them as it comes by.
        log.warning("sessions could not be ended at once", cause=repr(error))
