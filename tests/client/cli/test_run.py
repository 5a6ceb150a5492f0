"""`pgtwin run`: a throwaway database around a command, whatever happens to either."""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memory.caller import USUAL, Scope
from pgtwin import AsyncClient
from tests.client.cli.conftest import PGTWIN, Pgtwin, environment
from tests.client.conftest import Door
from tests.conftest import control_database, running, token_of
from tests.exports import on_a_socket

SHOW = "import os; print(os.environ['PGTWIN_DATABASE_ID'])"
WAIT = "import time; print('begun', flush=True); time.sleep(60)"


async def left(pgtwin: Pgtwin) -> list[Any]:
    found = await pgtwin("databases", "list", "--dropped", "-o", "json")
    rows: list[Any] = found.json
    return rows


async def test_a_command_has_a_database_that_is_gone_afterwards(
    pgtwin: Pgtwin, tmp_path: Path
) -> None:
    (tmp_path / "first.sql").write_text("CREATE TABLE t (n int);\r\nINSERT INTO t VALUES (7);\r\n")
    program = (
        "import asyncio, asyncpg, os\n"
        "async def main():\n"
        "    c = await asyncpg.connect(os.environ['DATABASE_URL'])\n"
        "    d = await asyncpg.connect()\n"
        "    print(await c.fetchval('SELECT n FROM t'), await d.fetchval('SELECT n FROM t'))\n"
        "asyncio.run(main())\n"
    )
    done = await pgtwin("run", "--sql", "first.sql", "--", sys.executable, "-c", program)
    assert (done.code, done.out) == (0, "7 7\n"), done.err
    assert await left(pgtwin) == []


async def test_the_exit_code_is_the_commands(pgtwin: Pgtwin) -> None:
    for code in (0, 3, 77):
        done = await pgtwin("run", "--", sys.executable, "-c", f"import sys; sys.exit({code})")
        assert done.code == code
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert (await pgtwin("run", "--", sys.executable, "-c", killed)).code == 137
    missing = await pgtwin("run", "--", "no-such-program")
    assert (missing.code, missing.err) == (127, "error: no-such-program: not found\n")
    assert await left(pgtwin) == []


async def test_what_fails_before_the_command_leaves_nothing(pgtwin: Pgtwin, tmp_path: Path) -> None:
    (tmp_path / "wrong.sql").write_text("SELECT FROM FROM")
    failed = await pgtwin("run", "--sql", "wrong.sql", "--", "true")
    assert failed.code == 1
    assert (await pgtwin("run", "--sql", "none.sql", "--", "true")).code == 1
    assert (await pgtwin("run", "--clone-from", "nowhere", "--", "true")).code == 5
    assert (await pgtwin("run", "--ttl", "soon", "--", "true")).code == 2
    assert await left(pgtwin) == []


async def test_a_copy_of_another(pgtwin: Pgtwin, shop: int) -> None:
    await pgtwin("sql", "shop", "INSERT INTO item VALUES (1, 'tea')")
    done = await pgtwin(
        "run", "--clone-from", "shop", "--", "sh", "-c",
        f"{PGTWIN} sql $PGTWIN_DATABASE_ID 'SELECT name FROM item' -o ndjson",
    )  # fmt: skip
    assert (done.code, done.lines) == (0, [{"name": "tea"}])
    assert [each["database_id"] for each in await left(pgtwin)] == [shop]


async def test_a_failed_commands_database_can_be_kept(pgtwin: Pgtwin) -> None:
    fine = await pgtwin("run", "--keep-on-failure", "--", "true")
    assert fine.code == 0
    failed = await pgtwin("run", "--keep-on-failure", "--ttl", "10m", "--", "false")
    assert failed.code == 1
    [kept] = await left(pgtwin)
    assert f"pgtwin sql {kept['database_id']}" in failed.err
    assert kept["labels"] == {"pgtwin.run": "yes"}
    looked = await pgtwin("sql", str(kept["database_id"]), "SELECT 1 AS a", "-o", "json")
    assert looked.json == [{"a": 1}]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
async def test_who_is_told_to_end_clears_away(
    door: Door, pgtwin: Pgtwin, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        PGTWIN, "run", "--", sys.executable, "-c", WAIT,
        env=environment(door, tmp_path), stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        # The suite may run under nohup.
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"begun\n"
    assert len(await left(pgtwin)) == 1
    process.send_signal(number)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == code
    assert await left(pgtwin) == []


async def test_a_command_that_will_not_end_is_killed_at_the_third(
    door: Door, pgtwin: Pgtwin, tmp_path: Path
) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT
    process = await asyncio.create_subprocess_exec(
        PGTWIN, "run", "--", sys.executable, "-c", deaf,
        env=environment(door, tmp_path), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    for _ in range(2):
        process.terminate()
        await asyncio.sleep(0.3)
    assert process.returncode is None
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 20) == 143
    assert await left(pgtwin) == []


async def test_what_is_ignored_stays_so(door: Door, pgtwin: Pgtwin, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "nohup", PGTWIN, "run", "--", "sh", "-c", "kill -HUP $PPID; sleep 0.5; echo end",
        env=environment(door, tmp_path), stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b"end\n")
    assert await left(pgtwin) == []


@pytest.mark.parametrize("redirected", [False, True])
async def test_ctrl_c_reaches_a_command_once(
    door: Door, pgtwin: Pgtwin, tmp_path: Path, redirected: bool
) -> None:
    count = (
        "import signal, time; signal.signal(2, lambda *_: print('got', flush=True));"
        " print('begun', flush=True); time.sleep(1); time.sleep(1)"
    )
    (tmp_path / "count.py").write_text(count)
    pid, near = pty.fork()
    if pid == 0:
        if redirected:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execve(  # noqa: S606
            PGTWIN,
            ["pgtwin", "run", "--", sys.executable, str(tmp_path / "count.py")],
            environment(door, tmp_path),
        )
    code, seen = await asyncio.wait_for(asyncio.to_thread(interrupted, pid, near), 60)
    assert (code, seen.count(b"got")) == (130, 1), seen
    assert await left(pgtwin) == []


def interrupted(pid: int, near: int) -> tuple[int, bytes]:
    """Press Ctrl-C once it has begun; gives the exit code and all that was seen."""
    seen, is_pressed = b"", False
    while True:
        try:
            seen += os.read(near, 65536)
        except OSError:
            break
        if not is_pressed and b"begun" in seen:
            is_pressed = True
            os.write(near, b"\x03")
    os.close(near)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


async def test_who_is_killed_leaves_one_that_expires(
    door: Door, pgtwin: Pgtwin, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        PGTWIN, "run", "--ttl", "5s", "--", sys.executable, "-c", WAIT,
        env=environment(door, tmp_path), stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    for _ in range(150):
        if not await left(pgtwin):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it is still there")


@pytest.fixture
async def crowded(admin_url: str, uid: str) -> AsyncIterator[Door]:
    """A service that has eleven sessions to give."""
    limited = control_database(admin_url, connection_limit_total=11)
    async with limited as settings, running(settings) as app, on_a_socket(app) as url:
        token = await token_of(app.state.services, uid, *USUAL, Scope.CONNECTIONS)
        yield Door(url, token, uid)


async def test_it_waits_while_others_have_all_connections(
    crowded: Door, pgtwin: Pgtwin, tmp_path: Path
) -> None:
    run = partial(pgtwin, "run", PGTWIN_URL=crowded.url, PGTWIN_KEY=crowded.key)
    async with AsyncClient(crowded.url, crowded.key) as client:
        shop = await client.create_database("shop")
        held = [
            (await client.create_connection(shop.id, connection_limit=sessions)).connection_id
            for sessions in (10, 1)
        ]
        refused = await run("--wait", "1s", "--", "true")
        assert refused.code == 1
        waits, error, hint = refused.err.splitlines()
        assert waits == "all connections are given out: waiting for others to end"
        assert ("connection_limit_reached" in error, hint.startswith("hint: ")) == (True, True)

        interrupted = await asyncio.create_subprocess_exec(
            PGTWIN, "run", "--", "true",
            env=environment(crowded, tmp_path), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert interrupted.stderr is not None
        assert b"waiting" in await interrupted.stderr.readline()
        interrupted.terminate()
        assert await asyncio.wait_for(interrupted.wait(), 10) == 143

        async def give_back() -> None:
            await asyncio.sleep(2)
            for each in reversed(held):
                await client.revoke_connection(each)

        frugal, usual, _ = await asyncio.gather(
            run("--connection-limit", "1", "--", "true"), run("--", "true"), give_back()
        )
        assert (frugal.code, usual.code) == (0, 0), frugal.err + usual.err
        assert [frugal.err.strip(), usual.err.strip()] == [waits, waits]
        left = [each.name async for each in client.list_databases(include_dropped=True)]
        assert left == ["shop"]


async def test_many_at_once(pgtwin: Pgtwin) -> None:
    done = await asyncio.gather(
        *(pgtwin("run", "--", sys.executable, "-c", SHOW) for _ in range(12))
    )
    assert [each.code for each in done] == [0] * 12
    assert len({each.out for each in done}) == 12
    assert await left(pgtwin) == []
