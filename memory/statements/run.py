import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.postgres.outcomes import Utility
from core.postgres.values import Column
from core.sqlguard import Statement
from memory.statements.place import Place


@dataclass(frozen=True, slots=True)
class Mode:
    """How a call's statements are run.

    Attributes:
        whole_seconds: cut timestamps, as the drop-in mount's clients expect.
        keeps: False: all is undone at the end.
        explain: the options of EXPLAIN; empty: statements are run as they are.
        snapshot: all statements see one moment, that of `Executor.freeze`.
    """

    whole_seconds: bool = False
    read_only: bool = False
    keeps: bool = True
    explain: str = ""
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one execution of a statement gave.

    Attributes:
        item: the place of its parameters in a batch, from 1; None: there is no batch.
        truncated: there are more rows than the default.
    """

    statement: Statement
    columns: Sequence[Column]
    rows: list[list[Any]]
    affected: int | None
    truncated: bool = False
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A statement that goes out with the next ones, and gives no rows.

    Attributes:
        place: where it is to be run.
        utility: what is sent.
    """

    statement: Statement
    place: Place
    utility: Utility


@dataclass(slots=True)
class Run:
    """A call on its way.

    Attributes:
        place: where it is now.
        statement: the one that runs now; None: none does.
        added: characters that were put before it.
        overrides: values that clients gave for generated columns are passed over.
        describes: statements are described before they are executed, be they remembered or not.
        ends_apart: nothing ends the transaction but a message of its own.
        is_ended: the transaction has ended along with a statement.
        waiting: statements that go out together.
        unsent: SQL of the service's own that goes along with what is sent after these.
    """

    place: Place
    mode: Mode
    is_ddl: bool = False
    overrides: bool = False
    describes: bool = False
    ends_apart: bool = False
    is_ended: bool = False
    statement: Statement | None = None
    added: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def take_unsent(self) -> str:
        """The service's own, as one message; nothing of it waits then."""
        message = "; ".join(self.unsent)
        self.unsent.clear()
        return message

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
