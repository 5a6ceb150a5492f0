"""A cluster's creation, its checks before a start, and the settings that it runs with."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from core.postgres.embedded.account import Account
from core.postgres.embedded.binaries import Binaries
from core.postgres.embedded.errors import EmbeddedServerError
from core.postgres.embedded.folder import UNFINISHED, DataFolder

MEGABYTE = 1024 * 1024
SMALLEST_BUFFERS, LARGEST_BUFFERS = 32 * MEGABYTE, 1024 * MEGABYTE
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def create_cluster(
    folder: DataFolder, binaries: Binaries, account: Account, deadline: float
) -> None:
    """Run initdb beside the cluster's place and move the result there, so none is half-made."""
    password = folder.password()
    work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.path))
    password_file = work / "password"
    password_file.touch(0o600)
    password_file.write_text(password + "\n")
    account.take(password_file)
    account.take(work)
    command: list[str | Path] = [binaries.initdb, "-D", work / "data", "--no-instructions"]
    command += ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", password_file]
    command += ["-E", "UTF8", *_locale(folder.major)]
    try:
        made = account.run(command, timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise EmbeddedServerError(
            f"Making a cluster in {folder.path} took longer than the start may; "
            "raise the start's timeout."
        ) from error
    if made.returncode:
        raise EmbeddedServerError(
            f"initdb failed in {folder.path} (exit code {made.returncode}):\n"
            + "\n".join((made.stdout + made.stderr).strip().splitlines()[-8:])
        )
    (work / "data").rename(folder.cluster)
    _make_durable(folder.path)
    shutil.rmtree(work, ignore_errors=True)


def _locale(major: int) -> list[str]:
    if major >= 17:
        # Sorts and folds alike on every machine, whatever locales the system has.
        return ["--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_version(cluster: Path, major: int) -> None:
    try:
        version = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedServerError(
            f"{cluster} is not a PostgreSQL data folder (it has no PG_VERSION). Move it away."
        ) from None
    if version != str(major):
        raise EmbeddedServerError(
            f"{cluster} was made by PostgreSQL {version}, and this is PostgreSQL {major}. Start "
            f"with version {version}, or dump it there and load the dump into an empty folder."
        )


def server_settings(overrides: Mapping[str, str]) -> dict[str, str]:
    buffers = min(max(_memory() // 8, SMALLEST_BUFFERS), LARGEST_BUFFERS) // MEGABYTE
    return {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "shared_buffers": f"{buffers}MB",
        "max_connections": "200",
        "max_locks_per_transaction": "256",
        "max_prepared_transactions": "0",
        "jit": "off",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Statements hold tenants' values. "terse" belongs to it: details quote rows and statements.
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
        # A file for each weekday, overwritten a week later.
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        **overrides,
    }


def _memory() -> int:
    """Bytes of memory that we may use: a container's limit counts, not its host's memory."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(path.read_text()))
    return min(limits)
