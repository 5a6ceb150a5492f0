"""The server's main process: launched, found again through its pid file, asked, and stopped."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from core.postgres.embedded import processes
from core.postgres.embedded.account import Account
from core.postgres.embedded.errors import EmbeddedServerError
from core.postgres.embedded.filelock import FileLock
from core.postgres.embedded.folder import DataFolder

READY_POLL_SECONDS = 0.01
GONE_POLL_SECONDS = 0.02
ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
SHOWN_LINES = 8

# asyncpg takes a connection that breaks between two of its steps for an error of its own.
NO_ANSWER = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

Pause = Callable[[float], None]


@dataclass(frozen=True)
class PidFile:
    """What a postmaster writes about itself into its cluster, line by line as it starts."""

    pid: int
    port: int | None
    status: str

    @classmethod
    def path(cls, cluster: Path) -> Path:
        return cluster / "postmaster.pid"

    @classmethod
    def read(cls, cluster: Path) -> "PidFile | None":
        try:
            lines = cls.path(cluster).read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return None
        fields = [line.strip() for line in lines] + [""] * 8
        # A single-user server writes its process id negated.
        pid = abs(_number(fields[0]) or 0)
        return cls(pid, _number(fields[3]), fields[7])

    @classmethod
    def remove_misleading(cls, cluster: Path) -> None:
        """Remove the note that a crash left behind; only in sole use of the folder.

        Another container's server would shut down without its note.
        """
        note = cls.read(cluster)
        # The note of a dead process is left to PostgreSQL, which checks the shared memory named
        # in it; one that is empty or leads to a stranger or a zombie would make it refuse.
        if note is not None and (note.pid == 0 or processes.exists(note.pid)):
            cls.path(cluster).unlink(missing_ok=True)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


class Postmaster:
    """A running server: our child, or a process that somebody else launched."""

    def __init__(self, pid: int, port: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.port = port
        self.child = child
        self._born = processes.born(pid) if child is None else None

    def lives(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return self._born is not None and processes.born(self.pid) == self._born

    def stop(self) -> None:
        """End every session and the server; return when it has ended.

        Raises:
            EmbeddedServerError: it still runs after a fast and an immediate shutdown.
        """
        for number in (signal.SIGINT, signal.SIGQUIT):
            if self.lives():
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            if self._ends_within(PATIENCE_SECONDS):
                return
        raise EmbeddedServerError(f"The server (process {self.pid}) does not stop.")

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.lives():
            if time.monotonic() >= deadline:
                return False
            time.sleep(GONE_POLL_SECONDS)
        return True


@contextmanager
def sole_use(folder: DataFolder, deadline: float, pause: Pause) -> Iterator[FileLock]:
    """Wait until no process of a server is left on the folder; a server inherits the lock.

    After a kill of the postmaster alone its children live on for a moment, and may even hold its
    port; and a server in another container shows neither its process nor its port.

    Raises:
        EmbeddedServerError: some are still there after a while.
    """
    with closing(FileLock(folder.server_lock)) as lock:
        if not lock.acquire(min(deadline, time.monotonic() + PATIENCE_SECONDS), pause):
            raise EmbeddedServerError(
                f"Processes of another server are at work on {folder.cluster}, in another "
                "container or left over from a crash. Try again when they have ended."
            )
        yield lock


def launch(
    command: list[str | Path],
    port: int,
    *,
    account: Account,
    folder: DataFolder,
    lock: FileLock,
    deadline: float,
    pause: Pause,
) -> Postmaster:
    """Start a server and return when it is ready; nothing is left running otherwise.

    Args:
        command: must listen on `port`.
        lock: what `sole_use` gave.
        deadline: monotonic seconds.
        pause: called to wait; an exception from it gives the start up.

    Raises:
        EmbeddedServerError: it ended early or was not ready in time.
    """
    output = os.open(
        folder.server_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
    )
    try:
        child = account.launch(command, output=output, keep=lock.fileno())
    finally:
        os.close(output)
    # Whoever stops the server, and whenever: its parent must not keep a zombie of it.
    threading.Thread(target=child.wait, name="postgres-reaper", daemon=True).start()
    server = Postmaster(child.pid, port, child)
    try:
        _wait_until_ready(server, folder, deadline, pause)
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_ready(
    server: Postmaster, folder: DataFolder, deadline: float, pause: Pause
) -> None:
    launched = time.time()
    while True:
        lives = server.lives()
        note = PidFile.read(folder.cluster)
        if lives and note is not None and (note.pid, note.status) == (server.pid, "ready"):
            return
        if not lives:
            raise EmbeddedServerError(
                f"PostgreSQL ended while it started:\n{_last_words(folder, launched)}"
            )
        if time.monotonic() >= deadline:
            raise EmbeddedServerError(
                "PostgreSQL was not ready in time; recovering from a crash can take longer than "
                f"the start's timeout allows:\n{_last_words(folder, launched)}"
            )
        pause(READY_POLL_SECONDS)


def _last_words(folder: DataFolder, since: float) -> str:
    """The end of what the server wrote: before its log collector ran, and through it."""
    logs = (folder.cluster / "log").glob("*.log")
    recent = [log for log in logs if log.stat().st_mtime >= since - 1]
    lines: list[str] = []
    for log in (folder.server_log, *recent):
        lines += log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
    return "\n".join(lines)


def find_running(
    folder: DataFolder, password: str, deadline: float, pause: Pause
) -> Postmaster | None:
    """The server that already runs on the folder, waited for while it starts up or shuts down.

    None: there is none that can be seen from here. The start lock must be held.

    Raises:
        EmbeddedServerError: a process is there but neither answers nor ends before `deadline`.
    """
    while (note := PidFile.read(folder.cluster)) is not None:
        # Asked first: a stranger that got the port must not be offered the password.
        if not processes.may_serve(note.pid, folder.cluster):
            return None
        if note.port and _serves(note.port, password, folder.cluster):
            return Postmaster(note.pid, note.port)
        if time.monotonic() >= deadline:
            raise EmbeddedServerError(
                f"PostgreSQL (process {note.pid}) is there on {folder.cluster}, but does not "
                f"answer. Its log is in {folder.cluster / 'log'}."
            )
        pause(0.1)
    return None


def _serves(port: int, password: str, cluster: Path) -> bool:
    # In a thread of its own: this one may have a running event loop.
    with ThreadPoolExecutor(max_workers=1) as pool:
        place = pool.submit(asyncio.run, _data_directory(port, password)).result()
    return place is not None and Path(place).resolve() == cluster.resolve()


async def _data_directory(port: int, password: str) -> str | None:
    """Where the server on this port keeps its data; None when it does not answer."""
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=password,
            database="postgres",
            ssl=False,
            timeout=ANSWER_SECONDS,
        )
    except asyncpg.InvalidPasswordError as error:
        raise EmbeddedServerError(
            f"PostgreSQL on port {port} runs, but refuses the password in superuser.password."
        ) from error
    except NO_ANSWER:
        return None
    try:
        return str(await connection.fetchval("SHOW data_directory", timeout=ANSWER_SECONDS))
    except NO_ANSWER:
        return None
    finally:
        connection.terminate()
