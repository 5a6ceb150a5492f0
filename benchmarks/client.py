"""The Python client against bare httpx, and how soon the command line answers.

The same calls with the same headers, by turns on one server and one service process: the best
of a runner's rounds counts, a round being the median of its calls. `make bench` prints the
figures and keeps them in `benchmarks/results/client.json`.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import pgtwin
from benchmarks.stand import admin_key, process, report, serving
from core.settings import Settings

UID = "bench"
RESULTS = Path(__file__).parent / "results" / "client.json"
CALLS = ("get_database", "exec_dml")
ROW = "SELECT 1 AS n"
AGENT = f"pgtwin-python/{pgtwin.__version__}"
# Milliseconds that the client may add to a call.
OVERHEAD_MS = 0.3
# Seconds from the shell's prompt to the list of databases.
LIST_SECONDS = 0.4
STARTS = 10
COMMAND = Path(sys.executable).with_name("pgtwin")


@dataclass(frozen=True, slots=True)
class Bare:
    """What a call is to somebody who writes it with httpx.

    Attributes:
        url: of a version of the API.
    """

    url: str
    key: str
    database_id: int

    def get_database(self) -> tuple[str, str, dict[str, Any]]:
        return "GET", f"{self.url}/databases/{self.database_id}", {"headers": self._headers()}

    def exec_dml(self) -> tuple[str, str, dict[str, Any]]:
        body = {"database_id": self.database_id, "dml": ROW, "env": "prod", "uid": UID}
        headers = self._headers() | {"Idempotency-Key": uuid.uuid4().hex}
        return "POST", f"{self.url}/exec_dml", {"headers": headers, "json": body}

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "User-Agent": AGENT}


def _decoded(response: httpx.Response) -> None:
    if response.json()["code"] != 0:
        raise RuntimeError(response.text)


def sync_round(call: Callable[[], object], calls: int) -> float:
    """Milliseconds of a call."""
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


async def async_round(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """The same of one that is awaited."""
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def sync_calls(
    bare: Bare, http: httpx.Client, client: pgtwin.Client
) -> dict[str, dict[str, Callable[[], object]]]:
    def send(request: tuple[str, str, dict[str, Any]]) -> None:
        method, url, content = request
        _decoded(http.request(method, url, **content))

    return {
        "get_database": {
            "httpx": lambda: send(bare.get_database()),
            "client": lambda: client.get_database(bare.database_id),
        },
        "exec_dml": {
            "httpx": lambda: send(bare.exec_dml()),
            "client": lambda: client.exec_dml(bare.database_id, ROW),
        },
    }


def async_calls(
    bare: Bare, http: httpx.AsyncClient, client: pgtwin.AsyncClient
) -> dict[str, dict[str, Callable[[], Awaitable[object]]]]:
    async def send(request: tuple[str, str, dict[str, Any]]) -> None:
        method, url, content = request
        _decoded(await http.request(method, url, **content))

    return {
        "get_database": {
            "httpx": lambda: send(bare.get_database()),
            "client": lambda: client.get_database(bare.database_id),
        },
        "exec_dml": {
            "httpx": lambda: send(bare.exec_dml()),
            "client": lambda: client.exec_dml(bare.database_id, ROW),
        },
    }


class Best:
    """The least of each runner's rounds, in milliseconds."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[float]] = {}

    def add(self, call: str, runner: str, milliseconds: float) -> None:
        self._found.setdefault((call, runner), []).append(milliseconds)

    def row(self, kind: str, call: str) -> dict[str, Any]:
        bare, client = (min(self._found[call, runner]) for runner in ("httpx", "client"))
        return {
            "kind": kind,
            "call": call,
            "httpx_ms": bare,
            "client_ms": client,
            "overhead_ms": client - bare,
        }


def measure_sync(bare: Bare, options: argparse.Namespace) -> list[dict[str, Any]]:
    best = Best()
    with httpx.Client() as http, pgtwin.Client(bare.url[:-3], bare.key, uid=UID) as client:
        runners = sync_calls(bare, http, client)
        for _ in range(options.rounds):
            for call in CALLS:
                for runner, work in runners[call].items():
                    best.add(call, runner, sync_round(work, options.calls))
    return [best.row("Client", call) for call in CALLS]


async def measure_async(bare: Bare, options: argparse.Namespace) -> list[dict[str, Any]]:
    best = Best()
    async with (
        httpx.AsyncClient() as http,
        pgtwin.AsyncClient(bare.url[:-3], bare.key, uid=UID) as client,
    ):
        runners = async_calls(bare, http, client)
        for _ in range(options.rounds):
            for call in CALLS:
                for runner, work in runners[call].items():
                    best.add(call, runner, await async_round(work, options.calls))
    return [best.row("AsyncClient", call) for call in CALLS]


def start_seconds(*command: str | Path, **environment: str) -> float:
    """The median of a program's runs, from its start to its end."""
    taken = []
    for _ in range(STARTS):
        started = time.perf_counter()
        subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def starts(url: str, key: str) -> dict[str, float]:
    python = sys.executable
    nothing = start_seconds(python, "-c", "pass")
    given = {"PGTWIN_URL": url, "PGTWIN_KEY": key, "PGTWIN_UID": UID}
    return {
        "python": nothing,
        "import": start_seconds(python, "-c", "import pgtwin") - nothing,
        "import Client": start_seconds(python, "-c", "from pgtwin import Client") - nothing,
        "databases list": start_seconds(COMMAND, "databases", "list", **given),
    }


async def run(settings: Settings, _admin_url: str, options: argparse.Namespace) -> dict[str, Any]:
    key = await admin_key(settings)
    command = ("-m", "memory.cli.main", "serve", "--port", "{port}")
    with process(*command, **serving(settings)) as (_, url):
        async with pgtwin.AsyncClient(url, key, uid=UID) as client:
            made = await client.create_database("calls")
        bare = Bare(f"{url}/v1", key, made.id)
        rows = await asyncio.to_thread(measure_sync, bare, options)
        rows += await measure_async(bare, options)
        seconds = await asyncio.to_thread(starts, url, key)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "targets": {"overhead_ms": OVERHEAD_MS, "databases list": LIST_SECONDS},
        "calls": rows,
        "start_seconds": seconds,
    }


def show(result: dict[str, Any]) -> None:
    for row in result["calls"]:
        print(
            f"{row['kind']:12} {row['call']:13} httpx {row['httpx_ms']:6.2f} ms"
            f"   client {row['client_ms']:6.2f} ms   overhead {row['overhead_ms']:6.3f} ms"
            f"   target {OVERHEAD_MS}"
        )
    for name, seconds in result["start_seconds"].items():
        wanted = f"   target {LIST_SECONDS * 1000:.0f}" if name == "databases list" else ""
        print(f"{name:26} {seconds * 1000:7.1f} ms{wanted}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="of a round")
    parser.add_argument("--rounds", type=int, default=7, help="of each runner")
    report(parser, RESULTS, run, show)


if __name__ == "__main__":
    main()
