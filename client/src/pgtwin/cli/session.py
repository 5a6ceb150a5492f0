"""What commands have in common: the service, a database by name or number, and how they end."""

import sys
from typing import TYPE_CHECKING

from pgtwin.cli import config
from pgtwin.cli.output import note

if TYPE_CHECKING:
    from pgtwin import Client

# Documented in docs/cli.md.
FAILED, USAGE, UNREACHABLE, NOT_AUTHORIZED, NOT_FOUND, INCOMPATIBLE = 1, 2, 3, 4, 5, 6
INTERRUPTED = 130
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
    from pgtwin import Client, Retry

    found = config.chosen(State.profile)
    if not found.key:
        raise Refused(
            "there is no API key",
            NOT_AUTHORIZED,
            "run `pgtwin login`, or set PGTWIN_URL and PGTWIN_KEY",
        )
    return Client(found.url, found.key, uid=State.uid, retry=Retry(attempts=3))


def database_id(service: "Client", given: str) -> int:
    """The id of a database, of which the id or the name is given.

    Raises:
        Refused: there is none, or more than one.
    """
    if given.isdecimal():
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
    elif isinstance(error, OSError):
        note(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
    else:
        return None
    return _CODES.get(type(error).__name__, FAILED)


def one_line(message: str) -> str:
    return " ".join(message.split())


class Sql:
    """The SQL that was sent last, to show where an error is."""

    text = ""


def _where(error: Exception) -> list[str]:
    place = getattr(error, "position", None)
    if not place or not 0 < place <= len(Sql.text):
        return []
    before = Sql.text[: place - 1]
    start = before.rfind("\n") + 1
    line = Sql.text[start:].partition("\n")[0].rstrip("\r")
    number = before.count("\n") + 1
    head = f"line {number}: "
    return [head + line, " " * (len(head) + place - 1 - start) + "^"]


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
        Refused: one is not of the form key=value.
    """
    if not given:
        return None
    pairs = [each.partition("=") for each in given]
    wrong = next((name for name, sign, _ in pairs if not sign), None)
    if wrong is not None:
        raise Refused(f'"{wrong}" is no label: give key=value', USAGE)
    return {name: value for name, _, value in pairs}
