"""What to copy, and with which right."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.clone.dump import Login
from core.postgres.identifiers import RoleName, SchemaName

# How many steps are done, and how many there are.
Report = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SchemaCopy:
    """One schema to copy.

    Attributes:
        source, copy: their names; the copy exists and is empty.
        reader: a login that may become the owner of the source's objects.
        owner: the owner of the copy's objects.
        key: what the server-side functions call this pair.
    """

    key: str
    source: SchemaName
    copy: SchemaName
    reader: Login
    owner: RoleName


@dataclass(frozen=True, slots=True)
class CopyOrder:
    """What to copy, and with which right.

    Attributes:
        ticket: lets this login, once, swap the names and become a member of the source's owners.
        writer_url: the login that may become each copy's owner.
        roles: the source's roles to the copy's.
        programs: the folder of pg_dump and pg_restore for a server's major version.
        report: told after each transaction of a copy that takes several.
        with_data: False copies the definition alone.
        lock_timeout: seconds that a statement waits for a lock.
    """

    ticket: str = field(repr=False)
    writer_url: str = field(repr=False)
    schemas: Sequence[SchemaCopy]
    roles: Mapping[str, str]
    programs: Callable[[int], Path]
    report: Report
    with_data: bool = True
    lock_timeout: float = 60.0
