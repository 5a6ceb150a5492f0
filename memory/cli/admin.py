"""`pgtwind init`, `migrate` and `doctor`."""

import asyncio
import secrets
from typing import Annotated

import orjson
import typer
from pydantic import SecretStr

from core.postgres.engine import Database, create_engine
from core.postgres.preparation import prepare
from core.postgres.startup import StartupError
from core.settings import Settings, SettingsError, postgresql_url
from core.telemetry import configure_logs
from memory.cli.session import say
from memory.control_schema import migrate, migration_sql
from memory.doctor.service import Finding, Level, examine
from memory.runtime import check, make_ready, server


def init(
    admin_url: Annotated[
        str,
        typer.Option(
            envvar="PGTWIN_ADMIN_URL",
            help="postgresql:// URL of the database for pgtwin, as a superuser or as a login "
            "with CREATEROLE that owns or may create it.",
        ),
    ],
) -> None:
    """Prepare your PostgreSQL (15 to 18) once and print the settings to use."""
    settings = Settings.load(DATABASE_URL=None, database_host=None)
    configure_logs(settings)
    try:
        url = postgresql_url(admin_url)
    except ValueError as error:
        raise SettingsError(f"--admin-url: {error}") from None
    secret = settings.master_secret or SecretStr(secrets.token_urlsafe(32))
    ready = asyncio.run(_init(settings, url, secret))
    say("# The settings of the service, for its environment or .env; keep them secret.")
    say(f"DATABASE_URL={ready.dsn}")
    say(f"PGTWIN_OWNER_URL={ready.owner_url.get_secret_value() if ready.owner_url else ''}")
    say(f"PGTWIN_MASTER_SECRET={secret.get_secret_value()}")


async def _init(settings: Settings, url: str, secret: SecretStr) -> Settings:
    prepared = await prepare(url, secret.get_secret_value(), log=_note)
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


def migrate_command(
    to: Annotated[str, typer.Option(help="A revision, head, base, or a step such as -1.")] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL and change nothing.")] = False,
) -> None:
    """Bring the control schema to a revision."""
    if sql:
        say(migration_sql(to))
        return
    settings = Settings.load()
    configure_logs(settings)
    with server(settings, say) as ready:
        before, after = asyncio.run(_migrate(ready, to))
    say(f"the control schema was at {before or 'nothing'} and is at {after or 'nothing'}")


async def _migrate(settings: Settings, to: str) -> tuple[str | None, str | None]:
    if settings.owner_url is None:
        raise StartupError("PGTWIN_OWNER_URL is needed to migrate; `pgtwind init` prints it")
    await check(settings)
    engine = create_engine(settings.owner_url.get_secret_value(), settings, pooled=False)
    try:
        return await migrate(engine, to)
    finally:
        await engine.dispose()


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the server, the login's rights, the settings, and catalog against control schema.

    Exits with 1 when there is a problem; warnings do not count.
    """
    settings = Settings.load()
    configure_logs(settings)
    with server(settings, _note) as ready:
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


async def _examine(settings: Settings) -> list[Finding]:
    await check(settings)
    database = Database(create_engine(settings.dsn or "", settings, pooled=False))
    try:
        return await examine(settings, database)
    finally:
        await database.close()
