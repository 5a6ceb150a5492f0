import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Door

PGTWIN = Path(sys.executable).with_name("pgtwin")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Pgtwin = Callable[..., Awaitable[Done]]


def environment(door: Door, home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {
        **kept,
        "PGTWIN_URL": door.url,
        "PGTWIN_KEY": door.key,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        **more,
    }


@pytest.fixture
def pgtwin(door: Door, tmp_path: Path) -> Pgtwin:
    """Run the command line as a user does; gives what it said."""

    async def run(*arguments: str, given: str | bytes = "", **more: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            PGTWIN,
            *arguments,
            env=environment(door, tmp_path, **more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
        )
        data = given.encode() if isinstance(given, str) else given
        out, err = await asyncio.wait_for(process.communicate(data), 60)
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
async def shop(pgtwin: Pgtwin) -> int:
    """A database with a table."""
    made = await pgtwin("databases", "create", "shop", "-l", "team=a", "-o", "json")
    assert made.code == 0, made.err
    ddl = "CREATE TABLE item (id int PRIMARY KEY, name text)"
    assert (await pgtwin("sql", "shop", ddl, "--env", "both")).code == 0
    return int(made.json["database_id"])
