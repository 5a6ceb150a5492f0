"""Work between the commit of a request and its answer."""

from collections.abc import Awaitable, Callable


class AfterCommit:
    """What an endpoint wants done between the commit and its answer: an operation's rest.

    Attributes:
        operation_id: the operation on which it depends whether the answer is true.
    """

    def __init__(self) -> None:
        self._work: list[Callable[[], Awaitable[None]]] = []
        self.operation_id: int | None = None

    def __call__(
        self, work: Callable[[], Awaitable[None]], *, operation_id: int | None = None
    ) -> None:
        """Add work, with one operation a request at most."""
        if None not in (self.operation_id, operation_id):
            raise RuntimeError("the answer depends on one operation already")
        self._work.append(work)
        self.operation_id = operation_id if self.operation_id is None else self.operation_id

    async def run(self) -> None:
        """Do it; an error takes the place of the endpoint's answer."""
        for work in self._work:
            await work()
