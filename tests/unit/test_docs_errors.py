"""The guide's table of errors and the classes say the same, and codes keep their families."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import memory.app  # noqa: F401  with it come all errors that can be answered
from core.errors import AppError

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
COLUMNS = ["Code", "Name", "Predecessor's name", "HTTP", "Meaning", "What to do"]

# The predecessor's codes, which its clients know, and what each family is about. A code of ours
# is a free number of its family: within the ten after the family's first, 25500 alone.
PREDECESSORS = {
    25000: "ParamError",
    25010: "DatabaseExecutionError",
    25011: "CreatDBError",
    25012: "DeleteDBError",
    25013: "DatabaseNotExistError",
    25014: "ModifyDBDescriptionError",
    25015: "SpaceIDNotExistError",
    25020: "NoAuthorityError",
    25021: "NoSchemaError",
    25030: "SQLParseError",
    25040: "DDLNotAllowed",
    25041: "DDLExecutionError",
    25050: "DMLNotAllowed",
    25051: "DMLExecutionError",
    25500: "HttpError",
}
STATUSES = {
    25000: {400, 404, 405, 409, 413, 415, 422},
    25010: {404, 409, 422, 499, 500, 503},
    25020: {401, 403, 404},
    25030: {400, 422},
    25040: {403, 422},
    25050: {403, 422},
    25100: {415},
    25200: {413, 422},
    25300: {422},
    25500: {500},
}
NONE = "-"


class Shown(NamedTuple):
    code: str
    name: str
    predecessor: str
    status: str
    meaning: str
    remedy: str


def errors() -> list[type[AppError]]:
    found = set(subclasses(AppError))
    return sorted(found, key=lambda error: (error.code, error.kind()))


def subclasses(kind: type[AppError]) -> Iterator[type[AppError]]:
    for subclass in kind.__subclasses__():
        # A test may have classes of its own.
        if not subclass.__module__.startswith("tests."):
            yield subclass
            yield from subclasses(subclass)


def family(code: int) -> int:
    return code // 10 * 10


def of_classes() -> list[Shown]:
    return [
        Shown(
            str(error.code),
            f"`{error.kind()}`",
            error.predecessor,
            str(error.status),
            error.meaning(),
            error.remedy,
        )
        for error in errors()
    ]


def of_guide() -> list[Shown]:
    lines = [line for line in GUIDE.read_text().splitlines() if line.startswith("|")]
    assert cells(lines[0]) == COLUMNS
    return [Shown(*cells(line)) for line in lines[2:]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_guide_lists_every_error_as_its_class_has_it() -> None:
    assert of_guide() == of_classes()


def test_every_error_says_what_it_means_and_what_to_do() -> None:
    for error in errors():
        # A class without a docstring of its own would show its parent's.
        assert error.__dict__.get("__doc__"), f"{error.__name__} has no docstring"
        assert error.remedy.endswith("."), f"{error.__name__}: {error.remedy}"
        assert "|" not in error.meaning() + error.remedy, f"{error.__name__} breaks the table"


def test_names_are_unique() -> None:
    names = [error.kind() for error in errors()]
    assert sorted(set(names)) == sorted(names)


def test_every_code_is_in_a_family_that_the_predecessors_clients_know() -> None:
    for error in errors():
        assert 25000 <= error.code < 26000, error.__name__
        assert error.status in STATUSES.get(family(error.code), set()), error.__name__


def test_an_error_stays_in_its_parents_family() -> None:
    for error in errors():
        parent = error.__mro__[1]
        if parent is not AppError:
            assert issubclass(parent, AppError)
            assert family(error.code) == family(parent.code), error.__name__


def test_the_predecessors_codes_keep_their_names_and_new_codes_have_none() -> None:
    names = defaultdict(set)
    for error in errors():
        names[error.code].add(error.predecessor)
    assert dict(names) == {code: {PREDECESSORS.get(code, NONE)} for code in names}
