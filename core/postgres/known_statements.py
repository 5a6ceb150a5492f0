"""What was learned of statements, so that they need not be described before they are executed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from core.cache import Cache
from core.postgres.values import Column

# How many are known at once, and how long what stands for them is at most.
LIMIT, CHARACTERS = 1_000, 4_000


@dataclass(frozen=True, slots=True)
class KnownStatement:
    """A statement that was described before.

    Args:
        parameters: the types of its parameters.
    """

    columns: tuple[Column, ...]
    parameters: tuple[int, ...]

    @property
    def fields(self) -> list[tuple[str, int]]:
        """The columns' names and types' oids."""
        return [(column.name, column.type_oid) for column in self.columns]

    @property
    def types(self) -> Iterator[int]:
        """The oids of all types that it has to do with."""
        yield from self.parameters
        for column in self.columns:
            yield column.type_oid


# By the login, and by what stands for the types of parameters and the columns as far as the login
# does not. Whoever uses one compares it with what PostgreSQL says of it by then.
KnownStatements: TypeAlias = Cache[tuple[str, str], KnownStatement]


def known_statements(limit: int = LIMIT) -> KnownStatements:
    """A place for those of all sessions that share it."""
    return Cache("known_statements", limit, None)
