"""The life cycle: one server for everybody who uses a data folder, for as long as somebody does."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import quote

from core.postgres.embedded.account import server_account
from core.postgres.embedded.binaries import Binaries, bundled_binaries, runnable_binaries
from core.postgres.embedded.cluster import create_cluster, require_version, server_settings
from core.postgres.embedded.errors import EmbeddedServerError
from core.postgres.embedded.filelock import FileLock
from core.postgres.embedded.folder import DataFolder, port_is_free
from core.postgres.embedded.postmaster import (
    Pause,
    PidFile,
    Postmaster,
    find_running,
    launch,
    sole_use,
)
from core.postgres.embedded.processes import may_serve

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0
PORT_ATTEMPTS = 3


class _GivenUp(Exception):
    """stop() was called while the supervisor was waiting for something."""


class EmbeddedServer:
    """The bundled PostgreSQL on one data folder; every method may be called from any thread.

    Several instances, in one process or in many, share the server: the first start launches it
    and the last stop ends it. An instance whose process was killed counts no more.

    Args:
        data_dir: its own folder; made when missing (its parents, too, but their modes are kept).
        major: 18 or 16.
        startup_timeout: seconds that start() takes at most.
        supervise: restart the server on its port when it is gone without stop().
        log: gets one line for each event; by default the standard logging of this module.
        settings: server settings that go before the built-in ones.
        binaries: another installation than the bundled one.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        major: int = 18,
        startup_timeout: float = 60.0,
        supervise: bool = True,
        log: Callable[[str], None] | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        binaries: Binaries | None = None,
    ) -> None:
        self._folder = DataFolder(Path(data_dir).expanduser().resolve(), major)
        self._startup_timeout = startup_timeout
        self._supervise = supervise
        self._log = log
        self._settings = dict(settings)
        self._binaries = binaries
        self._restarts = 0
        self._postmaster: Postmaster | None = None
        self._users: FileLock | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._life = threading.RLock()
        self._owner = 0

    @property
    def data_dir(self) -> Path:
        return self._folder.path

    @property
    def port(self) -> int:
        return self._running().port

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def adopted(self) -> bool:
        """Whether somebody else launched the server that runs now."""
        return self._running().child is None

    @property
    def restarts(self) -> int:
        """How often this instance's supervisor had to launch the server again."""
        return self._restarts

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", self._folder.password(), "postgres")

    def url(self, user: str, password: str, database: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Return when the server accepts connections; without effect when started already.

        Raises:
            EmbeddedServerError: it cannot be started; nothing is left running by this call.
        """
        with self._life:
            if self._postmaster is not None:
                return
            self._stopping.clear()
            try:
                self._postmaster = self._take_part(time.monotonic() + self._startup_timeout)
            except OSError as error:
                raise EmbeddedServerError(
                    f"The embedded server cannot use {self.data_dir}: {error}"
                ) from error
            self._owner = os.getpid()
            if self._supervise:
                self._supervisor = threading.Thread(
                    target=self._watch, name="postgres-supervisor", daemon=True
                )
                self._supervisor.start()

    def stop(self) -> None:
        """End supervision, and the server when nobody else uses the folder; may be repeated."""
        with self._life:
            # A forked child has a copy of this object, but no part in the server.
            if self._postmaster is None or self._owner != os.getpid():
                return
            self._stopping.set()
            if self._supervisor is not None:
                self._supervisor.join()
            last_known, self._postmaster, self._supervisor = self._postmaster, None, None
            if self._users is not None:
                self._users.release()
                self._users = None
            try:
                self._stop_if_unused(last_known)
            except (EmbeddedServerError, OSError) as error:
                self._say(f"PostgreSQL could not be stopped: {error}", logging.ERROR)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _running(self) -> Postmaster:
        if self._postmaster is None:
            raise EmbeddedServerError("The embedded server is not started.")
        return self._postmaster

    def _say(self, line: str, level: int = logging.INFO) -> None:
        if self._log is None:
            logger.log(level, line)
            return
        try:
            self._log(line)
        except Exception:
            # A failing log must not end the supervision.
            logger.warning(line, exc_info=True)

    def _take_part(self, deadline: float) -> Postmaster:
        """Make what is missing, count as a user, and find the server or launch it."""
        folder = self._folder
        folder.create()
        with self._start_lock(deadline, time.sleep):
            folder.remove_unfinished()
            account = server_account(folder.cluster)
            account.require_way_to(folder.path)
            password = folder.password()
            if not folder.cluster.exists():
                create_cluster(folder, self._runnable(), account, deadline)
            users = FileLock(folder.users_lock)
            try:
                users.try_acquire(shared=True)
                server = self._find_or_launch(password, deadline, time.sleep)
            except BaseException:
                users.release()
                raise
            self._users = users
            return server

    @contextmanager
    def _start_lock(self, deadline: float, pause: Pause) -> Iterator[None]:
        with FileLock(self._folder.start_lock) as lock:
            if not lock.acquire(deadline, pause):
                raise EmbeddedServerError(
                    f"Another process has been starting or stopping the server in {self.data_dir} "
                    "for too long."
                )
            yield

    def _runnable(self) -> Binaries:
        binaries = self._binaries or bundled_binaries(self._folder.major)
        return runnable_binaries(binaries, server_account(self._folder.cluster), self.data_dir)

    def _find_or_launch(
        self, password: str, deadline: float, pause: Pause, port: int | None = None
    ) -> Postmaster:
        """`port` None: the remembered one, or another when that is taken. Under the start lock."""
        folder = self._folder
        server_account(folder.cluster).require_owner(folder.cluster)
        require_version(folder.cluster, folder.major)
        self._require_one_major()
        server = find_running(folder, password, deadline, pause)
        if server is not None:
            self._say(f"PostgreSQL already runs on port {server.port} (process {server.pid}).")
            return server
        with sole_use(folder, deadline, pause) as lock:
            PidFile.remove_misleading(folder.cluster)
            for _ in range(PORT_ATTEMPTS):
                chosen = port or folder.choose_port()
                try:
                    server = self._launch(chosen, lock, deadline, pause)
                except EmbeddedServerError:
                    # Somebody may have taken the port between the look and the start.
                    if port is not None or port_is_free(chosen):
                        raise
                else:
                    folder.remember_port(chosen)
                    self._say(f"PostgreSQL runs on port {chosen} (process {server.pid}).")
                    return server
        raise EmbeddedServerError("Every port that was tried was taken by another program.")

    def _require_one_major(self) -> None:
        """Another major version's server here would share our locks, and never be stopped."""
        for cluster in self.data_dir.glob("postgres-*"):
            note = None if cluster == self._folder.cluster else PidFile.read(cluster)
            if note is not None and may_serve(note.pid, cluster):
                raise EmbeddedServerError(
                    f"{cluster} is in use by a running server, and one data folder serves one "
                    "version at a time. Stop it, or use another data folder."
                )

    def _launch(self, port: int, lock: FileLock, deadline: float, pause: Pause) -> Postmaster:
        folder = self._folder
        command: list[str | Path] = [self._runnable().postgres, "-D", folder.cluster]
        command += ["-p", str(port)]
        for name, value in server_settings(self._settings).items():
            command += ["-c", f"{name}={value}"]
        return launch(
            command,
            port,
            account=server_account(folder.cluster),
            folder=folder,
            lock=lock,
            deadline=deadline,
            pause=pause,
        )

    def _stop_if_unused(self, last_known: Postmaster) -> None:
        folder = self._folder
        with (
            self._start_lock(time.monotonic() + self._startup_timeout, time.sleep),
            FileLock(folder.users_lock) as users,
        ):
            if not users.try_acquire():
                return
            server, note = last_known, PidFile.read(folder.cluster)
            # Another user's supervisor may have launched it again, and have left since.
            if note and note.pid != server.pid and may_serve(note.pid, folder.cluster):
                server = Postmaster(note.pid, note.port or 0)
            server.stop()
            self._say(f"PostgreSQL (process {server.pid}) was stopped.")

    def _watch(self) -> None:
        """The supervisor: look, and launch again at once, then with growing pauses."""
        pause, tried = 0.0, -STEADY_SECONDS
        while not self._stopping.wait(WATCH_SECONDS):
            if self._running().lives():
                if time.monotonic() - tried > STEADY_SECONDS:
                    pause = 0.0
                continue
            if self._stopping.wait(pause):
                return
            pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            try:
                self._recover()
            except _GivenUp:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt follows
                self._say(f"PostgreSQL could not be started again: {error}", logging.ERROR)
            tried = time.monotonic()

    def _recover(self) -> None:
        lost = self._running()
        self._say(f"PostgreSQL (process {lost.pid}) is gone; starting it again.", logging.WARNING)
        deadline = time.monotonic() + self._startup_timeout
        with self._start_lock(deadline, self._pause):
            # On the same port, taken or not: the URLs that were handed out name it.
            password = self._folder.password()
            server = self._find_or_launch(password, deadline, self._pause, lost.port)
            self._postmaster = server
            if server.child is not None:
                self._restarts += 1
                # The server runs; a full disk must not make it look as if it did not.
                with suppress(OSError):
                    self._folder.count_restart()

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _GivenUp
