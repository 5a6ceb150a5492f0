"""What one process of a run has: the service, a client of it, and the databases it has made."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pgtwin import Client, PgtwinError
from pgtwin._sync.calls import Environment
from pgtwin.cli.dev import program
from pgtwin.testing import service
from pgtwin.testing.databases import Databases
from pgtwin.testing.service import Service, ServiceMissing
from pgtwin.testing.templates import Templates

if TYPE_CHECKING:
    from pgtwin.testing.embedded import EmbeddedService


class Misconfigured(Exception):
    """An option can't be used; the message is one line."""


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        url: None: PGTWIN_URL, or a service that is started.
        folder: of one that is started; None: in the user's caches.
        run: a name that the processes of the run share.
        root: to which names of files are relative.
        rebuild: make templates anew that another run has made.
        env, ttl, keep_ttl, connection_limit: as the ini file has them; "": not given.
    """

    url: str | None
    folder: str | None
    run: str
    env: str
    ttl: str
    keep_ttl: str
    connection_limit: str
    root: Path
    rebuild: bool


class Session:
    """
    Raises:
        ServiceMissing: there is no service, or it does not answer, or refuses the key.
        Misconfigured
    """

    def __init__(self, options: Options) -> None:
        self._embedded: EmbeddedService | None = None
        env = _environment(options.env)
        ttl, keep = _number("pgtwin_ttl", options.ttl), _number("pgtwin_keep_ttl", options.keep_ttl)
        limit = _number("pgtwin_connection_limit", options.connection_limit or "0")
        self.service = service.given(options.url) or self._started(options)
        self.client = _client(self.service)
        self.databases = Databases(
            self.client,
            run=options.run,
            env=env,
            ttl=ttl,
            keep=keep,
            connection_limit=limit or None,
        )
        self.templates = Templates(self.databases, root=options.root, rebuild=options.rebuild)

    def _started(self, options: Options) -> Service:
        if program() is None:
            raise ServiceMissing(service.MISSING)
        # Of systems that pgtwind runs on.
        from pgtwin.testing.embedded import EmbeddedService

        folder = Path(options.folder or service.default_folder()).resolve()
        self._embedded = EmbeddedService(folder, options.run)
        return self._embedded.attach()

    def close(self) -> None:
        """Drop what an interrupted test has left, and use the service no more.

        Raises:
            PgtwinError: something could not be dropped.
        """
        try:
            self.databases.drop_left()
        finally:
            self.client.close()
            if self._embedded is not None:
                self._embedded.detach()


def _client(found: Service) -> Client:
    client = Client(found.url, found.key, uid=found.uid)
    try:
        next(iter(client.list_databases(page_size=1)), None)
    except PgtwinError as error:
        client.close()
        raise ServiceMissing(f"pgtwin at {found.url}: {error.message}") from error
    return client


def _environment(given: str) -> Environment:
    if given not in ("prod", "test"):
        raise Misconfigured(f"pgtwin_env = {given}: it is prod or test")
    return cast(Environment, given)


def _number(name: str, given: str) -> int:
    if not given.isdecimal():
        raise Misconfigured(f"{name} = {given}: it is a whole number")
    return int(given)
