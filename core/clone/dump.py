"""A schema's definition as `pg_dump` orders it, before and after the data."""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from core.clone.errors import ClientProgramFailed, ClientProgramMissing, SourceChanged
from core.clone.script import statements_of
from core.errors import DatabaseUnavailable, ResourcesExhausted, ResultTooLarge
from core.postgres.identifiers import RoleName, SchemaName

LOCK_WAIT_MILLISECONDS = 1000
_PREFIX = "pgtwin-dump-"
_LEFT_AFTER_SECONDS = 24 * 3600
# How libpq says that the server is away; it gives a program no SQLSTATE to ask for.
_NO_SERVER = (
    "Connection refused",
    "terminating connection",
    "server closed the connection",
    "the database system is",
)
# How pg_dump says that somebody else is at a table, or has dropped what it was reading.
_ALTERED = re.compile(
    "canceling statement due to|deadlock detected|cache lookup failed"
    "|no matching schemas were found"
    '|could not open relation with OID|relation ".*" does not exist'
)
# The schema itself is there already, and not the owner's to grant on or comment.
_OF_THE_SCHEMA = re.compile(r"^\d+; \d+ \d+ (?:SCHEMA|(?:ACL|COMMENT) - SCHEMA) ")
_PRIVILEGES = re.compile(r"^\d+; \d+ \d+ (?:DEFAULT )?ACL ")


@dataclass(frozen=True, slots=True)
class Definition:
    """SQL that makes a schema's objects, in parts; the data goes between the first two.

    Privileges come last: an owner may have none on what is his.
    """

    before_data: str
    after_data: str
    privileges: str


@dataclass(frozen=True, slots=True)
class Login:
    """A login that may become a role.

    Attributes:
        url: `postgresql://...`, with the password.
        role: whose objects it handles.
    """

    url: str
    role: RoleName


async def dump_definition(
    programs: Path, login: Login, schema: SchemaName, snapshot: str
) -> Definition:
    """Read a schema's definition as of a snapshot.

    Args:
        programs: the folder of pg_dump and pg_restore.
        snapshot: as `pg_export_snapshot()` gave it; its transaction is still open.

    Raises:
        ClientProgramMissing: the programs are not there, or too old for the server.
        ClientProgramFailed: what pg_dump said.
    """
    await asyncio.to_thread(_remove_left_folders)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        archive = Path(folder) / "archive"
        await _dump(programs, login, schema, snapshot, archive)
        listing = await _run(programs / "pg_restore", "--list", str(archive))
        kept = [line for line in listing.splitlines() if not _OF_THE_SCHEMA.match(line)]
        privileges = [line for line in kept if _PRIVILEGES.match(line)]
        objects = [line for line in kept if not _PRIVILEGES.match(line)]
        before, after, last = await asyncio.gather(
            _restore(programs, archive, objects, "--section=pre-data"),
            _restore(programs, archive, objects, "--section=post-data"),
            _restore(programs, archive, privileges),
        )
    return Definition(*map(statements_of, (before, after, last)))


def _remove_left_folders() -> None:
    """A service that was killed leaves its folder behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _LEFT_AFTER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


async def _restore(programs: Path, archive: Path, entries: Sequence[str], *options: str) -> str:
    if not any(entry[:1].isdigit() for entry in entries):
        return ""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=archive.parent) as wanted:
        wanted.write("\n".join(entries))
        wanted.flush()
        arguments = ("--no-owner", f"--use-list={wanted.name}", "--file=-", *options, str(archive))
        return await _run(programs / "pg_restore", *arguments)


async def dump_objects(
    programs: Path, login: Login, schema: SchemaName, *, lock_wait: int, limit: int
) -> str:
    """SQL that makes a schema's objects, without owners and privileges, as it is now.

    Args:
        lock_wait: milliseconds that it waits for a table.
        limit: bytes that it may have.

    Raises:
        SourceChanged: a table is being altered, or what was read is gone.
        ResultTooLarge, ClientProgramMissing, ClientProgramFailed
    """
    await asyncio.to_thread(_remove_left_folders)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        script = Path(folder) / "script"
        options = ("--schema-only", "--no-owner", "--no-privileges", f"--file={script}")
        await _dump_with(programs, login, schema, f"--lock-wait-timeout={lock_wait}", *options)
        if script.stat().st_size > limit:
            raise ResultTooLarge(
                f"The DDL is larger than {limit} bytes",
                hint="Read it with pg_dump, on a connection to the database.",
            )
        return statements_of(await asyncio.to_thread(script.read_text, "utf-8"))


async def _dump(
    programs: Path, login: Login, schema: SchemaName, snapshot: str, archive: Path
) -> None:
    await _dump_with(
        programs,
        login,
        schema,
        "--format=custom",
        "--compress=0",
        "--section=pre-data",
        "--section=post-data",
        f"--snapshot={snapshot}",
        # An ALTER TABLE that waits for this transaction would make pg_dump wait for itself.
        f"--lock-wait-timeout={LOCK_WAIT_MILLISECONDS}",
        f"--file={archive}",
    )


async def _dump_with(programs: Path, login: Login, schema: SchemaName, *options: str) -> str:
    parts = urlsplit(login.url)
    password = parts.password or ""
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))
    # The pattern is matched by pg_dump: quoted, it stands for itself.
    pattern = str(schema)
    return await _run(
        programs / "pg_dump",
        *options,
        f"--role={login.role.name}",
        f"--schema={pattern}",
        f"--dbname={url}",
        password=password,
    )


async def _run(program: Path, *arguments: str, password: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["PGPASSWORD"] = password
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise ClientProgramMissing(
            f"{program.name} is not at {program}; set PGTWIN_PG_BIN_DIR to the folder of "
            "PostgreSQL's client programs"
        ) from error
    try:
        output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    said = errors.decode(errors="replace")
    if process.returncode == 0:
        return output.decode()
    if "server version mismatch" in said:
        raise ClientProgramMissing(
            f"{program} is older than the server; set PGTWIN_PG_BIN_DIR to the folder of the "
            "server's own version or a newer one"
        )
    if _ALTERED.search(said):
        raise SourceChanged("A table of the source is being altered")
    if "out of shared memory" in said:
        raise ResourcesExhausted(sqlstate="53200")
    if any(sign in said for sign in _NO_SERVER):
        raise DatabaseUnavailable
    raise ClientProgramFailed(f"{program.name}: {said.strip().splitlines()[0] if said else ''}")
