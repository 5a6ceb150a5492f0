"""Is that process still the one we mean? A process id alone does not tell."""

import os
import subprocess
import sys
from pathlib import Path

LINUX = sys.platform == "linux"
SERVER_NAMES = ("postgres", "postmaster")


def exists(pid: int) -> bool:
    """As PostgreSQL asks before it believes in a lock file: a zombie still exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def born(pid: int) -> str | None:
    """When the process started, in some unit; None when it has ended (a zombie has)."""
    if not LINUX:
        state, _, start = _ps(pid, "stat=,lstart=").partition(" ")
        return None if not state or state.startswith("Z") else start.strip()
    try:
        # The name before the parenthesis may hold anything; state and start time are behind it.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def may_serve(pid: int, cluster: Path) -> bool:
    """Whether the process runs PostgreSQL on this cluster; True when that cannot be ruled out."""
    if born(pid) is None:
        return False
    if not LINUX:
        command = _ps(pid, "command=")
        program = Path(command.partition(" ")[0]).name
        return program in SERVER_NAMES and (str(cluster) in command or " -D" not in command)
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    if Path(arguments[0]).name not in SERVER_NAMES:
        return False
    place = _working_folder(pid) or _named_folder(arguments)
    return place is None or place.resolve() == cluster.resolve()


def _working_folder(pid: int) -> Path | None:
    """A postmaster works in its cluster; root without CAP_SYS_PTRACE (in Docker) may not look."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _named_folder(arguments: list[str]) -> Path | None:
    if "-D" not in arguments[:-1]:
        return None
    named = Path(arguments[arguments.index("-D") + 1])
    return named if named.is_absolute() else None


def _ps(pid: int, columns: str) -> str:
    answer = subprocess.run(  # noqa: S603 - no shell, and the only variable part is a number
        ["/bin/ps", "-o", columns, "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()
