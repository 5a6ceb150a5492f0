"""A database without the service, and a connection to it as a tenant's SQL gets one."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import connect_tenant
from tests.conftest import with_database

BYTE_LIMIT = 8_000_000


@asynccontextmanager
async def empty_database(admin_url: str) -> AsyncIterator[str]:
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield with_database(admin_url, name)
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[TenantConnection]:
    given: dict[str, Any] = {"timeout": 30, "byte_limit": BYTE_LIMIT, **options}
    connection = await connect_tenant(url, **given)
    try:
        yield connection
    finally:
        await connection.close()
