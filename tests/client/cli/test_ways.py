"""Where the service is, with which key, and what is told when that is wrong."""

import asyncio
import os
import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memory.caller import Scope
from pgtwin.cli.main import app
from tests.client.cli.conftest import PGTWIN, Pgtwin
from tests.client.conftest import Door
from tests.conftest import MakeKey

WIDTH = 80


async def test_logging_in(door: Door, pgtwin: Pgtwin, tmp_path: Path) -> None:
    nothing = {"PGTWIN_URL": "", "PGTWIN_KEY": ""}
    without = await pgtwin("databases", "list", **nothing)
    assert (without.code, "pgtwin login" in without.err) == (4, True)
    done = await pgtwin("login", "--url", door.url, "--key-stdin", given=door.key + "\n", **nothing)
    assert done.code == 0, done.err
    assert door.key not in done.out
    file = tmp_path / "config" / "pgtwin" / "config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await pgtwin("databases", "list", **nothing)).code == 0
    shown = await pgtwin("whoami", "-o", "json", **nothing)
    assert (shown.json["url"], shown.json["profile"]) == (door.url, "default")
    assert door.key not in shown.out
    other = ["login", "--url", door.url, "--profile", 'an"other', "--key-stdin"]
    assert (await pgtwin(*other, given=door.key, **nothing)).code == 0
    assert (await pgtwin("--profile", 'an"other', "whoami", **nothing)).code == 0
    assert (await pgtwin("databases", "list", PGTWIN_PROFILE='an"other')).code == 0
    unknown = await pgtwin("--profile", "none", "whoami", **nothing)
    assert (unknown.code, "no profile" in unknown.err) == (2, True)
    wrong = await pgtwin("login", "--url", door.url, "--key-stdin", given="pgt_0_x", **nothing)
    assert wrong.code == 4
    unasked = await pgtwin("login", "--url", door.url, **nothing)
    assert (unasked.code, "--key-stdin" in unasked.err) == (2, True)
    file.write_text("[profile")
    broken = await pgtwin("databases", "list", **nothing)
    assert (broken.code, str(file) in broken.err) == (2, True)


async def test_exit_codes(door: Door, pgtwin: Pgtwin, make_key: MakeKey, uid: str) -> None:
    unreachable = await pgtwin("databases", "list", PGTWIN_URL="http://127.0.0.1:9")
    assert unreachable.code == 3
    assert len(unreachable.err.splitlines()) == 1
    assert (await pgtwin("databases", "list", PGTWIN_KEY="pgt_000000000000_x")).code == 4
    reader = await make_key(uid, Scope.DATABASES_READ)
    lacks = await pgtwin("databases", "create", "x", PGTWIN_KEY=reader)
    assert (lacks.code, "databases:write" in lacks.err) == (4, True)
    writer = await make_key(uid, Scope.DATABASES_WRITE)
    made = await pgtwin("databases", "create", "x", "-o", "json", PGTWIN_KEY=writer)
    assert (made.code, made.json["database_id"] > 0) == (0, True)
    unconnected = await pgtwin("run", "--", "true", PGTWIN_KEY=writer)
    assert (unconnected.code, "scope connections" in unconnected.err) == (4, True)
    assert len((await pgtwin("databases", "list", "-o", "json")).json) == 1
    assert (await pgtwin("databases", "get", "nothing")).code == 5
    assert (await pgtwin("databases", "get", "123456789012345")).code == 5
    assert (await pgtwin("databases", "create", "9 wrong")).code == 1
    assert (await pgtwin("databases", "nothing")).code == 2
    assert (await pgtwin("sql")).code == 2
    assert (await pgtwin("--version")).out.startswith("pgtwin 0.")


@pytest.mark.parametrize(
    "text",
    [
        "profile = 3",
        "[profile]\ndefault = 3",
        '[profile.default]\nurl = "http://127.0.0.1:9"\nkey = 4',
    ],
)
async def test_profiles_that_are_none(pgtwin: Pgtwin, tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    done = await pgtwin("databases", "list", PGTWIN_CONFIG="c.toml", PGTWIN_KEY="")
    assert (done.code, done.err.startswith("error: c.toml can't be read: ")) == (2, True)


async def test_the_environment_alone_will_do(pgtwin: Pgtwin, tmp_path: Path) -> None:
    folder = {"PGTWIN_CONFIG": str(tmp_path)}
    assert (await pgtwin("databases", "list", **folder)).code == 0
    done = await pgtwin("databases", "list", PGTWIN_KEY="", **folder)
    assert (done.code, done.err) == (2, f"error: {tmp_path} can't be read: Is a directory\n")


async def test_addresses_and_keys_that_are_none(pgtwin: Pgtwin) -> None:
    for url in ("nonsense", "http://", "ftp://a", "http://127.0.0.1:abc", "http://[::1"):
        done = await pgtwin("databases", "list", PGTWIN_URL=url)
        assert (done.code, "http://host:port" in done.err) == (2, True), url
    for key in ("kéy", "a\nb"):
        done = await pgtwin("databases", "list", PGTWIN_KEY=key)
        assert (done.code, done.err.startswith("error: this is no API key")) == (4, True)
    done = await pgtwin("login", "--key-stdin", given=b"k\xff\n")
    assert (done.code, done.err.startswith("error: this is no API key")) == (4, True)


async def test_streams_that_are_closed(pgtwin: Pgtwin, door: Door, shop: int) -> None:
    for command, code in (
        ("databases list >&-", 0),
        ("databases list <&- >&- 2>&-", 0),
        ("sql shop <&-", 0),
        ("login --key-stdin <&-", 2),
        ("run -- cat <&-", 0),
    ):
        process = await asyncio.create_subprocess_shell(
            f"{PGTWIN} {command}",
            env={**os.environ, "PGTWIN_URL": door.url, "PGTWIN_KEY": door.key},
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        assert (process.returncode, b"Traceback" in err) == (code, False), (command, err)


async def test_a_server_of_another_version(pgtwin: Pgtwin) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nPgtwin-Version: 7.0.0\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        done = await pgtwin("databases", "list", PGTWIN_URL=f"http://127.0.0.1:{port}")
    assert done.code == 6
    assert re.search(r"7\.0\.0.*0\.\d+\.\d+", done.err)
    assert len(done.err.splitlines()) == 1


async def test_no_colours_but_on_a_terminal(pgtwin: Pgtwin, shop: int) -> None:
    for arguments in (["databases", "list"], ["sql", "shop", "SELECT 1"], ["--help"]):
        assert "\x1b" not in (await pgtwin(*arguments)).out


async def test_who_stops_reading_is_no_error(pgtwin: Pgtwin, shop: int, door: Door) -> None:
    sql = "SELECT repeat('x', 1000) AS x FROM generate_series(1, 1000)"
    script = f'{PGTWIN} sql shop "{sql}" -o json | head -c 10'
    process = await asyncio.create_subprocess_shell(
        script,
        env={**os.environ, "PGTWIN_URL": door.url, "PGTWIN_KEY": door.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert err == b""


COMMANDS = [
    [],
    ["databases"],
    ["operations"],
    *(["databases", name] for name in (
        "create", "list", "get", "describe", "clone", "drop", "restore", "set-expiration", "label",
        "protect",
    )),
    *(["operations", name] for name in ("list", "watch")),
    *([name] for name in (
        "login", "whoami", "sql", "connection-string", "psql", "upload", "export", "schema", "run",
        "dev",
    )),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_reads_well_at_eighty_columns(command: list[str]) -> None:
    shown = CliRunner().invoke(
        app, [*command, "--help"], prog_name="pgtwin", env={"COLUMNS": str(WIDTH), "TERM": "dumb"}
    )
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].startswith("Usage: pgtwin")
    assert max(map(len, lines)) <= WIDTH
    assert "..." not in shown.output.partition("Commands:")[2]
