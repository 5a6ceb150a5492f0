"""From the settings to a server that is ready: embedded or foreign, prepared and migrated."""

import asyncio
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from core.postgres.embedded import EmbeddedServer
from core.postgres.engine import create_engine
from core.postgres.preparation import PREPARATION_VERSION, prepare
from core.postgres.startup import StartupError, check_server, ensure_database, wait_for_server
from core.settings import Settings
from memory.control_schema import current_revision, migrate, newest_revision
from memory.doctor.rights import missing_rights

DATABASE = "pgtwin"
Log = Callable[[str], None]


@contextmanager
def server(settings: Settings, log: Log) -> Iterator[Settings]:
    """Settings that name a server which answers; the embedded one runs meanwhile.

    Raises:
        StartupError: the server can't be used.
        EmbeddedServerError: the embedded server can't be started.
    """
    if settings.dsn is not None:
        asyncio.run(_reach(settings, log))
        yield settings
        return
    with EmbeddedServer(
        settings.data_dir, startup_timeout=settings.startup_timeout, log=log
    ) as embedded:
        yield asyncio.run(_prepare_embedded(settings, embedded.superuser_url, log))


async def _reach(settings: Settings, log: Log) -> None:
    dsn = settings.dsn
    if dsn is None:
        raise RuntimeError("the settings name no server")
    await wait_for_server(
        dsn, limit=settings.startup_timeout, connect_timeout=settings.connect_timeout, log=log
    )
    await ensure_database(dsn, log=log)


async def _prepare_embedded(settings: Settings, superuser_url: str, log: Log) -> Settings:
    secret = settings.master_secret or SecretStr(_stored_secret(settings.data_dir))
    admin_url = urlunsplit(urlsplit(superuser_url)._replace(path=f"/{DATABASE}"))
    prepared = await prepare(admin_url, secret.get_secret_value(), sole_user=True, log=log)
    return settings.model_copy(
        update={
            "database_url": SecretStr(prepared.control_url),
            "owner_url": SecretStr(prepared.owner_url),
            "master_secret": secret,
        }
    )


def _stored_secret(data_dir: Path) -> str:
    """The embedded server's master secret, made at its first start."""
    path = data_dir / "master.secret"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    draft = path.with_suffix(f".{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link is made or not, so of two first starts at once both read the same secret.
        os.link(draft, path)
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
    return path.read_text().strip()


async def make_ready(settings: Settings, log: Log) -> None:
    """Check the server, bring the control schema to this release, check the login's rights.

    Raises:
        StartupError: one line that says what is missing and how to mend it.
    """
    await check(settings)
    if settings.owner_url is not None:
        await _migrate(settings, settings.owner_url.get_secret_value(), log)
    missing = await missing_rights(settings)
    if missing:
        first = missing[0]
        raise StartupError(f"the login lacks a right: {first.right}; grant it: {first.mend}")
    await _refuse_another_revision(settings)


async def check(settings: Settings) -> None:
    """Refuse a server that can't be used, a superuser's login, an unprepared database.

    Raises:
        StartupError: which of them, and the mend.
    """
    connection = await asyncpg.connect(settings.dsn, timeout=settings.connect_timeout)
    try:
        await check_server(connection)
        prepared = await _preparation(connection)
        row = await connection.fetchrow(
            "SELECT rolsuper OR rolbypassrls AS too_strong FROM pg_roles"
            " WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    if row is None or row["too_strong"]:
        raise StartupError(
            "DATABASE_URL logs in as a superuser, which the service never does: "
            "run `pgtwind init --admin-url URL` once and use the URL that it prints"
        )
    if prepared is None:
        raise StartupError(
            "the database is not prepared: run `pgtwind init --admin-url URL` once, with an "
            "administrator's URL of this database, and use the URL that it prints"
        )
    if prepared < PREPARATION_VERSION:
        raise StartupError(
            "the database was prepared by an older release: run `pgtwind init --admin-url URL` "
            "once more, with PGTWIN_MASTER_SECRET as it is"
        )


async def _preparation(connection: asyncpg.Connection) -> int | None:
    """The version that the database was prepared by; None: it was not.

    Read from the catalog: without its schema's USAGE the function can't even be looked up.
    """
    version = await connection.fetchval(
        "SELECT p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'pgtwin_admin' AND p.proname = 'version'"
    )
    found = re.search(r"\d+", version or "")
    return int(found[0]) if found else None


async def _migrate(settings: Settings, owner_url: str, log: Log) -> None:
    engine = create_engine(owner_url, settings, pooled=False)
    try:
        before, after = await migrate(engine)
    finally:
        await engine.dispose()
    if before != after:
        log(f"migrated the control schema from {before or 'nothing'} to {after}")


async def _refuse_another_revision(settings: Settings) -> None:
    engine = create_engine(settings.dsn or "", settings, pooled=False)
    try:
        current = await current_revision(engine)
    finally:
        await engine.dispose()
    if current != newest_revision():
        raise StartupError(
            f"the control schema is at {current or 'nothing'} and this release needs "
            f"{newest_revision()}: set PGTWIN_OWNER_URL, or run `pgtwind migrate` with it"
        )
