"""What commands share: the services, and the way to say things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer

from core.postgres.engine import Database, create_engine
from core.settings import Settings
from memory.instances.service import InstanceLeases
from memory.services import Services


def say(line: str) -> None:
    """A line for the operator, at once, even into a pipe."""
    typer.echo(line)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """The services, with ids to be made, for as long as a command runs."""
    if settings.dsn is None or settings.master_secret is None:
        raise RuntimeError("the settings name no server")
    database = Database(create_engine(settings.dsn, settings, pooled=False))
    services = Services(settings, database, settings.master_secret.get_secret_value())
    leases = InstanceLeases(database, services.ids)
    await leases.acquire()
    try:
        yield services
    finally:
        await leases.release()
        await database.close()
