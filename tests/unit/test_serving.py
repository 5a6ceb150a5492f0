"""How uvicorn is set up."""

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from core.postgres.startup import StartupError
from memory.cli.serving import _config
from memory.cli.workers import Server, keep_failure


@pytest.fixture
def web_server_log() -> Iterator[None]:
    yield
    logging.getLogger("uvicorn.error").disabled = False


@pytest.mark.usefixtures("web_server_log")
def test_what_keeps_the_application_from_starting_is_raised_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def broken(_app: FastAPI) -> AsyncIterator[None]:
        raise StartupError("no number is free")
        yield

    app, told = FastAPI(lifespan=broken), list[str]()
    keep_failure(app)
    server = Server(_config(app), lambda: told.append("ready"))
    with socket.socket() as listener, pytest.raises(StartupError, match="no number is free"):
        server.run([listener])
    assert told == []
    assert caplog.messages == []


@pytest.mark.parametrize("gives_up_after", [5, 60], ids=["httpx", "gateways"])
def test_the_service_keeps_idle_connections_longer_than_its_clients(gives_up_after: int) -> None:
    assert _config("memory.cli.serving:worker").timeout_keep_alive > gives_up_after
