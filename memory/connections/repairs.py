"""Mends for connections of which the catalog and the control schema know different things."""

import re

from memory.audit.service import AuditTrail
from memory.connections.models import ConnectionStatus
from memory.connections.repository import ConnectionRepository

OPERATOR = "pgtwind"
KINDS = ("role without connection", "connection without role")


class ConnectionRepairs:
    """A role that nobody can have the password of by right is dropped; a connection without a
    role, whose password is known to its holder alone, has ended."""

    def __init__(self, connections: ConnectionRepository, audit: AuditTrail) -> None:
        self._connections = connections
        self._audit = audit

    async def mend(self, kind: str, name: str) -> str:
        """Mend one difference.

        Args:
            kind: one of `KINDS`.
            name: the role's.

        Returns:
            What was done.
        """
        found = re.fullmatch(r"d(\d{10,19})_c(\d{10,19})", name)
        if found is None:
            raise ValueError(f"no connection's role: {name}")
        database_id, role_id = int(found[1]), int(found[2])
        if kind == "role without connection":
            await self._connections.drop_role(database_id, role_id)
            done = f"dropped the role {name}"
        else:
            connection = await self._connections.by_role(database_id, role_id)
            if connection is not None:
                await self._connections.end(connection, ConnectionStatus.REVOKED, OPERATOR)
            done = "revoked the connection"
        await self._audit.record("repair", OPERATOR, database_id=database_id, details={kind: name})
        return done
