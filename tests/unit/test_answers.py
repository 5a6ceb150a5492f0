import asyncpg
import pytest

from core.postgres.answers import Answers, AnswersBehind


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
    assert answers.is_complete
    assert answers.failure is None


@pytest.mark.parametrize("size", [1, 6, 1000])
def test_of_two_refusals_the_drivers_is_its_own(size: int) -> None:
    answers, given = AnswersBehind(), b""
    failed = message("Z", b"E")
    data = REFUSED + failed + message("E", b"C25P02\0Mfirst\0\0") + REFUSED + failed
    for at in range(0, len(data), size):
        given += answers.take(data[at : at + size])
    assert given == REFUSED + failed
    assert answers.is_complete
    assert (type(answers.failure), str(answers.failure)) == (
        asyncpg.InFailedSQLTransactionError,
        "first",
    )
