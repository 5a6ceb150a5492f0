"""What lies between a client and the service: broken connections, other versions, no keys."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from core.errors import AppError
from pgtwin import AsyncClient, Retry, _version, errors
from tests.client.conftest import Door

QUICK = Retry(attempts=4, first=0.01, longest=0.05)


class Way:
    """A proxy of TCP that cuts connections.

    Attributes:
        cuts: how many requests are passed on whose answers are kept back.
        refusals: how many connections are closed before anything is passed on.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self.cuts = self.refusals = self.passed = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusals:
            self.refusals -= 1
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)

        async def there() -> None:
            while data := await reader.read(65536):
                self.passed += 1
                far_writer.write(data)

        async def back() -> None:
            while data := await far_reader.read(65536):
                if self.cuts:
                    self.cuts -= 1
                    return
                writer.write(data)

        tasks = [asyncio.create_task(there()), asyncio.create_task(back())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in (writer, far_writer):
            each.close()


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    way = Way(url)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield way


async def test_a_write_whose_answer_was_lost_is_done_once(door: Door) -> None:
    async with way_to(door.url) as way, AsyncClient(way.url, door.key, retry=QUICK) as client:
        way.cuts = 2
        made = await client.create_database("once")
        assert way.cuts == 0
        names = [each.name async for each in client.list_databases()]
        assert names == ["once"]
        way.cuts = 3
        ddl = "CREATE TABLE t (n int); INSERT INTO t VALUES (1)".partition(";")[0]
        await client.exec_ddl(made.id, ddl)
        way.cuts = 2
        await client.exec_dml(made.id, "INSERT INTO t VALUES (1)")
        assert (await client.exec_dml(made.id, "SELECT count(*) FROM t")).value == 1
        way.cuts = 1
        assert (await client.upload_data(made.id, "t", b"n\n2\n")).succeeded == 1
        assert (await client.exec_dml(made.id, "SELECT sum(n) FROM t")).value == 3


async def test_it_gives_up_after_so_many_attempts(door: Door) -> None:
    async with way_to(door.url) as way, AsyncClient(way.url, door.key, retry=QUICK) as client:
        way.refusals = 4
        with pytest.raises(errors.ServerUnreachable, match=way.url):
            await client.create_database("never")
        assert way.refusals == 0
        way.refusals = 3
        await client.create_database("at_last")


async def test_a_retryable_error_is_tried_again_and_others_are_not(door: Door) -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("Idempotency-Key", ""))
        headers = {"Pgtwin-Version": _version.VERSION}
        if len(sent) == 1:
            told = {"type": "lock_timeout", "retryable": True}
            body = {"code": 25010, "message": "wait", "sid": "s", "error": told}
            return httpx.Response(503, json=body, headers=headers)
        if len(sent) == 2:
            return httpx.Response(502, text="<html>", headers={**headers, "Retry-After": "0"})
        told = {"type": "something_new", "retryable": False, "hint": "look"}
        body = {"code": 25999, "message": "new", "sid": "t", "error": told}
        return httpx.Response(422, json=body, headers=headers)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    async with AsyncClient("http://pgtwin.test", "k", retry=QUICK, http=http) as client:
        with pytest.raises(errors.ServiceError) as caught:
            await client.create_database("x")
    assert (caught.value.code, caught.value.type) == (25999, "something_new")
    assert (caught.value.hint, caught.value.request_id) == ("look", "t")
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert sent[0]
    await http.aclose()


@pytest.mark.parametrize(
    ("server", "fits"),
    [("0.1.0", True), ("0.1.9", True), ("0.2.0", False), ("1.0.0", False), ("", False)],
)
async def test_servers_of_another_version_are_refused(server: str, fits: bool) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        headers = {"Pgtwin-Version": server} if server else {}
        body = {"code": 0, "data": {"databases": [], "next_cursor": None}}
        return httpx.Response(200, json=body, headers=headers)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = AsyncClient("http://pgtwin.test", "k", http=http)
    if fits:
        assert [each async for each in client.list_databases()] == []
    else:
        with pytest.raises(errors.IncompatibleServer, match=server or "does not answer"):
            _ = [each async for each in client.list_databases()]
    await http.aclose()


async def test_a_service_tells_its_version(door: Door) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{door.url}/v1/databases")
    assert answer.status_code == 401
    assert _version.is_compatible(answer.headers["pgtwin-version"])


async def test_keys(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGTWIN_KEY", raising=False)
    with pytest.raises(ValueError, match="PGTWIN_KEY"):
        AsyncClient(door.url)
    async with AsyncClient(door.url, "pgt_000000000000_x") as client:
        with pytest.raises(errors.NotAuthenticated):
            await client.create_database("x")
    monkeypatch.setenv("PGTWIN_KEY", door.key)
    monkeypatch.setenv("PGTWIN_URL", f"{door.url}/")
    async with AsyncClient() as client:
        assert (await client.create_database("mine")).id
    async with AsyncClient(uid="somebody_else") as client:
        with pytest.raises(errors.NotAuthorized):
            await client.create_database("x")


async def test_importing_costs_little() -> None:
    code = (
        "import sys, pgtwin; found = {'httpx', 'rich', 'typer', 'pydantic', 'core', 'memory'}"
        " & set(sys.modules); assert not found, found"
    )
    started = time.perf_counter()
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 10


def test_each_error_of_the_service_has_its_class() -> None:
    def below(kind: type[AppError]) -> set[type[AppError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    for kind in below(AppError) - {AppError}:
        if not kind.__module__.startswith(("core.", "memory.")):
            continue
        own = getattr(errors, kind.__name__)
        assert (own.code, own.type, own.retryable) == (kind.code, kind.kind(), kind.retryable)
