from collections.abc import Awaitable, Callable

from core.errors import AppError, DatabaseUnavailable
from memory.statements.directory import Directory
from memory.statements.failures import GONE, LOCKED_OUT


class Recovery:
    """What is looked at after work in a database has failed.

    Args:
        renew_logins: gives a database's logins the passwords that the service derives.
    """

    def __init__(
        self, directory: Directory, renew_logins: Callable[[int], Awaitable[None]]
    ) -> None:
        self._directory = directory
        self._renew_logins = renew_logins

    async def confirm(self, error: AppError, database_id: int) -> None:
        """Look whether the database is still there, where the error may come from its end.

        Raises:
            DatabaseNotFound
        """
        if error.sqlstate in GONE or isinstance(error, DatabaseUnavailable):
            await self._directory.confirm(database_id)

    async def renew(self, error: AppError, database_id: int) -> None:
        """Let the logins of a database that is there in again, if they were locked out, for they
        have another secret's passwords; then the work is worth trying once more.

        Raises:
            AppError: the error itself; it had another reason.
        """
        if error.sqlstate not in LOCKED_OUT:
            raise error
        await self._renew_logins(database_id)
