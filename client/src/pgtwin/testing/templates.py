"""Templates: made once for all tests, runs and processes that agree on what they are made of."""

import hashlib
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pgtwin import Client, errors, models
from pgtwin._sync.calls import Environment, Environments
from pgtwin.testing.databases import RUN_LABEL, Database, Databases

Part: TypeAlias = str | bytes | Path
Build: TypeAlias = Callable[[Database], object]
KEY_LABEL, STATE_LABEL, ENV_LABEL = "pytest/template", "pytest/state", "pytest/env"
BUILDING, READY = "building", "ready"
# What is being built lives so long without a sign of its builder, in seconds.
LEASE, RENEWAL, LOOK = 15, 4.0, 0.1
# What is ready is dropped when nobody has used it for so long, in seconds.
UNUSED = 7 * 86_400
IGNORED = ("__pycache__", ".pyc")


@dataclass(frozen=True)
class Template:
    """A database that tests get copies of.

    Attributes:
        key: the hash of what it is made of.
        env: which environments it has anything in, beside that of the tests.
    """

    id: int
    name: str
    key: str
    env: Environments


def key_of(parts: Iterable[Part], root: Path, build: Build) -> str:
    """The hash of what a template is made of."""
    digest = hashlib.sha256()
    for part in parts:
        for content in _contents(part, root):
            digest.update(len(content).to_bytes(8, "big") + content)
    try:
        digest.update(inspect.getsource(build).encode())
    except (OSError, TypeError):
        # Of what has no source, the parts alone tell.
        digest.update(b"no source")
    return digest.hexdigest()[:40]


def _contents(part: Part, root: Path) -> Iterator[bytes]:
    if not isinstance(part, Path):
        yield part.encode() if isinstance(part, str) else part
        return
    for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
        name = path.relative_to(root) if path.is_relative_to(root) else path
        if path.is_file() and not str(name).endswith(IGNORED):
            yield name.as_posix().encode()
            yield path.read_bytes()


class Templates:
    """
    Args:
        root: to which the files' names are relative.
        rebuild: make anew what another run has made.
    """

    def __init__(self, databases: Databases, *, root: Path, rebuild: bool) -> None:
        self._databases = databases
        self._client = databases.client
        self._root, self._rebuild = root, rebuild
        self._known: dict[tuple[Build, tuple[Part, ...]], Template | Exception] = {}

    def get(self, made_of: Part | Iterable[Part], build: Build) -> Template:
        """A template as it is, or built here, or by whoever is building it.

        Args:
            made_of: texts, and files and folders with all that is below.
            build: makes it in a database; its own code counts as well.

        Raises:
            Exception: what it was built with has failed; it is not tried again.
        """
        parts = (made_of,) if isinstance(made_of, str | bytes | Path) else tuple(made_of)
        known = self._known.get((build, parts))
        if known is None:
            try:
                key = key_of([self._databases.env, *parts], self._root, build)
                known = self._agreed(key, build)
            except Exception as error:
                self._known[build, parts] = error
                raise
            self._known[build, parts] = known
        if isinstance(known, Exception):
            raise known
        return known

    def _agreed(self, key: str, build: Build) -> Template:
        """The template of a key.

        Its name is taken by one builder. That one says with the expiry that it still works, so
        that what a killed one leaves is dropped, and the name is free for the next.
        """
        name = f"template_{key[:11]}"
        while True:
            found = self._find(name)
            if found is None:
                made = self._built(key, name, build)
                if made is not None:
                    return made
            elif self._is_old(found):
                self._drop(found.id)
            elif _label(found, STATE_LABEL) == READY:
                self._client.set_expiration(found.id, ttl_seconds=UNUSED)
                return Template(found.id, name, key, _filled(found))
            time.sleep(LOOK)

    def _find(self, name: str) -> models.Database | None:
        listed = self._client.list_databases(name_prefix=name, labels=[KEY_LABEL])
        return next((each for each in listed if each.name == name), None)

    def _is_old(self, found: models.Database) -> bool:
        is_ready = _label(found, STATE_LABEL) == READY
        return self._rebuild and is_ready and _label(found, RUN_LABEL) != self._databases.run

    def _built(self, key: str, name: str, build: Build) -> Template | None:
        """
        Returns:
            None: somebody else has the name.
        """
        labels = {KEY_LABEL: key, RUN_LABEL: self._databases.run}
        try:
            made = self._client.create_database(
                name, ttl_seconds=LEASE, labels={**labels, STATE_LABEL: BUILDING}
            )
        except errors.NameTaken:
            return None
        try:
            with _renewed(self._client, made.id):
                database = self._databases.of(made.id, name)
                build(database)
                database.end_connections()
                env = self._environments_of(database)
            self._client.set_expiration(made.id, ttl_seconds=UNUSED)
            self._client.set_labels(made.id, {**labels, STATE_LABEL: READY, ENV_LABEL: env})
        except BaseException:
            self._drop(made.id)
            raise
        return Template(made.id, name, key, env)

    def _environments_of(self, database: Database) -> Environments:
        """Those to be copied; an environment costs its time even when it is empty."""
        other: Environment = "test" if database.env == "prod" else "prod"
        try:
            is_empty = not self._client.get_ddl(database.id, env=other)
        except errors.ResultTooLarge:
            is_empty = False
        return database.env if is_empty else "both"

    def _drop(self, database_id: int) -> None:
        try:
            self._client.drop_database(database_id, purge=True)
        except errors.DatabaseNotFound:
            return


def _filled(database: models.Database) -> Environments:
    env = _label(database, ENV_LABEL)
    return "prod" if env == "prod" else "test" if env == "test" else "both"


def _label(database: models.Database, name: str) -> str:
    return (database.labels or {}).get(name, "")


@contextmanager
def _renewed(client: Client, database_id: int) -> Iterator[None]:
    """Put a database's expiry off for as long as the block runs.

    Raises:
        PgtwinError: it could not be, so that the database may be gone.
    """
    is_over = threading.Event()
    failures: list[errors.PgtwinError] = []

    def renew() -> None:
        while not is_over.wait(RENEWAL):
            try:
                client.set_expiration(database_id, ttl_seconds=LEASE)
            except errors.PgtwinError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=renew, name="pgtwin-template", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    for failure in failures:
        raise failure
