"""Starts a service for a test run, and ends it when the run is over.

python -m pgtwin.testing.guard PGTWIND DATA_FOLDER RUN_FOLDER
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO

from pgtwin.testing.embedded import LOG, STATE, USERS

UID = "pytest"
SCOPES = ("databases:read", "databases:write", "sql:ddl", "sql:dml", "connections")
START_SECONDS, LOOK_SECONDS, DAY = 180.0, 0.1, 86_400.0
READY = re.compile(r"^  API +(\S+)/v1$.*^  Ctrl-C stops", re.MULTILINE | re.DOTALL)
# Of the project whose tests run: they are not for this service.
OTHERS = ("DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


def guard(program: Path, data: Path, run: Path) -> int:
    """Serve until nobody uses the run's service any more.

    Returns:
        The exit code: that of a service that ended by itself.
    """
    environment = _environment(data)
    with (run / USERS).open("a") as users, (run / LOG).open("a") as log:
        service = subprocess.Popen(
            [program, "serve", "--host", "127.0.0.1", "--port", "0"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        state = run / STATE
        try:
            url = _until_ready(service, run / LOG)
            key = _key(program, data, environment)
            _write(state, json.dumps({"url": url, "key": key}))
            _remove_old(run)
            while service.poll() is None and not _is_free(users):
                time.sleep(LOOK_SECONDS)
            # Whoever comes now waits for the lock, and then starts another service.
            state.unlink()
            fcntl.flock(users, fcntl.LOCK_UN)
            return service.poll() or 0
        finally:
            state.unlink(missing_ok=True)
            service.terminate()
            service.wait()


def _environment(data: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PGTWIN_") and name not in OTHERS
    }
    return {
        **kept,
        "PGTWIN_DATA_DIR": str(data),
        "PGTWIN_LOG_LEVEL": "warning",
        # A test's URL may open ten sessions and opens one or two: many workers have room.
        "PGTWIN_CONNECTION_LIMIT_TOTAL": "1000",
    }


def _until_ready(service: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while (found := READY.search(log.read_text())) is None:
        if service.poll() is not None:
            raise SystemExit(service.returncode)
        if time.monotonic() > deadline:
            raise SystemExit(f"pgtwind is not ready after {START_SECONDS:.0f} seconds")
        time.sleep(LOOK_SECONDS)
    return found[1]


def _key(program: Path, data: Path, environment: dict[str, str]) -> str:
    """A key for tests; one for all runs in the folder."""
    kept = data / "pytest.key"
    if not kept.exists():
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        command = [str(program), "key", "create", "--uid", UID, "--name", UID, *scopes]
        made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        _write(kept, made.stdout.decode().strip())
    return kept.read_text()


def _write(path: Path, text: str) -> None:
    """All of it or nothing, for its owner's eyes."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.touch(0o600)
    part.write_text(text)
    part.replace(path)


def _is_free(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_old(run: Path) -> None:
    """Folders of runs that have ended long ago."""
    for each in run.parent.iterdir():
        with (each / USERS).open("a") as users:
            if time.time() - (each / LOG).stat().st_mtime > DAY and _is_free(users):
                shutil.rmtree(each)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(guard(*(Path(each) for each in sys.argv[1:4])))
