"""A service of one's own, with the embedded PostgreSQL."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType

from pgtwin.cli.output import note
from pgtwin.cli.session import Refused

# As `pgtwind serve` tells them.
_URL = re.compile(r"^  API +(http://\S+)/v1$")
_READY = "Ctrl-C stops"
_TOKEN = re.compile(r"pgt_[0-9a-f]{12}_\S+")
UID = "dev"
SCOPES = ("databases:read", "databases:write", "sql:ddl", "sql:dml", "connections")
# A URI may open ten sessions and is used for one or two: many have room.
CROWDED = MappingProxyType({"PGTWIN_CONNECTION_LIMIT_TOTAL": "1000"})
# Seconds in which a service ends by itself.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Started:
    """
    Attributes:
        process: of the service.
    """

    url: str
    key: str
    process: subprocess.Popen[str]


def program() -> str | None:
    """`pgtwind` of this environment, or of the PATH."""
    own = Path(sys.executable).with_name("pgtwind")
    return str(own) if own.exists() else shutil.which("pgtwind")


@contextmanager
def service(
    port: int = 0,
    data: str | None = None,
    *,
    key_file: Path | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Started]:
    """A service until the block ends.

    Args:
        port: 0: any free one.
        data: the folder of its data; None: one that goes with it.
        key_file: where the key is kept for the next time; None: there is a new one each time.
        settings: of the service, as its environment has them.

    Raises:
        Refused: pgtwin-server is not installed, or does not start.
    """
    found = program()
    if found is None:
        raise Refused("pgtwin-server is not installed here", hint="pip install pgtwin-server")
    with tempfile.TemporaryDirectory(prefix="pgtwin-dev-", ignore_cleanup_errors=True) as folder:
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # PostgreSQL runs as another user where it is started by root.
            Path(folder).chmod(0o711)
        place = data or folder
        kept = {name: each for name, each in os.environ.items() if not _is_of_another(name)}
        environment = {**kept, **settings, "PGTWIN_DATA_DIR": str(Path(place).resolve())}
        process = subprocess.Popen(
            [found, "serve", "--until-eof", "--port", str(port)],
            # Where the user is, a `.env` may be that of another service.
            cwd=folder,
            env=environment,
            # It ends with this process, however that ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            url = _ready(process)
            _drain(process)
            yield Started(url, _key(found, environment, folder, key_file), process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _is_of_another(name: str) -> bool:
    return name == "DATABASE_URL" or name.startswith("PGTWIN_")


def _ready(process: "subprocess.Popen[str]") -> str:
    """The service's address, once it serves.

    Raises:
        Refused: it ended before it served.
    """
    seen: list[str] = []
    url = ""
    for line in process.stdout or ():
        seen.append(line.rstrip())
        url = found[1] if (found := _URL.search(line)) else url
        if url and _READY in line:
            return url
    last = next((line for line in reversed(seen) if line), "it said nothing")
    raise Refused(f"the service did not start: {last}")


def _key(program: str, environment: dict[str, str], folder: str, kept: Path | None) -> str:
    """A key of the user `dev`, who may do all that a user may.

    Args:
        folder: in which there is no `.env`.
        kept: where it is, or is to be.

    Raises:
        Refused
    """
    if kept is not None and kept.exists():
        return kept.read_text()
    command = [program, "key", "create", "--uid", UID, "--name", "pgtwin dev"]
    command += [part for scope in SCOPES for part in ("--scope", scope)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    found = _TOKEN.search(done.stdout)
    if found is None:
        raise Refused(f"the service gives no key: {done.stderr.strip()}")
    if kept is not None:
        write_privately(kept, found[0])
    return found[0]


def write_privately(path: Path, text: str) -> None:
    """All of it or nothing, for its owner's eyes."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.touch(0o600)
    part.write_text(text)
    part.replace(path)


def _drain(process: "subprocess.Popen[str]") -> None:
    """Read what it says from now on, for it would stop where nobody reads."""
    import threading

    def read() -> None:
        for _line in process.stdout or ():
            pass

    threading.Thread(target=read, daemon=True).start()


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def dev(command: list[str], port: int, data: str | None) -> int:
    """
    Returns:
        The command's exit code; without one 0, when the service was ended.
    """
    # Told to end, it ends its service first.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with service(port, data, settings=CROWDED) as started:
        # The user too, for another one may be set where this runs.
        given = {"PGTWIN_URL": started.url, "PGTWIN_KEY": started.key, "PGTWIN_UID": UID}
        if command:
            try:
                return subprocess.call(command, env=os.environ | given)
            except FileNotFoundError as error:
                raise Refused(f"{command[0]}: not found", 127) from error
        print(
            " ".join(["export", *(f"{name}={value}" for name, value in given.items())]), flush=True
        )
        note("Ctrl-C ends it")
        try:
            started.process.wait()
        except KeyboardInterrupt:
            return 0
        raise Refused("the service has ended")
