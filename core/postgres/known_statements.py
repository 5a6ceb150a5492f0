"""What was learned of statements, so that they need not be described before they are executed."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

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
    def types(self) -> Iterator[int]:
        """The oids of all types that it has to do with."""
        yield from self.parameters
        for column in self.columns:
            yield column.type_oid


class KnownStatements:
    """The most recently used ones, of all sessions that share it.

    Whoever uses one compares it with what PostgreSQL says of it by then.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[str, str], KnownStatement] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, login: str, key: str) -> KnownStatement | None:
        """
        Args:
            key: what stands for the types of its parameters and for its columns, as far as the
                login does not.
        """
        known = self._known.get((login, key))
        if known is not None:
            self._known.move_to_end((login, key))
        return known

    def put(self, login: str, key: str, known: KnownStatement) -> None:
        if len(key) <= CHARACTERS:
            self._known[login, key] = known
            self._known.move_to_end((login, key))
            if len(self._known) > self._limit:
                self._known.popitem(last=False)

    def forget(self, login: str, key: str) -> None:
        self._known.pop((login, key), None)
