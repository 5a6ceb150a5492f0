"""Whom the server's processes run as: PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.postgres.embedded.errors import EmbeddedServerError

UNPRIVILEGED = ("pgtwin", "postgres", "nobody")

# Nothing of ours is inherited: a PGDATA or PGPORT of the user's shell would steer the server.
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_FIRST_CLOSED_STEP = 'for step; do [ -x "$step" ] || { printf %s "$step"; exit 1; }; done'


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def is_invoker(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def _groups(self) -> list[int] | None:
        return None if self.is_invoker else []

    def run(
        self, command: Sequence[str | Path], *, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, output captured; `timeout` in seconds."""
        return subprocess.run(  # noqa: S603 - our own programs, by path, without a shell
            command,
            user=None if self.is_invoker else self.uid,
            group=None if self.is_invoker else self.gid,
            extra_groups=self._groups,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def launch(
        self, command: Sequence[str | Path], *, output: int, keep: int
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own; the file `keep` stays open in it."""
        return subprocess.Popen(  # noqa: S603 - our own programs, by path, without a shell
            command,
            user=None if self.is_invoker else self.uid,
            group=None if self.is_invoker else self.gid,
            extra_groups=self._groups,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(keep,),
            start_new_session=True,
        )

    def take(self, path: Path) -> None:
        """Make the account the owner of a file or folder that we made."""
        if not self.is_invoker:
            os.chown(path, self.uid, self.gid)

    def require_way_to(self, folder: Path) -> None:
        """Try, as the account, to enter every folder on the way to this one."""
        if self.is_invoker:
            return
        way = [*reversed(folder.parents), folder]
        answer = self.run(["/bin/sh", "-c", _FIRST_CLOSED_STEP, "sh", *way])
        if answer.returncode:
            raise EmbeddedServerError(
                f"PostgreSQL cannot run as root, so it runs as the user {self.name}, who cannot "
                f"enter {answer.stdout or folder}. Use a data folder elsewhere, such as "
                f"/var/lib/pgtwin, or allow it with: chmod o+x {answer.stdout or folder}"
            )

    def require_owner(self, cluster: Path) -> None:
        owner = cluster.stat().st_uid
        if owner != self.uid:
            raise EmbeddedServerError(
                f"{cluster} belongs to {user_name(owner)}, but the server would run as "
                f"{self.name}. Start it as the user who made it, or hand the data over with: "
                f"chown -R {self.name} {cluster if os.geteuid() == 0 else cluster.parent}"
            )


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def server_account(cluster: Path) -> Account:
    """The invoker; for root an unprivileged user, the cluster's owner first when it is one."""
    if os.geteuid() != 0:
        return Account(user_name(os.geteuid()), os.geteuid(), os.getegid())
    accounts = [account for name in UNPRIVILEGED if (account := _unprivileged(name))]
    if not accounts:
        raise EmbeddedServerError(
            "PostgreSQL cannot run as root, and none of the users "
            f"{', '.join(UNPRIVILEGED)} exists. Make one with: useradd --system {UNPRIVILEGED[0]}"
        )
    owner = cluster.stat().st_uid if cluster.exists() else None
    return next((account for account in accounts if account.uid == owner), accounts[0])


def _unprivileged(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None
