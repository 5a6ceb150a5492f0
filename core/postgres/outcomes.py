"""What statements in a session give, and how PostgreSQL refuses what goes along with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.postgres.answers import Answers
from core.postgres.values import Column, Row

COUNTED_TAGS = ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT", "COPY", "FETCH", "MOVE")


class RefusedAhead(Exception):
    """What went ahead of a utility was refused; the cause is PostgreSQL's error."""


class DescriptionChanged(Exception):
    """The columns of a remembered statement are others by now, and what it gave is lost."""


class RefusedBehind(Exception):
    """What was sent behind a statement was refused; the cause is PostgreSQL's error."""


@dataclass(frozen=True, slots=True)
class Utility:
    """A statement that has no parameters and gives no rows.

    Args:
        ahead: simple statements of the service's own that are done before it.
    """

    text: str
    ahead: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement gave.

    Args:
        rows: values in PostgreSQL's text form, None for NULL, by their position.
        tag: the command's tag, such as `UPDATE 3`; empty when the result is not complete.
        complete: False: there are more rows than were asked for.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Row]
    tag: str
    complete: bool

    @property
    def affected(self) -> int | None:
        """The number of rows in the tag; None: the tag has none."""
        word, _, rest = self.tag.partition(" ")
        return int(rest.rpartition(" ")[2]) if rest and word in COUNTED_TAGS else None


class AnswersAhead:
    """What comes for the requests that go ahead of the last utility's.

    Args:
        own: which of them are the service's own.
    """

    def __init__(self, own: Sequence[bool]) -> None:
        self._own = own
        self.answers = Answers(own)

    @property
    def tags(self) -> list[str]:
        """Those of the utilities that were done."""
        return [
            tag for tag, is_own in zip(self.answers.tags, self._own, strict=False) if not is_own
        ]

    def raise_failure(self) -> None:
        failure = self.answers.failure
        if failure is not None and self._own[len(self.answers.tags)]:
            raise RefusedAhead from failure
        if failure is not None:
            raise failure from None
