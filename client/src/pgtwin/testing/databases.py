"""Databases of tests: made, kept or dropped."""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pgtwin import Client, errors
from pgtwin._room import connection_in_time
from pgtwin._sync.calls import Environment

if TYPE_CHECKING:
    from pgtwin.testing.templates import Template

RUN_LABEL, TEST_LABEL = "pytest/run", "pytest/test"
LABEL_LENGTH = 63


class Database:
    """A database of one test, or the one that a template is made in.

    Attributes:
        id, name: the service's.
        env: the environment that its URLs are of.
        client: for all calls of the service.
    """

    def __init__(
        self,
        client: Client,
        database_id: int,
        name: str,
        env: Environment,
        connection_limit: int | None = None,
    ) -> None:
        self.client, self.id, self.name, self.env = client, database_id, name, env
        self._connection_limit = connection_limit
        self._uris: dict[Environment, tuple[int, str]] = {}

    def __repr__(self) -> str:
        return f"Database(id={self.id}, name={self.name!r}, env={self.env!r})"

    @property
    def url(self) -> str:
        """`postgresql://...`, for psycopg, asyncpg, psql and all that speaks libpq's URIs."""
        return self.url_of(self.env)

    def url_of(self, env: Environment) -> str:
        """The same of either environment; its login is made when it is first asked for."""
        if env not in self._uris:
            made = connection_in_time(
                self.client, self.id, env, "pytest", connection_limit=self._connection_limit
            )
            self._uris[env] = (made.connection_id, str(made.uri))
        return self._uris[env][1]

    def sqlalchemy_url(self, driver: str = "psycopg", *, env: Environment | None = None) -> str:
        """`postgresql+psycopg://...`, for SQLAlchemy.

        Args:
            driver: psycopg, asyncpg, psycopg2 or another of SQLAlchemy's.
            env: None: that of the database.
        """
        parts = urlsplit(self.url_of(env or self.env))
        query = parts.query.replace("sslmode=", "ssl=") if driver == "asyncpg" else parts.query
        return parts._replace(scheme=f"postgresql+{driver}", query=query).geturl()

    def end_connections(self) -> None:
        """End the logins behind the URLs, and their sessions."""
        for env, (connection_id, _) in list(self._uris.items()):
            self.client.revoke_connection(connection_id)
            del self._uris[env]


class Databases:
    """The databases that one process of a run has made and not yet dropped.

    Args:
        run: a name for all of the run's.
        env: the environment that tests use.
        ttl: seconds after which they are dropped where the run could not.
        keep: seconds that one of a failed test is kept.
        connection_limit: sessions that a URL may have at a time; None: the service's default.
    """

    def __init__(
        self,
        client: Client,
        *,
        run: str,
        env: Environment,
        ttl: int,
        keep: int,
        connection_limit: int | None,
    ) -> None:
        self.client, self.run, self.env = client, run, env
        self._ttl, self._keep, self._connection_limit = ttl, keep, connection_limit
        self._open: dict[int, Database] = {}

    def make(self, test: str, template: "Template | None" = None) -> Database:
        """A database for a test.

        Args:
            test: the test's name.
            template: of which it is a copy.
        """
        name = f"test_{secrets.token_hex(6)}"
        labels = {RUN_LABEL: self.run, TEST_LABEL: label(test)}
        if template is None:
            made = self.client.create_database(name, ttl_seconds=self._ttl, labels=labels).id
        else:
            made = self.client.clone_database(
                template.id, name, env=template.env, ttl_seconds=self._ttl, labels=labels
            ).id
        database = self.of(made, name)
        self._open[made] = database
        return database

    def of(self, database_id: int, name: str) -> Database:
        return Database(self.client, database_id, name, self.env, self._connection_limit)

    def keep(self, database: Database) -> datetime:
        """Let a database stay after the run.

        Returns:
            Until when.
        """
        until = self.client.set_expiration(database.id, ttl_seconds=self._keep)
        self._open.pop(database.id, None)
        return until or datetime.max

    def drop(self, database: Database) -> None:
        """Drop a database for good; one that the test has dropped is no error."""
        self._open.pop(database.id, None)
        try:
            self.client.drop_database(database.id, purge=True)
        except errors.DatabaseNotFound:
            return

    def drop_left(self) -> None:
        """Drop what an interrupted run has left."""
        for database in list(self._open.values()):
            self.drop(database)


def label(text: str) -> str:
    """The end of a text, as a label's value may be."""
    return "".join(each if each.isprintable() else "?" for each in text)[-LABEL_LENGTH:]
