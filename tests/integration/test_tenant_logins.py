"""Logins by all ways that a URL may name."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from core.postgres.tenant_connection import TenantConnection
from tests.integration.test_preparation import own_server, run
from tests.tenants import connected


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A superuser's URL of Debian's PostgreSQL, for the embedded ones are built without TLS."""
    with own_server(15, unix_socket_directories="/tmp") as url:  # noqa: S108
        yield url


async def speaks(connection: TenantConnection) -> None:
    connection.begin_with("BEGIN; SET LOCAL timezone = 'Asia/Tokyo'")
    shown = await connection.run("SELECT current_setting('timezone'), $1::int", [1])
    assert [tuple(row) for row in shown.rows] == [("Asia/Tokyo", "1")]
    await connection.execute("ROLLBACK")


def certify(folder: Path) -> None:
    """Put a key and a certificate into a server's folder, where it looks for them."""
    key, certificate = folder / "server.key", folder / "server.crt"
    subprocess.run(
        ["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    owner = folder.stat()
    for file in (key, certificate):
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)


async def with_tls(url: str) -> None:
    admin = await asyncpg.connect(url)
    try:
        folder = Path(await admin.fetchval("SHOW data_directory"))
        await asyncio.to_thread(certify, folder)
        await admin.execute("ALTER SYSTEM SET ssl = on")
        await admin.fetchval("SELECT pg_reload_conf()")
    finally:
        await admin.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("mode", ["require", "prefer", "disable"])
async def test_with_tls(server: str, mode: str) -> None:
    await with_tls(server)
    async with connected(f"{server}?sslmode={mode}") as connection:
        await speaks(connection)
        used = await connection.run(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()"
        )
        assert used.rows[0][0] == ("f" if mode == "disable" else "t")


async def test_where_it_is_preferred_and_not_there(admin_url: str) -> None:
    async with connected(f"{admin_url}?sslmode=prefer") as connection:
        await speaks(connection)


async def test_by_a_socket_of_the_file_system(server: str) -> None:
    parts = urlsplit(server)
    login = parts.netloc.rpartition("@")[0]
    place = f"host={quote('/tmp', safe='')}&port={parts.port}"  # noqa: S108
    async with connected(f"postgresql://{login}@{parts.path}?{place}") as connection:
        await speaks(connection)


async def test_one_of_several_servers(server: str) -> None:
    parts = urlsplit(server)
    login = parts.netloc.rpartition("@")[0]
    hosts = f"127.0.0.1:1,{parts.hostname}:{parts.port}"
    async with connected(f"postgresql://{login}@{hosts}{parts.path}") as connection:
        await speaks(connection)


async def test_a_password_that_is_none(server: str) -> None:
    parts = urlsplit(server)
    await run(server, "CREATE ROLE somebody LOGIN PASSWORD 'x'")
    url = f"postgresql://somebody:y@{parts.hostname}:{parts.port}{parts.path}"
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with connected(url):
            pass
