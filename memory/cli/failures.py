"""Which exceptions are for the operator, without a traceback."""

import asyncpg
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from core.errors import AppError
from core.postgres.embedded import EmbeddedServerError
from core.postgres.errors import one_line
from core.postgres.startup import StartupError
from core.settings import SettingsError
from memory.api_keys.errors import KeyCommandError

_FOR_THE_OPERATOR = (
    SettingsError,
    StartupError,
    EmbeddedServerError,
    KeyCommandError,
    CommandError,
    AppError,
    OSError,
)


def in_one_line(error: Exception) -> str | None:
    """The message for the operator; None: a fault of the program's, to be shown whole."""
    if isinstance(error, DBAPIError | asyncpg.PostgresError):
        return f"PostgreSQL: {one_line(error)}"
    if isinstance(error, AppError) and isinstance(
        error.__cause__, DBAPIError | asyncpg.PostgresError
    ):
        # A caller must not see it, and gets a sid to look it up by; the operator has only this.
        return f"{error}: {one_line(error.__cause__)}"
    return str(error) if isinstance(error, _FOR_THE_OPERATOR) else None
