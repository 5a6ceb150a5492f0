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
from memory.api.arguments import Arguments
from memory.api.deps import admit_early, authenticate
from memory.api.forms import FORM, received_form
from memory.api.idempotency import (
    HEADER,
    JSON,
    Replay,
    claim_key,
    documented_key,
    documented_on,
    store_answer,
)
from memory.api.mounts import current
from memory.services import Services

# A client that goes away is not looked for before.
SHORT_SECONDS = 0.05


class TransactionalRoute(APIRoute):
    """Runs the endpoint inside `Database.transaction`; a GET, whose statements need no common
    moment, inside `Database.reading`.

    A dependency with `yield` can't do this: the endpoint can't be run again from within it.
    The session is the request's `state.session`, the authenticated caller its `state.caller`. A
    POST is a write, and takes an Idempotency-Key: its caller authenticated, the key is claimed
    before all else, and the answer stored in the same transaction.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            described = Depends(documented_key)
            options["dependencies"] = [*(options.get("dependencies") or ()), described]
            options["responses"] = documented_on(options.get("responses") or {})
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        path, arguments = self.path, Arguments(self.endpoint, self.path)

        async def handle(request: Request) -> Response:
            context = current_request()
            if context is not None:
                context.route = f"{current()}{path}"
            is_write = request.method == "POST"
            if is_write:
                self.require_media_type(request)
            database: Database = request.app.state.services.database

            async def work(session: Session | None) -> Response:
                request.state.session = session
                request.state.after_commit = AfterCommit()
                request.state.claim = None
                request.state.caller = caller = await authenticate(request)
                if is_write:
                    try:
                        await claim_key(request, caller)
                    except Replay as replay:
                        return replay.response()
                answer = await self.endpoint(**await arguments.of(request))
                response = _response(answer)
                if session is not None:
                    kept = response if answer is response else _response(answer.to_keep())
                    await store_answer(request, session, kept)
                return response

            response = await self.run(request, database, work)
            await request.state.after_commit.run()
            return response

        return handle

    def require_media_type(self, request: Request) -> None:
        """
        Raises:
            UnsupportedMediaType
        """
        kind = _media_type(request)
        if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            raise UnsupportedMediaType

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
        return await _in_session(request, database, work)


class UploadRoute(StatementRoute):
    """Receives a form with a file first, from those alone who may call at all.

    So a client that is slow holds no session, and no lock.
    """

    def require_media_type(self, request: Request) -> None:
        if _media_type(request) != FORM:
            raise UnsupportedMediaType(
                "The request body must be multipart/form-data",
                hint="Send a form with a field `file`, as `curl -F file=@rows.csv` does.",
            )

    async def run(
        self,
        request: Request,
        database: Database,
        work: Callable[[Session | None], Awaitable[Response]],
    ) -> Response:
        await admit_early(request)
        parts: Services = request.app.state.services
        seconds = parts.settings.upload_timeout
        with parts.uploads.turns.present():
            async with received_form(request, seconds) as form:
                request.state.form = form
                return await _in_session(request, database, work)


async def _in_session(
    request: Request,
    database: Database,
    work: Callable[[Session | None], Awaitable[Response]],
) -> Response:
    async with _WhileConnected(request):
        if HEADER in request.headers:
            return await database.transaction(work)
        return await work(None)


class _WhileConnected:
    """Cancels the task that is in it when the client goes away.

    Most work is done before it would be worth the looking.

    Raises:
        ClientGone
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._looking: asyncio.Task[None] | None = None
        self._is_gone = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(SHORT_SECONDS, self._look)

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        if self._is_gone and self._task is not None:
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise ClientGone from None

    def _look(self) -> None:
        self._looking = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()


def _response(answer: Any) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(answer.model_dump_json(by_alias=True), media_type=JSON)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
