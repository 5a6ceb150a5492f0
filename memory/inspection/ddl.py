"""A schema's definition as SQL for any other schema."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from core.clone.dump import Login, dump_objects
from core.clone.errors import ClientProgramFailed, SourceChanged
from core.clone.extras import cast_statements
from core.clone.portable import own_entries, portable
from core.clone.script import attached_apart, split_before_tables
from core.postgres.context import EXTENSIONS
from core.postgres.identifiers import RoleName, literal
from memory.inspection.catalog import Extras
from memory.inspection.errors import ReadersBusy, SchemaChanging
from memory.statements.errors import NotPermitted
from memory.statements.place import Place

AT_ONCE = 2
TRIES = 3
LOCK_MILLISECONDS = 300
# Functions come before the tables that their text names.
HEAD = "SET check_function_bodies = off;\n\n"


class Dumps:
    """Runs pg_dump as a database's own login, a few at a time.

    Args:
        log_in: the URL of a login.
        programs: the folder of pg_dump for a server's major version.
        patience: seconds to wait until others have ended.
        limit: bytes that a schema's SQL may have.
    """

    def __init__(
        self,
        log_in: Callable[[RoleName], str],
        programs: Callable[[int], Path],
        *,
        patience: float,
        limit: int,
    ) -> None:
        self._limit = limit
        self._log_in = log_in
        self._programs = programs
        self._patience = patience
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ddl(self, place: Place, extras: Extras) -> tuple[str, list[str]]:
        """The SQL, and the titles of what still names this schema or a role of the database.

        Raises:
            ReadersBusy, SchemaChanging, NotPermitted, ResultTooLarge, ClientProgramMissing,
            ClientProgramFailed
        """
        owner = RoleName.owner(place.environment, place.database.id)
        reader = Login(self._log_in(place.login), owner)
        async with self._place():
            for left in range(TRIES - 1, -1, -1):
                try:
                    script = await dump_objects(
                        self._programs(extras.major),
                        reader,
                        place.schema,
                        lock_wait=LOCK_MILLISECONDS,
                        limit=self._limit,
                    )
                    break
                except ClientProgramFailed as error:
                    if "permission denied" in error.message:
                        raise NotPermitted(error.message) from error
                    raise
                except SourceChanged as error:
                    if not left:
                        raise SchemaChanging from error
        return await asyncio.to_thread(_ddl, place, extras, script)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise ReadersBusy from None
        try:
            yield
        finally:
            self._places.release()


def _ddl(place: Place, extras: Extras, script: str) -> tuple[str, list[str]]:
    types, rest = split_before_tables(attached_apart(own_entries(script), extras.attached))
    early, late = _casts(extras.casts, types)
    roles = [role.name for role in RoleName.all(place.database.id)]
    schemas = [place.schema.name, EXTENSIONS.name]
    made, naming = portable(types + early + rest + late, schemas, roles)
    return (HEAD + made if made else ""), naming


def _casts(casts: Sequence[Mapping[str, str | None]], types: str) -> tuple[str, str]:
    """Casts for tables to use, and those whose function needs a table first."""
    early: list[str] = []
    late: list[str] = []
    made = cast_statements([{**cast, "comment": None} for cast in casts])
    for cast, statement in zip(casts, made, strict=True):
        is_made = not cast["function"] or f"FUNCTION {cast['function'].partition('(')[0]}(" in types
        pair = f"({cast['source']} AS {cast['target']})"
        text = _entry("CAST", pair, statement)
        if cast["comment"]:
            comment = f"COMMENT ON CAST {pair} IS {literal(cast['comment'])}"
            text += _entry("COMMENT", pair, comment)
        (early if is_made else late).append(text)
    return "".join(early), "".join(late)


def _entry(kind: str, name: str, statement: str) -> str:
    title = f"-- Name: {' '.join(name.split())}; Type: {kind}; Schema: -; Owner: -"
    return f"\n--\n{title}\n--\n\n{statement};\n"
