"""What commands have in common: the service, a database by name or number, and how they end."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtwin.cli import config
from pgtwin.cli.output import note, text, width

if TYPE_CHECKING:
    from pgtwin import Client

# Documented in docs/cli.md.
FAILED, USAGE, UNREACHABLE, NOT_AUTHORIZED, NOT_FOUND, INCOMPATIBLE = 1, 2, 3, 4, 5, 6
INTERRUPTED = 130
# Characters that are shown of a line of SQL on each side of an error.
BESIDE = 100
_CODES = {
    "ServerUnreachable": UNREACHABLE,
    "IncompatibleServer": INCOMPATIBLE,
    "NotAuthenticated": NOT_AUTHORIZED,
    "NotAuthorized": NOT_AUTHORIZED,
    "DatabaseNotFound": NOT_FOUND,
    "SpaceNotFound": NOT_FOUND,
    "ConnectionNotFound": NOT_FOUND,
    "OperationNotFound": NOT_FOUND,
}


class Refused(Exception):
    """The command can't do that; the message says why, in one line."""

    def __init__(self, message: str, code: int = FAILED, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.hint = code, hint


class State:
    """What was said before the command."""

    profile: str | None = None
    uid: str | None = None


def client() -> "Client":
    """
    Raises:
        Refused: nothing says where the service is, or with which key.
    """
    from pgtwin import Retry

    found = config.chosen(State.profile)
    if not found.key:
        raise Refused(
            "there is no API key",
            NOT_AUTHORIZED,
            "run `pgtwin login`, or set PGTWIN_URL and PGTWIN_KEY",
        )
    return connected(found.url, found.key, uid=State.uid, retry=Retry(attempts=3))


def connected(url: str | None, key: str, **options: Any) -> "Client":
    """
    Raises:
        Refused: the address is none, or the key.
    """
    from pgtwin import Client, _wire

    try:
        place = _wire.address(url)
    except ValueError as error:
        raise Refused(str(error), USAGE) from error
    try:
        return Client(place, key, **options)
    except ValueError as error:
        raise Refused(str(error), NOT_AUTHORIZED) from error


def database_id(service: "Client", given: str) -> int:
    """The id of a database, of which the id or the name is given.

    Raises:
        Refused: there is none, or more than one.
    """
    if given.isascii() and given.isdecimal():
        return int(given)
    found = [each for each in service.list_databases(name_prefix=given) if each.name == given]
    if not found:
        raise Refused(f'there is no database "{given}"', NOT_FOUND)
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise Refused(f'several databases are named "{given}": {ids}', hint="give the id")
    return found[0].id


def ended_with(error: Exception) -> int | None:
    """Tell an error in a line or two; gives the exit code. None: it is a fault of the program."""
    from pgtwin.errors import PgtwinError, ServiceError

    if isinstance(error, Refused):
        note(f"error: {error}")
        if error.hint:
            note(f"hint: {error.hint}")
        return error.code
    if isinstance(error, config.ConfigError):
        note(f"error: {error}")
        return USAGE
    if isinstance(error, ServiceError):
        note(f"error: {one_line(error.message)} ({error.code} {error.type})")
        for line in _where(error):
            note(line)
        if error.hint:
            note(f"hint: {one_line(error.hint)}")
    elif isinstance(error, PgtwinError):
        note(f"error: {one_line(error.message)}")
    elif isinstance(error, UnicodeEncodeError):
        note("error: what was given has bytes that are no UTF-8")
        return USAGE
    elif isinstance(error, OSError):
        note(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    else:
        return None
    return _CODES.get(type(error).__name__, FAILED)


def one_line(message: str) -> str:
    return " ".join(message.split())


def decoded(content: bytes, name: str) -> str:
    """A text of SQL from a file, which may have a byte order mark.

    Args:
        name: of the file, to be told.

    Raises:
        Refused: it is no UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refused(f"{name} is no text in UTF-8: see line {line}") from error


def read(file: str) -> str:
    """
    Raises:
        OSError, Refused
    """
    return decoded(Path(file).read_bytes(), file)


class Sql:
    """The SQL that was sent last, to show where an error is.

    Attributes:
        text: as it was given.
        start: where in it what was sent begins.
    """

    text = ""
    start = 0


def _where(error: Exception) -> list[str]:
    position = getattr(error, "position", None)
    if not position or not 0 < position <= len(Sql.text) - Sql.start:
        return []
    place = Sql.start + position - 1
    start = Sql.text.rfind("\n", 0, place) + 1
    end = Sql.text.find("\n", place)
    line = Sql.text[start : end if end >= 0 else None]
    first = max(0, place - start - BESIDE)
    shown = line[first : place - start + BESIDE]
    head = f"line {Sql.text.count(chr(10), 0, place) + 1}: {'...' if first else ''}"
    tail = "..." if len(line) > first + len(shown) else ""
    # A tab is one column wide here as there, so that the caret is below its place.
    shown = "".join(" " if each.isspace() else each for each in shown)
    before = width(head + text(shown[: place - start - first]))
    return [head + shown + tail, " " * before + "^"]


def confirmed(question: str, *, yes: bool) -> None:
    """Ask, where somebody can answer.

    Raises:
        Refused: the answer is no, or nobody can give one.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("this is not a terminal, so nobody can be asked", USAGE, "give --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("nothing was done")


def labels_of(given: list[str] | None) -> dict[str, str] | None:
    """
    Raises:
        Refused: one is not of the form key=value, or is given twice.
    """
    if not given:
        return None
    pairs = [each.partition("=") for each in given]
    wrong = next((name for name, sign, _ in pairs if not sign), None)
    if wrong is not None:
        raise Refused(f'"{wrong}" is no label: give key=value', USAGE)
    found = {name: value for name, _, value in pairs}
    if len(found) < len(pairs):
        raise Refused("a label is given twice", USAGE)
    return found
