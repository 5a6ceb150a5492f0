"""Writes what is made and not written by hand: `make generate`.

- `pgtwin/errors.py` from the service's errors, one class for each;
- `pgtwin/_sync` from `pgtwin/_async`.

With `--check` nothing is written, and it fails where that would change a file.
"""

import argparse
import importlib
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import unasync

import memory
from core.errors import AppError

HERE = Path(__file__).parent
PACKAGE = HERE / "src" / "pgtwin"
REPLACED = {
    "AsyncClient": "Client",
    "AsyncTransport": "Transport",
    "AsyncHTTPTransport": "HTTPTransport",
    "AsyncIterator": "Iterator",
    "AsyncGenerator": "Generator",
    "AsyncExitStack": "ExitStack",
    "asynccontextmanager": "contextmanager",
    "async_sleep": "sync_sleep",
    "aclose": "close",
    "aread": "read",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "_async": "_sync",
}
ERRORS_HEAD = '''"""One class for each error of the service, and those of the way to it.

Made by generate.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PgtwinError(Exception):
    """Whatever a call ends with, other than its result.

    Attributes:
        message: what happened.
        retryable: the same call may succeed later.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ServerUnreachable(PgtwinError):
    """There is no answer from the address."""

    retryable = True


class IncompatibleServer(PgtwinError):
    """The server is of a version that this client does not speak with."""


class OperationTimeout(PgtwinError):
    """An operation was not done within the time that was given to wait for it."""


class StreamBroken(PgtwinError):
    """A stream of rows ended before its end."""


class ServiceError(PgtwinError):
    """An error that the service answered, of a kind that this client does not know.

    Attributes:
        status: of HTTP.
        code, type: the service's.
        sqlstate: PostgreSQL's, where it comes from there.
        position: the place in the SQL, in characters from 1.
        hint: what to do about it.
        details: what else there is, by the kind of error.
        request_id: under which the service's log has the request.
    """

    code: ClassVar[int] = 0
    type: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        sqlstate: str | None = None,
        position: int | None = None,
        hint: str | None = None,
        details: Any = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.sqlstate, self.position = status, sqlstate, position
        self.hint, self.details, self.request_id = hint, details, request_id
'''
ERRORS_TAIL = '''

_BY_TYPE: Mapping[str, type[ServiceError]] = {
    each.type: each for each in ServiceError.__subclasses__()
}


def of(status: int, envelope: Mapping[str, Any]) -> ServiceError:
    """The error that an envelope has.

    Raises:
        KeyError: it is no envelope.
    """
    told: Mapping[str, Any] = envelope.get("error") or {}
    kind = _BY_TYPE.get(told.get("type", ""), ServiceError)
    made = kind(
        envelope["message"],
        status=status,
        sqlstate=told.get("sqlstate"),
        position=told.get("position"),
        hint=told.get("hint"),
        details=told.get("details"),
        request_id=envelope.get("sid", ""),
    )
    if kind is ServiceError:
        made.code, made.type = envelope["code"], told.get("type", "")  # type: ignore[misc]
        made.retryable = bool(told.get("retryable"))  # type: ignore[misc]
    return made
'''


def service_errors() -> list[type[AppError]]:
    for module in pkgutil.walk_packages(memory.__path__, "memory."):
        importlib.import_module(module.name)

    def below(kind: type[AppError]) -> Iterator[type[AppError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    found = {each.kind(): each for each in below(AppError) if each is not AppError}
    return [found[name] for name in sorted(found)]


def errors_file() -> str:
    parts = [ERRORS_HEAD]
    for kind in service_errors():
        retryable = f"\n    retryable = {kind.retryable}" if kind.retryable else ""
        parts.append(
            f'\n\nclass {kind.__name__}(ServiceError):\n    """{kind.meaning()}."""\n\n'
            f'    code, type = {kind.code}, "{kind.kind()}"{retryable}\n'
        )
    return "".join([*parts, ERRORS_TAIL])


def sync_files(folder: Path) -> None:
    rule = unasync.Rule(
        fromdir=str(PACKAGE / "_async"),
        todir=str(folder / "_sync"),
        additional_replacements=REPLACED,
    )
    sources = sorted(str(path) for path in (PACKAGE / "_async").glob("*.py"))
    unasync.unasync_files(sources, [rule])


def made() -> dict[Path, str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sync_files(folder)
        (folder / "errors.py").write_text(errors_file())
        ruff = Path(sys.executable).with_name("ruff")
        configuration = HERE.parent / "pyproject.toml"
        for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
            subprocess.run([ruff, *command, "--config", configuration, folder], check=True)
        found = [folder / "errors.py", *sorted((folder / "_sync").glob("*.py"))]
        return {PACKAGE / path.relative_to(folder): path.read_text() for path in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in made().items():
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        print(f"{path.relative_to(HERE.parent)} {'is stale' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
