import os
import shutil
import signal
import subprocess
from typing import Any

from pgtwin.cli.databases import ttl_of
from pgtwin.cli.output import note
from pgtwin.cli.session import Refused, client, database_id
from pgtwin.errors import PgtwinError
from pgtwin.models import Connection

# One that psql could not end, for it was killed, ends by itself.
LONGEST_PSQL = 86_400


def variables(connection: Connection) -> dict[str, str]:
    """What libpq and those who use it look for. The password is in no list of arguments.

    Raises:
        Refused: the URI was not shown.
    """
    from urllib.parse import unquote, urlsplit

    if connection.uri is None:
        raise Refused("the connection's password was shown before", hint="try again")
    parts = urlsplit(connection.uri)
    return {
        "DATABASE_URL": connection.uri,
        "PGHOST": connection.host,
        "PGPORT": str(connection.port),
        "PGDATABASE": connection.dbname,
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
    }


def connection_string(
    database: str, env: Any, ttl: str | None, name: str | None, *, read_only: bool
) -> None:
    with client() as service:
        made = service.create_connection(
            database_id(service, database),
            env=env,
            mode="read_only" if read_only else "read_write",
            ttl_seconds=ttl_of(ttl),
            name=name,
        )
    print(variables(made)["DATABASE_URL"])


def psql(database: str, env: Any, arguments: list[str], *, read_only: bool) -> None:
    """
    Raises:
        Refused: there is no psql.
        SystemExit: with psql's exit code.
    """
    program = shutil.which("psql")
    if program is None:
        raise Refused("psql is not installed", hint="`pgtwin sql` needs none")
    with client() as service:
        made = service.create_connection(
            database_id(service, database),
            env=env,
            mode="read_only" if read_only else "read_write",
            ttl_seconds=LONGEST_PSQL,
            name="psql",
            connection_limit=4,
        )
        kept = {name: value for name, value in os.environ.items() if name != "PGOPTIONS"}
        # Ctrl-C is psql's; a handler, unlike SIG_IGN, is not handed on.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            code = subprocess.call([program, *arguments], env=kept | variables(made))
        finally:
            signal.signal(signal.SIGINT, before)
            try:
                service.revoke_connection(made.connection_id)
            except PgtwinError as error:
                note(f"the connection {made.connection_id} ends within a day: {error.message}")
    raise SystemExit(code)
