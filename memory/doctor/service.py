"""What is wrong with a server, its preparation or the control schema, each with its mend."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from core.postgres.engine import Database, Session
from core.postgres.preparation import PREPARATION_VERSION, foreign_objects
from core.settings import Settings
from memory.control_schema import current_revision, newest_revision
from memory.doctor.repository import DoctorRepository
from memory.doctor.rights import missing_rights


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is what to do about it, "" for nothing."""

    level: Level
    subject: str
    message: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


async def drift(session: Session) -> Sequence[Any]:
    """What catalog and control schema disagree about: rows of kind, name and database_id."""
    return await DoctorRepository(session).drift()


async def examine(settings: Settings, database: Database) -> list[Finding]:
    """Look at everything; the server answers and is prepared (see `memory.runtime.check`)."""
    current = await current_revision(database.engine)
    if current != newest_revision():
        return [
            Finding(
                Level.PROBLEM,
                "control schema",
                f"at {current or 'nothing'}, this release needs {newest_revision()}",
                "pgtwind migrate",
            )
        ]
    missing = await missing_rights(settings)
    if missing:
        return [
            Finding(Level.PROBLEM, "rights", f"the login lacks {right.right}", right.mend)
            for right in missing
        ]
    facts = await database.transaction(lambda session: DoctorRepository(session).server())
    differences = await database.transaction(drift)
    put_off = await database.transaction(lambda session: DoctorRepository(session).put_off())
    return [
        Finding(Level.OK, "control schema", f"at {current}"),
        Finding(Level.OK, "rights", "the login has all it needs and is no superuser"),
        *_server(settings, facts),
        *_isolation(facts),
        await _foreign(settings),
        *_put_off(put_off),
        *_drift(differences),
    ]


def _server(settings: Settings, facts: dict[str, Any]) -> Iterator[Finding]:
    yield Finding(Level.OK, "server", f"PostgreSQL {facts['version']}, UTF8")
    if facts["preparation"] != PREPARATION_VERSION:
        message = f"version {facts['preparation']}, this release wants {PREPARATION_VERSION}"
        yield Finding(
            Level.PROBLEM, "preparation", message, "pgtwind init --admin-url URL, once more"
        )
    wanted = settings.workers * settings.connections_a_worker
    available = facts["max_connections"] - facts["reserved"]
    if wanted + facts["given_out"] > available:
        yield Finding(
            Level.WARNING,
            "connections",
            f"the workers may open {wanted}, and connection URIs {facts['given_out']}; "
            f"the server takes {available}",
            "raise max_connections, or lower PGTWIN_POOL_SIZE, PGTWIN_POOL_MAX_OVERFLOW, "
            "PGTWIN_SQL_SESSIONS or PGTWIN_CONNECTION_LIMIT_TOTAL",
        )
    if facts["vector_schema"] != "pgtwin_ext":
        yield Finding(
            Level.WARNING,
            "vector",
            "pgvector is not in pgtwin_ext; databases have no vector type",
            "CREATE EXTENSION vector SCHEMA pgtwin_ext; (as an administrator)",
        )
    if not facts["functions_super"]:
        yield Finding(
            Level.WARNING,
            "roles",
            "made through CREATEROLE, for no superuser prepared the server; from PostgreSQL 16 "
            "on creates slow down with the number of databases",
            "where you have a superuser: pgtwind init --admin-url URL with it",
        )


def _isolation(facts: dict[str, Any]) -> Iterator[Finding]:
    name = facts["database"]
    if facts["temp_open"]:
        mend = f"REVOKE TEMP ON DATABASE {name} FROM PUBLIC;"
        yield Finding(Level.WARNING, "isolation", "every role may make temporary tables", mend)
    if facts["public_open"]:
        mend = "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
        yield Finding(Level.WARNING, "isolation", "every role may use the schema public", mend)
    if facts["unhardened"]:
        yield Finding(
            Level.WARNING,
            "hardening",
            "databases share advisory locks, large objects and notices, for no superuser took "
            "them from PUBLIC; isolation does not depend on it",
            "where you have a superuser: pgtwind init --admin-url URL with it",
        )
    else:
        yield Finding(Level.OK, "hardening", "what databases could disturb others with is taken")
    if facts["prepared_transactions"]:
        yield Finding(
            Level.WARNING,
            "hardening",
            "prepared transactions outlive the sessions of their databases, and hold locks",
            "max_prepared_transactions = 0",
        )
    for other in facts["open_databases"]:
        mend = f"REVOKE CONNECT ON DATABASE {other} FROM PUBLIC;"
        message = f"every role may connect to the database {other}"
        yield Finding(Level.WARNING, "isolation", message, mend)


def _put_off(due: Sequence[tuple[int, str]]) -> Iterator[Finding]:
    for database_id, reason in due:
        if reason == "protected":
            message = f"the database {database_id} has expired and is protected, so it stays"
            mend = "clear its expiry with set_expiration, or its protection with set_protection"
        else:
            message = f"the database {database_id} is due and could not be dropped: {reason}"
            mend = "remove the reason; it is tried again every few minutes"
        yield Finding(Level.WARNING, "reaper", message, mend)


async def _foreign(settings: Settings) -> Finding:
    connection = await asyncpg.connect(settings.dsn, timeout=settings.connect_timeout)
    try:
        found = await foreign_objects(connection)
    finally:
        await connection.close()
    if not found:
        return Finding(Level.OK, "contents", "nothing in the database but pgtwin's own")
    return Finding(
        Level.PROBLEM,
        "contents",
        f"objects that are not pgtwin's: {', '.join(found)}",
        "move them to a database of their own",
    )


def _drift(rows: Any) -> Iterator[Finding]:
    mends = {
        "schema without rows": "look into it, then: DROP SCHEMA {name} CASCADE;",
        "role without database": "SELECT pgtwin_admin.drop_roles({id});",
    }
    for row in rows:
        digits = row.name[1:].partition("_")[0]
        mend = mends.get(row.kind, "pgtwind doctor --repair")
        yield Finding(
            Level.PROBLEM,
            "drift",
            f"{row.kind}: {row.name}",
            mend.format(name=f'"{row.name}"', id=digits, database_id=row.database_id),
        )
    if not rows:
        yield Finding(Level.OK, "drift", "catalog and control schema agree")
