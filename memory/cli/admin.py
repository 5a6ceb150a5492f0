"""`pgtwind init`, `migrate` and `doctor`."""

import asyncio
import secrets

import orjson
import typer
from pydantic import SecretStr

from core.postgres.engine import Database, create_engine
from core.postgres.preparation import prepare
from core.postgres.startup import StartupError
from core.settings import Settings, SettingsError, postgresql_url
from core.telemetry import configure_logs
from memory import control_schema
from memory.cli.session import open_services, say
from memory.doctor.service import Finding, Level, drift, examine
from memory.runtime import check, make_ready, server


def init(admin_url: str, *, new_secret: bool, quiet: bool) -> None:
    settings = Settings.load(DATABASE_URL=None, database_host=None)
    if quiet and settings.master_secret is None:
        raise SettingsError("PGTWIN_MASTER_SECRET: required with --quiet, which prints none")
    configure_logs(settings)
    try:
        url = postgresql_url(admin_url)
    except ValueError as error:
        raise SettingsError(f"--admin-url: {error}") from None
    secret = settings.master_secret or SecretStr(secrets.token_urlsafe(32))
    ready = asyncio.run(_init(settings, url, secret, new_secret))
    if quiet:
        return
    say("# The settings of the service, for its environment or .env; keep them secret.")
    say(f"DATABASE_URL={ready.dsn}")
    say(f"PGTWIN_OWNER_URL={ready.owner_url.get_secret_value() if ready.owner_url else ''}")
    say(f"PGTWIN_MASTER_SECRET={secret.get_secret_value()}")


async def _init(settings: Settings, url: str, secret: SecretStr, new_secret: bool) -> Settings:
    prepared = await prepare(url, secret.get_secret_value(), new_secret=new_secret, log=_note)
    ready = settings.model_copy(
        update={
            "database_url": SecretStr(prepared.control_url),
            "owner_url": SecretStr(prepared.owner_url),
            "master_secret": secret,
        }
    )
    await make_ready(ready, _note)
    return ready


def _note(line: str) -> None:
    """Standard output is for the settings alone."""
    typer.echo(line, err=True)


def migrate(to: str, *, sql: bool) -> None:
    if sql:
        say(control_schema.migration_sql(to))
        return
    settings = Settings.load()
    configure_logs(settings)
    with server(settings, _note) as ready:
        before, after = asyncio.run(_migrate(ready, to))
    say(f"the control schema was at {before or 'nothing'} and is at {after or 'nothing'}")


async def _migrate(settings: Settings, to: str) -> tuple[str | None, str | None]:
    if settings.owner_url is None:
        raise StartupError("PGTWIN_OWNER_URL is needed to migrate; `pgtwind init` prints it")
    await check(settings)
    engine = create_engine(settings.owner_url.get_secret_value(), settings, pooled=False)
    try:
        return await control_schema.migrate(engine, to)
    finally:
        await engine.dispose()


def doctor(*, as_json: bool, repair: bool) -> None:
    settings = Settings.load()
    configure_logs(settings)
    with server(settings, _note) as ready:
        if repair:
            asyncio.run(_repair(ready))
        findings = asyncio.run(_examine(ready))
    if as_json:
        say(orjson.dumps([finding.as_dict() for finding in findings]).decode())
    else:
        for finding in findings:
            say(f"{finding.level:<8} {finding.subject}: {finding.message}")
            if finding.mend:
                say(f"         mend: {finding.mend}")
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(1)


async def _repair(settings: Settings) -> None:
    await make_ready(settings, _note)
    async with open_services(settings) as services:
        await services.runner.sweep()
        for row in await services.database.transaction(drift):
            mended = await services.mend(row.kind, row.name)
            _note(f"{row.kind} {row.name}: {mended}")


async def _examine(settings: Settings) -> list[Finding]:
    await check(settings)
    database = Database(create_engine(settings.dsn or "", settings, pooled=False))
    try:
        return await examine(settings, database)
    finally:
        await database.close()
