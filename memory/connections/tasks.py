"""Ends connections whose time has come, and drops the roles that were closed."""

import asyncio

from core.errors import AppError
from core.postgres.engine import Database, Session
from core.telemetry import logger
from memory.audit.service import AuditTrail
from memory.connections.models import Connection, ConnectionStatus
from memory.connections.repository import ConnectionRepository
from memory.connections.service import audited

INTERVAL_SECONDS = 2.0
# A login that was let in while its role was being closed is listed by then.
LINGER_SECONDS = 5.0
BATCH = 100
OPERATOR = "pgtwind"

log = logger("pgtwin.connections")


async def keep_ending(database: Database) -> None:
    """Look for them until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await end_expired(database)
            await drop_retired(database)
        except AppError as error:
            log.warning("connections could not be ended", cause=repr(error))


async def end_expired(database: Database) -> None:
    """End all that have expired, in a transaction a batch, unless another worker is at it."""

    async def end_some(session: Session) -> bool:
        connections = ConnectionRepository(session)
        if not await connections.try_sweep():
            return False
        expired = await connections.expired(BATCH)
        for connection in expired:
            await connections.end(connection, ConnectionStatus.EXPIRED, OPERATOR)
            await AuditTrail.of(session).record(
                "expire_connection",
                OPERATOR,
                database_id=connection.database_id,
                details=audited(connection),
            )
        return len(expired) == BATCH

    while await database.transaction(end_some):
        pass


async def drop_retired(database: Database, linger: float = LINGER_SECONDS) -> None:
    """Drop roles that were closed a while ago, each in a transaction of its own, so that one
    which can't be dropped now keeps no other."""
    due = await database.reading(
        lambda session: ConnectionRepository(session).retired(linger, BATCH)
    )
    for database_id, role_id in due:

        async def drop(
            session: Session, database_id: int = database_id, role: int = role_id
        ) -> None:
            connections = ConnectionRepository(session)
            if await connections.try_sweep():
                await connections.drop_role(database_id, role)

        try:
            await database.transaction(drop)
        except AppError as error:
            log.warning("a role could not be dropped", cause=repr(error))


async def end_sessions(database: Database, connection: Connection) -> None:
    """End the sessions that were let in before the closing of the role was committed."""
    try:
        await database.transaction(
            lambda session: ConnectionRepository(session).close_role(
                connection.database_id, connection.role_id
            )
        )
    except AppError as error:
        # They are ended when the role is dropped.
        log.warning("sessions could not be ended at once", cause=repr(error))
