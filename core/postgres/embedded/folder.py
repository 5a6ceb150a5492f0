"""The data folder: what lies where, who may read it, and the small files beside the cluster."""

import os
import random
import secrets
import shutil
import socket
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.postgres.embedded.account import user_name
from core.postgres.embedded.errors import EmbeddedServerError

# Below the ephemeral ports: while the server is down for a moment, an outgoing connection (even
# the reconnecting client's own) must not be given its port.
PORTS = range(20_000, 32_000)
PORT_TRIES = 100
UNFINISHED = "new-"


@dataclass(frozen=True)
class DataFolder:
    path: Path
    major: int

    @property
    def cluster(self) -> Path:
        return self.path / f"postgres-{self.major}"

    @property
    def password_file(self) -> Path:
        return self.path / "superuser.password"

    @property
    def port_file(self) -> Path:
        return self.path / "port"

    @property
    def start_lock(self) -> Path:
        return self.path / "start.lock"

    @property
    def users_lock(self) -> Path:
        return self.path / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes themselves, until the last of them has ended."""
        return self.path / "server.lock"

    @property
    def restarts_file(self) -> Path:
        """How often the server was gone and launched again, by whichever supervisor."""
        return self.path / "restarts"

    @property
    def server_log(self) -> Path:
        return self.path / "server.log"

    def create(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Under root the server's user has to pass through; nobody else ever reads it.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        try:
            self.path.mkdir(mode)
            self.path.chmod(mode)
        except FileExistsError:
            pass
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            invoker = user_name(os.geteuid())
            raise EmbeddedServerError(
                f"{self.path} belongs to {user_name(self.path.stat().st_uid)} and {invoker} cannot "
                "use it. Start as the user who made it, choose another data folder, or hand it "
                f"over with: chown -R {invoker} {self.path}"
            )

    def remove_unfinished(self) -> None:
        """Remove what a killed start left behind; the start lock must be held."""
        for leftover in self.path.glob(f"{UNFINISHED}*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def password(self) -> str:
        """The superuser's password, made here when neither it nor a cluster exists."""
        if not self.password_file.exists():
            if self.cluster.exists():
                raise EmbeddedServerError(
                    f"{self.password_file} is missing, so nobody can log in to {self.cluster}. "
                    "Put the file back, or move the cluster away to begin with an empty one."
                )
            self._write(self.password_file, secrets.token_urlsafe(32))
        return self.password_file.read_text().strip()

    def remember_port(self, port: int) -> None:
        if self._remembered_port() != port:
            self._write(self.port_file, str(port))

    def restarts(self) -> int:
        try:
            return int(self.restarts_file.read_text())
        except (OSError, ValueError):
            return 0

    def count_restart(self) -> None:
        """Under the start lock."""
        self._write(self.restarts_file, str(self.restarts() + 1))

    def choose_port(self) -> int:
        """The port of the last start when it is free, so that URLs stay valid; or another."""
        remembered = self._remembered_port()
        if remembered is not None and port_is_free(remembered):
            return remembered
        for port in random.sample(PORTS, PORT_TRIES):
            if port_is_free(port):
                return port
        raise EmbeddedServerError(f"No port between {PORTS.start} and {PORTS.stop} is free.")

    def _remembered_port(self) -> int | None:
        try:
            port = int(self.port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return port if 0 < port < 65_536 else None

    def _write(self, path: Path, text: str) -> None:
        """Write whole or not at all; readable by the invoker alone."""
        descriptor, unfinished = tempfile.mkstemp(prefix=UNFINISHED, dir=self.path)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)


def restarts_in(data_dir: Path) -> int:
    """How often the server of a data folder was gone and launched again, ever."""
    return DataFolder(data_dir, 0).restarts()


def port_is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        # As PostgreSQL binds: connections of the last server that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
