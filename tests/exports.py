"""Exports as tests ask for them, and a service whose answers leave as they are made."""

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pyarrow.parquet
import uvicorn
from fastapi import FastAPI

from memory.cli.one_write import OneWriteProtocol
from tests.sql import Twin


async def export(twin: Twin, table: str | None = None, /, **fields: Any) -> httpx.Response:
    body = {"database_id": twin.id, "uid": twin.uid, "app_id": "", "env": "prod", **fields}
    if table is not None:
        body["table_name"] = table
    return await twin.api.client.post(f"{twin.api.mount}/export_data", json=body)


async def exported(twin: Twin, table: str | None = None, /, **fields: Any) -> bytes:
    """A file that must come."""
    response = await export(twin, table, **fields)
    kind = response.headers["content-type"]
    assert response.status_code == 200, response.text
    assert "content-disposition" in response.headers, (kind, response.text)
    return response.content


def csv_rows(content: bytes, **options: Any) -> list[list[str]]:
    """Every row ends with CRLF, and Python reads what was written."""
    assert content.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True, **options))


async def values(twin: Twin, table: str | None = None, /, **fields: Any) -> list[list[str]]:
    """The rows of a CSV below its header."""
    return csv_rows(await exported(twin, table, **fields))[1:]


def objects(content: bytes, form: str) -> list[Any]:
    if form == "json":
        found: list[Any] = json.loads(content)
        return found
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


def parquet(content: bytes) -> Any:
    return pyarrow.parquet.read_table(io.BytesIO(content))


@asynccontextmanager
async def on_a_socket(app: FastAPI) -> AsyncIterator[str]:
    """The URL of an app that runs already, served as `pgtwind serve` does it."""
    config = uvicorn.Config(
        app, port=0, http=OneWriteProtocol, log_config=None, lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.force_exit = True
        await server.shutdown()
