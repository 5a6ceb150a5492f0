"""One transaction a request, committed before its answer leaves, run again on a conflict."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from core.errors import UnsupportedMediaType
from core.postgres.engine import Database, Session
from core.telemetry import current_request
from memory.api.after_commit import AfterCommit
from memory.api.idempotency import Replay, claim_key, documented_on, store_answer
from memory.api.mounts import current


class TransactionalRoute(APIRoute):
    """Runs the endpoint, its dependencies included, inside `Database.transaction`; a GET, whose
    statements need no common moment, inside `Database.reading`.

    A dependency with `yield` can't do this: the endpoint can't be run again from within it.
    The session is the request's `state.session`. A POST is a write, and takes an
    Idempotency-Key: its caller authenticated, the key is claimed before all else, and the
    answer stored in the same transaction.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(claim_key)]
            options["responses"] = documented_on(options.get("responses") or {})
        super().__init__(path, endpoint, **options)

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
                request.state.claim = None
                try:
                    response = await handle(request)
                except Replay as replay:
                    return replay.response()
                await store_answer(request, session, response)
                return response

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
