"""Logins for tenants' SQL."""

from collections.abc import Mapping
from typing import Any

from core.errors import DatabaseUnavailable
from core.postgres.known_statements import known_statements
from core.postgres.messages import query
from core.postgres.server_login import ServerLogin
from core.postgres.spare_socket import SpareSocket
from core.postgres.tenant_connection import CANCEL_GRACE, TenantConnection

# How the text forms look that core.postgres.values reads.
TEXT_FORMS = {
    "bytea_output": "hex",
    "datestyle": "ISO",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
}


async def connect_tenant(
    dsn: str, *, user: str | None = None, password: str | None = None, **options: Any
) -> TenantConnection:
    """Log in once.

    Args:
        options: of `TenantServer`.

    Raises:
        DatabaseUnavailable: there is no connection within its time.
    """
    return await TenantServer(dsn, **options).log_in(user, password)


class TenantServer:
    """
    Args:
        timeout: seconds for the login, and for statements that do not go through `run`.
        byte_limit: what one `run` or `run_many` may answer, as PostgreSQL's messages.
        prepares: after a login it connects once more, for the next one; `close` ends that.
    """

    def __init__(
        self,
        dsn: str,
        *,
        server_settings: Mapping[str, str] | None = None,
        timeout: float,
        byte_limit: int,
        cancel_grace: float = CANCEL_GRACE,
        prepares: bool = False,
    ) -> None:
        self._byte_limit, self._cancel_grace = byte_limit, cancel_grace
        self._known = known_statements()
        given = server_settings or {}
        self._spare = SpareSocket() if prepares else None
        self._login = ServerLogin(
            dsn,
            TenantConnection,
            timeout,
            spare=self._spare,
            statement_cache_size=0,
            command_timeout=timeout,
            server_settings={"timezone": "UTC", "jit": "off", **given, **TEXT_FORMS},
        )

    def close(self) -> None:
        """Give up what was prepared for the next login."""
        if self._spare is not None:
            self._spare.close()

    async def log_in(
        self, user: str | None = None, password: str | None = None, *, beginning: str = ""
    ) -> TenantConnection:
        """Log in; nothing but the startup message is sent, and what is to begin with.

        Args:
            user, password: None: those of the URL.
            beginning: what `begin_with` will be called with. PostgreSQL does it while the driver
                is still about its part of the login, if that is one with a password.

        Raises:
            DatabaseUnavailable: there is no connection within the time.
        """
        given = {"user": user, "password": password}
        try:
            connection = await self._login(
                {name: value for name, value in given.items() if value is not None},
                query(beginning) if beginning else b"",
            )
        except (OSError, TimeoutError) as error:
            raise DatabaseUnavailable from error
        connection.byte_limit = self._byte_limit
        connection.cancel_grace = self._cancel_grace
        connection.known = self._known
        return connection
