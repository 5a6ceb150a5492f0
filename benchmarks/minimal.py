"""The least that FastAPI and asyncpg can do for a call: one pool, one statement, one answer.

What the service adds to it (keys, transactions, errors, limits, logs) is the service's cost.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from pydantic import BaseModel

GET = """
SELECT d.*, s.env, s.schema_name FROM pgtwin.database_meta d
JOIN pgtwin.schema_meta s ON s.database_id = d.id
WHERE d.id = $1 AND d.deleted_at IS NULL
"""
LIST = """
SELECT * FROM pgtwin.database_meta WHERE uid = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT 20
"""


class Sql(BaseModel):
    sql: str
    params: list[Any] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=40, server_settings={"jit": "off"}
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/databases/{database_id}")
async def get(database_id: int, request: Request) -> list[dict[str, Any]]:
    return [dict(row) for row in await request.app.state.pool.fetch(GET, database_id)]


@app.get("/databases")
async def page(uid: str, request: Request) -> list[dict[str, Any]]:
    return [dict(row) for row in await request.app.state.pool.fetch(LIST, uid)]


@app.post("/sql")
async def sql(body: Sql, request: Request) -> list[dict[str, Any]]:
    return [dict(row) for row in await request.app.state.pool.fetch(body.sql, *body.params)]
