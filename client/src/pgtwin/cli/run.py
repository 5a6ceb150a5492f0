"""A command with a database of its own, which is dropped behind it."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from pgtwin._room import connection_in_time
from pgtwin.cli import sql as sql_texts
from pgtwin.cli.connect import variables
from pgtwin.cli.databases import ttl_of
from pgtwin.cli.output import note
from pgtwin.cli.session import client, database_id, one_line, read
from pgtwin.errors import DatabaseNotFound, PgtwinError
from pgtwin.models import Connection, DatabaseRef

if TYPE_CHECKING:
    from pgtwin import Client

LABEL = "pgtwin.run"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
# Keys of a terminal send these, to all processes of its foreground.
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
# Told so often to end, a command that has not is killed.
PATIENCE = 3


@dataclass(frozen=True, slots=True)
class Room:
    """What a command asks of the service.

    Attributes:
        env: the environment that its connection leads to.
        sessions: that it may have at a time; None: as many as the service gives.
        patience: seconds to wait for them.
    """

    env: Any
    sessions: int | None
    patience: int


class Signals:
    """What this process was told to end with, while it has something to clear away.

    Attributes:
        taken: the first of them.
    """

    def __init__(self) -> None:
        self.taken: signal.Signals | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self._times = 0

    def take(self, number: int, _frame: FrameType | None) -> None:
        self.taken = self.taken or signal.Signals(number)
        self._times += 1
        if self.child is None:
            return
        if self._times >= PATIENCE:
            self.child.kill()
        elif number not in FROM_TERMINAL or not _is_in_foreground():
            self.child.send_signal(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        numbers = (*FROM_TERMINAL, signal.SIGTERM, signal.SIGHUP)
        # What is ignored stays so: `nohup` wants no end by SIGHUP.
        before = {
            number: signal.signal(number, self.take)
            for number in numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether a terminal's keys reach the command too, wherever standard input comes from."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def run(
    command: list[str],
    clone_from: str | None,
    file: str | None,
    room: Room,
    ttl: str,
    *,
    keep: bool,
) -> int:
    """
    Returns:
        The command's exit code; 130 or 143 where this process was told to end.

    Raises:
        PgtwinError, OSError: there is no database, or the SQL failed; nothing is left.
    """
    seconds = ttl_of(ttl)
    text = None if file is None else read(file)
    signals = Signals()
    with client() as service, signals.held():
        made = _made(service, clone_from, seconds)
        code = 1
        try:
            if text is not None and signals.taken is None:
                # For both environments are empty, or both are copies.
                sql_texts.execute(service, made.id, text, room.env, None)
            code = _run(service, made, command, room, signals)
        finally:
            if keep and code != 0:
                _tell(made, room.env, ttl)
            else:
                _drop(service, made)
    return code


def _made(service: "Client", clone_from: str | None, seconds: int | None) -> DatabaseRef:
    name = f"run_{secrets.token_hex(6)}"
    labels = {LABEL: "yes"}
    if clone_from is None:
        return service.create_database(name, ttl_seconds=seconds, labels=labels)
    source = database_id(service, clone_from)
    return service.clone_database(source, name, ttl_seconds=seconds, labels=labels)


def _run(
    service: "Client", made: DatabaseRef, command: list[str], room: Room, signals: Signals
) -> int:
    try:
        connection = _connection(service, made, room, signals)
    except _ToldToEnd:
        connection = None
    if connection is not None and signals.taken is None:
        given = {**variables(connection), "PGTWIN_DATABASE_ID": str(made.id)}
        kept = {name: value for name, value in os.environ.items() if name != "PGOPTIONS"}
        try:
            signals.child = subprocess.Popen(command, env=kept | given)
        except FileNotFoundError:
            note(f"error: {command[0]}: not found")
            return NOT_FOUND
        except OSError as error:
            note(f"error: {command[0]}: {error.strerror}")
            return NOT_EXECUTABLE
        code = signals.child.wait()
        signals.child = None
        if signals.taken is None:
            return code if code >= 0 else 128 - code
    return 128 + int(signals.taken or 0)


class _ToldToEnd(Exception):
    """While it waited for a connection."""


def _connection(service: "Client", made: DatabaseRef, room: Room, signals: Signals) -> Connection:
    told = False

    def sleep(seconds: float) -> None:
        nonlocal told
        if not told:
            note("all connections are given out: waiting for others to end")
            told = True
        time.sleep(seconds)
        if signals.taken is not None:
            raise _ToldToEnd

    return connection_in_time(
        service,
        made.id,
        room.env,
        "pgtwin run",
        connection_limit=room.sessions,
        patience=room.patience,
        sleep=sleep,
    )


def _drop(service: "Client", made: DatabaseRef) -> None:
    try:
        service.drop_database(made.id, purge=True)
    except DatabaseNotFound:
        # Its time was over.
        pass
    except PgtwinError as error:
        note(f"the database {made.id} could not be dropped, and expires: {one_line(error.message)}")


def _tell(made: DatabaseRef, env: str, ttl: str) -> None:
    note(f"the database {made.id} is kept, at most for {ttl}")
    note(f"  look:  pgtwin sql {made.id} --env {env}    or  pgtwin psql {made.id} --env {env}")
    note(f"  drop:  pgtwin databases drop {made.id} --purge --yes")
