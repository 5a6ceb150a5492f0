import asyncpg
import pytest

from core.postgres.answers import Answers


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
