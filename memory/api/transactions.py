"""One transaction a request, committed before its answer leaves, run again on a conflict."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from core.errors import UnsupportedMediaType
from core.postgres.engine import Database, Session
from core.telemetry import current_request
from memory.api.mounts import current


class AfterCommit:
    """What an endpoint wants done between the commit and its answer."""

    def __init__(self) -> None:
        self._work: list[Callable[[], Awaitable[None]]] = []

    def __call__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work.append(work)

    async def run(self) -> None:
        """Do it; an error takes the place of the endpoint's answer."""
        for work in self._work:
            await work()


class TransactionalRoute(APIRoute):
    """Runs the endpoint, its dependencies included, inside `Database.transaction`; a GET, whose
    statements need no common moment, inside `Database.reading`.

    A dependency with `yield` can't do this: the endpoint can't be run again from within it.
    The session is the request's `state.session`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        path = self.path

        async def handle_in_transaction(request: Request) -> Response:
            context = current_request()
            if context is not None:
                context.route = f"{current()}{path}"
            _require_json(request)
            database: Database = request.app.state.services.database

            async def work(session: Session) -> Response:
                request.state.session = session
                request.state.after_commit = AfterCommit()
                return await handle(request)

            unit = database.reading if request.method == "GET" else database.transaction
            response = await unit(work)
            await request.state.after_commit.run()
            return response

        return handle_in_transaction


def _require_json(request: Request) -> None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise UnsupportedMediaType
