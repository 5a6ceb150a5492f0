"""`pgtwin dev`: a service of one's own, which ends with what it is for."""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.acceptance.test_commands import processes_of, wait_until
from tests.client.cli.conftest import PGTWIN

PATIENCE = 90


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "XDG_CONFIG_HOME": str(home), "PATH": f"{PGTWIN.parent}:{os.environ['PATH']}"}


async def test_a_command_with_a_service_of_its_own(tmp_path: Path) -> None:
    script = (
        "pgtwin databases create shop >&2 && pgtwin sql shop 'SELECT 7 AS n' -o ndjson"
        " && pgtwin connection-string shop; exit 5"
    )
    process = await asyncio.create_subprocess_exec(
        PGTWIN, "dev", "--", "sh", "-c", script,
        env=environment(tmp_path) | {"PGTWIN_UID": "another"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 5, err.decode()
    first, uri = out.decode().splitlines()
    assert first == '{"n": 7}'
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(uri, timeout=5)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """Not in pytest's, which each run shuts: under root PostgreSQL's user must pass."""
    with tempfile.TemporaryDirectory(prefix="pgtwin-tests-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "data"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_it_is_told_to_end_and_keeps_its_data(
    tmp_path: Path, data_folder: Path, number: signal.Signals
) -> None:
    folder = data_folder
    for turn in range(2):
        process = await asyncio.create_subprocess_exec(
            PGTWIN, "dev", "--data", str(folder),
            env=environment(tmp_path), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        found = re.fullmatch(r"export PGTWIN_URL=(\S+) PGTWIN_KEY=(\S+) PGTWIN_UID=dev\n", line)
        if not found:
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
            raise AssertionError(line + said.decode())
        given = environment(tmp_path) | {
            "PGTWIN_URL": found[1],
            "PGTWIN_KEY": found[2],
            "PGTWIN_UID": "dev",
        }
        action = ["create", "kept"] if turn == 0 else ["get", "kept"]
        done = await asyncio.create_subprocess_exec(
            PGTWIN, "databases", *action, env=given, stdout=asyncio.subprocess.DEVNULL
        )
        assert await done.wait() == 0
        process.send_signal(number)
        await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == (0 if number == signal.SIGINT else 143)
        gone = await asyncio.create_subprocess_exec(
            PGTWIN, "databases", "list", env=given, stderr=asyncio.subprocess.DEVNULL
        )
        assert await gone.wait() == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_killed_it_takes_its_service_along(tmp_path: Path, data_folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        PGTWIN, "dev", "--data", data_folder, env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
    found = re.search(r"PGTWIN_URL=(\S+)", line)
    assert found, line
    port = urlsplit(found[1]).port
    assert processes_of(data_folder)
    process.kill()
    await process.wait()
    await asyncio.to_thread(wait_until, lambda: not processes_of(data_folder))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_the_server_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; from pgtwin.cli import dev; dev.program = lambda: None;"
        " sys.argv[1:] = ['dev']; from pgtwin.cli.main import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines() == [
        "error: pgtwin-server is not installed here",
        "hint: pip install pgtwin-server",
    ]
