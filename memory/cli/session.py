"""What commands share: the services for one transaction, and the way to say things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer
from sqlmodel.ext.asyncio.session import AsyncSession

from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.instances.service import InstanceLeases
from memory.services import Services


def say(line: str) -> None:
    """A line for the operator, at once, even into a pipe."""
    typer.echo(line)


@asynccontextmanager
async def service_session(settings: Settings) -> AsyncIterator[tuple[Services, AsyncSession]]:
    """The services and a transaction, committed at the end; ids can be made in it."""
    if settings.dsn is None or settings.master_secret is None:
        raise RuntimeError("the settings name no server")
    database = Database(create_engine(settings.dsn, settings, pooled=False))
    services = Services(settings, database, settings.master_secret.get_secret_value())
    leases = InstanceLeases(database, services.ids)
    await leases.acquire()
    try:
        async with AsyncSession(database.engine) as session, session.begin():
            yield services, session
    finally:
        await leases.release()
        await database.close()
