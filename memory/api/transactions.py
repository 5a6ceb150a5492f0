"""One transaction a request, committed before its answer leaves, run again on a conflict."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from core.errors import ClientGone, UnsupportedMediaType
from core.postgres.engine import Database, Session
from core.telemetry import current_request
from memory.api.after_commit import AfterCommit
from memory.api.idempotency import HEADER, Replay, claim_key, documented_on, store_answer
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

            async def work(session: Session | None) -> Response:
                request.state.session = session
                request.state.after_commit = AfterCommit()
                request.state.claim = None
                try:
                    response = await handle(request)
                except Replay as replay:
                    return replay.response()
                if session is not None:
                    await store_answer(request, session, response)
                return response

            response = await self.run(request, database, work)
            await request.state.after_commit.run()
            return response

        return handle_in_transaction

    async def run(
        self,
        request: Request,
        database: Database,
        work: Callable[[Session | None], Awaitable[Response]],
    ) -> Response:
        unit = database.reading if request.method == "GET" else database.transaction
        return await unit(work)


class StatementRoute(TransactionalRoute):
    """Runs an endpoint whose transaction is that of a tenant's session.

    One of the control schema is there only for a request with an Idempotency-Key: it holds the
    key, while the answer is stored in the tenant's transaction. A client that goes away takes
    its statement with it.
    """

    async def run(
        self,
        request: Request,
        database: Database,
        work: Callable[[Session | None], Awaitable[Response]],
    ) -> Response:
        # Then what is received next is that the client has gone.
        await request.body()
        if HEADER in request.headers:
            return await _while_connected(request, database.transaction(work))
        return await _while_connected(request, work(None))


async def _while_connected(request: Request, answering: Awaitable[Response]) -> Response:
    task = asyncio.ensure_future(answering)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _require_json(request: Request) -> None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise UnsupportedMediaType
