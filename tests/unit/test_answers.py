import asyncpg
import pytest

from core.postgres.answers import Answers, AnswersBehind, Description


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


TIMEZONE = message("S", b"TimeZone\0UTC\0")
DONE = message("C", b"BEGIN\0")
READY = message("Z", b"T")
REFUSED = message("E", b"SERROR\0VERROR\0C42501\0Mno such user\0\0")
THEIRS = message("1") + message("T", b"\0\0")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_only_what_is_the_drivers_is_given(size: int) -> None:
    answers, given = Answers(), b""
    data = DONE + TIMEZONE + message("D", b"Z" * 300) + READY + THEIRS + READY
    for at in range(0, len(data), size):
        part = data[at : at + size]
        given += part if answers.is_complete else answers.take(part)
    assert given == TIMEZONE + THEIRS + READY
    assert answers.is_complete
    assert answers.failure is None


def test_a_refusal_is_an_error_of_its_sqlstate() -> None:
    answers = Answers()
    assert answers.take(DONE + REFUSED) == b""
    assert not answers.is_complete
    assert isinstance(answers.failure, asyncpg.InsufficientPrivilegeError)
    assert str(answers.failure) == "no such user"
    assert answers.take(READY + THEIRS) == THEIRS
    assert not answers.is_idle
    answers = Answers()
    assert answers.take(REFUSED + message("Z", b"I")) == b""
    assert answers.is_idle


EXECUTED = message("1") + message("2") + message("C", b"CREATE TABLE\0")
ABORTED = message("E", b"C25P02\0Maborted\0\0")
SIMPLE = DONE + TIMEZONE + READY
END = message("Z", b"E")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
@pytest.mark.parametrize(
    ("came", "drivers", "tags", "failure"),
    [
        (EXECUTED + SIMPLE + SIMPLE + EXECUTED, THEIRS + READY, 4, ""),
        # The driver gets the error, and what is behind it is skipped up to its Sync.
        (message("1") + REFUSED, END, 0, "no such user"),
        (EXECUTED + REFUSED + END + ABORTED + END + ABORTED, END, 1, "no such user"),
        (EXECUTED + SIMPLE + REFUSED + END + ABORTED, END, 2, "no such user"),
        (EXECUTED + SIMPLE + SIMPLE + REFUSED, END, 3, "no such user"),
    ],
)
def test_requests_without_an_end_of_their_own(
    came: bytes, drivers: bytes, tags: int, failure: str, size: int
) -> None:
    answers, given = Answers([False, True, True, False]), b""
    data = came + drivers
    for at in range(0, len(data), size):
        part = data[at : at + size]
        given += part if answers.is_complete else answers.take(part)
    errors = came[came.rindex(b"E\0\0\0") :] if failure else b""
    assert given == TIMEZONE * came.count(TIMEZONE) + errors + drivers
    assert answers.is_complete
    assert answers.tags == ["CREATE TABLE", "", "", "CREATE TABLE"][:tags]
    assert str(answers.failure or "") == failure


IN_ONE = message("2") + message("D", b"Z" * 300) + message("C", b"SELECT 1\0")
IDLE = message("Z", b"I")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 11, 1000])
def test_of_two_answers_in_a_row_the_driver_sees_the_first_and_the_last_end(size: int) -> None:
    answers, given = AnswersBehind(), b""
    ended = message("C", b"COMMIT\0")
    data = IN_ONE + READY + ended + TIMEZONE + message("T", b"Z") + message("D") + IDLE + THEIRS
    for at in range(0, len(data), size):
        part = data[at : at + size]
        given += part if answers.is_complete else answers.take(part)
    assert given == IN_ONE + TIMEZONE + IDLE + THEIRS
    assert (answers.is_complete, answers.has_committed) == (True, True)
    assert answers.failure is None


@pytest.mark.parametrize("size", [1, 6, 1000])
def test_of_two_refusals_the_drivers_is_its_own(size: int) -> None:
    answers, given = AnswersBehind(), b""
    failed = message("Z", b"E")
    data = REFUSED + failed + message("E", b"C25P02\0Mfirst\0\0") + REFUSED + failed
    for at in range(0, len(data), size):
        given += answers.take(data[at : at + size])
    assert given == REFUSED + failed
    assert (answers.is_complete, answers.has_committed) == (True, False)
    assert (type(answers.failure), str(answers.failure)) == (
        asyncpg.InFailedSQLTransactionError,
        "first",
    )


def columns(*given: tuple[str, int]) -> bytes:
    body = len(given).to_bytes(2, "big")
    for name, oid in given:
        body += name.encode() + b"\0" + b"\0" * 6 + oid.to_bytes(4, "big") + b"\0" * 8
    return message("T", body)


DESCRIBED = message("1") + message("t", b"\0\0")
ROWS = message("2") + message("D", b"T" * 40) + message("D") + message("C", b"SELECT 2\0") + READY
WITHOUT_ROWS = message("2") + message("C", b"SELECT 2\0") + READY


@pytest.mark.parametrize("size", [1, 4, 6, 9, 1000])
@pytest.mark.parametrize(
    ("known", "told", "differs"),
    [
        ((("id", 20), ("naïve", 25)), columns(("id", 20), ("naïve", 25)), False),
        ((), message("n"), False),
        ((("id", 20),), columns(("id", 23)), True),
        ((("id", 20),), columns(("n", 20)), True),
        ((("id", 20),), columns(("id", 20), ("n", 20)), True),
        ((("id", 20),), message("n"), True),
        ((), columns(("id", 20)), True),
    ],
)
def test_rows_of_other_columns_do_not_reach_the_driver(
    known: tuple[tuple[str, int], ...], told: bytes, differs: bool, size: int
) -> None:
    description, given = Description((23,), known), b""
    data = message("1") + TIMEZONE + message("t", b"\0\1\0\0\0\x17") + told + ROWS + THEIRS
    for at in range(0, len(data), size):
        part = data[at : at + size]
        given += part if description.is_complete else description.take(part)
    assert given == TIMEZONE + (WITHOUT_ROWS if differs else ROWS) + THEIRS
    assert (description.is_complete, description.differs) == (True, differs)
    assert not description.is_retyped


@pytest.mark.parametrize("known", [(), (23,), (23, 20, 25), (20, 23)])
def test_parameters_of_other_types_are_noticed(known: tuple[int, ...]) -> None:
    description = Description(known, ())
    told = message("t", b"\0\2" + (23).to_bytes(4, "big") + (20).to_bytes(4, "big"))
    assert description.take(message("1") + told + message("n") + ROWS) == ROWS
    assert (description.is_retyped, description.differs) == (True, False)


def test_rows_that_are_dropped_are_not_gathered() -> None:
    description = Description((), (("id", 20),))
    assert description.take(DESCRIBED + columns(("id", 25)) + message("2")) == message("2")
    begun = b"D" + (10_000_004).to_bytes(4, "big")
    assert description.take(begun) == b""
    for _ in range(10):
        assert description.take(b"Z" * 1_000_000) == b""
        assert len(description._part) == 0
    assert description.take(message("D") + message("C") + READY) == message("C") + READY


def test_what_is_refused_is_not_described() -> None:
    description = Description((), (("id", 20),))
    assert description.take(REFUSED + READY) == REFUSED + READY
    assert (description.is_complete, description.differs) == (True, False)
    description = Description((), ())
    assert description.take(DESCRIBED + REFUSED + READY) == REFUSED + READY
