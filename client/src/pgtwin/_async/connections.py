from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

from pgtwin import models
from pgtwin._async.calls import Calls, Environment


class ConnectionCalls(Calls):
    """Logins of one environment, for drivers and programs."""

    async def create_connection(
        self,
        database_id: int,
        *,
        env: Environment = "prod",
        mode: Literal["read_write", "read_only"] = "read_write",
        name: str | None = None,
        connection_limit: int | None = None,
        ttl_seconds: int | None = None,
        expires_at: datetime | None = None,
    ) -> models.Connection:
        """Make a login of one environment, whose URI is shown once."""
        made = await self._post(
            "create_connection",
            database_id=database_id,
            env=env,
            mode=mode,
            name=name,
            connection_limit=connection_limit,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
        )
        return models.Connection.of(made)

    async def rotate_connection(self, connection_id: int) -> models.Connection:
        """Give a connection another login and password; the old ones are ended."""
        made = await self._post("rotate_connection", connection_id=connection_id)
        return models.Connection.of(made)

    async def revoke_connection(self, connection_id: int) -> None:
        """End a connection and its sessions."""
        await self._post("revoke_connection", connection_id=connection_id)

    async def list_connections(
        self, database_id: int, *, page_size: int = 100
    ) -> AsyncIterator[models.Connection]:
        """A database's connections, the newest first, those that have ended too."""
        path = f"databases/{database_id}/connections"
        async for found in self._pages(path, "connections", {"limit": page_size}):
            yield models.Connection.of(found)
