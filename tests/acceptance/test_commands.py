"""`pgtwind` as an operator runs it: real processes, a real PostgreSQL of their own."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import MASTER_SECRET, drop_control_database, with_database

PGTWIND = Path(sys.executable).with_name("pgtwind")
EXPORT = re.compile(r"^  export PGTWIN_URL=(\S+) PGTWIN_KEY=(pgt_[0-9a-f]{12}_[0-9a-f]{64})$", re.M)
READY = "Ctrl-C stops the service."
PATIENCE = 60.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Place:
    """A folder with an operator's environment, and what ran in it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environment = {"PATH": os.environ["PATH"], "PGTWIN_DATA_DIR": str(self.data)}
        self.environment |= variables
        self.started: list[subprocess.Popen[str]] = []

    def command(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [PGTWIND, *words],
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def said(self, *words: str, **variables: str) -> str:
        """The standard output of a command that must succeed."""
        outcome = Outcome.of(self.command(*words, **variables))
        assert outcome.code == 0, outcome
        return outcome.output

    @contextmanager
    def serving(self, **variables: str) -> Iterator["Serving"]:
        service = Serving(self, **variables)
        try:
            yield service
        finally:
            service.end()

    @property
    def postmaster(self) -> int | None:
        """The process id of the embedded PostgreSQL that runs here."""
        for note in self.data.glob("postgres-*/postmaster.pid"):
            with suppress(FileNotFoundError, ProcessLookupError):
                pid = int(note.read_text().split("\n")[0])
                if str(note.parent) in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        return None

    @property
    def superuser_url(self) -> str:
        password = (self.data / "superuser.password").read_text().strip()
        port = (self.data / "port").read_text().strip()
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/pgtwin"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    output: str
    errors: str

    @classmethod
    def of(cls, process: subprocess.Popen[str]) -> "Outcome":
        output, errors = process.communicate(timeout=PATIENCE)
        return cls(process.returncode, output, errors)

    @property
    def error(self) -> str:
        """The one line of a command that failed."""
        assert self.code == 1, self
        assert len(self.errors.splitlines()) == 1, self
        assert self.errors.startswith("pgtwind: "), self
        return self.errors


class Serving:
    """`pgtwind serve` on a free port, with its output in files."""

    def __init__(self, place: Place, **variables: str) -> None:
        out = place.folder / f"output-{secrets.token_hex(4)}"
        err = out.with_suffix(".errors")
        self.output, self.errors = out.read_text, err.read_text
        with out.open("w") as output, err.open("w") as errors:
            self.process = subprocess.Popen(
                [PGTWIND, "serve", "--port", "0"],
                cwd=place.folder,
                env=place.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # A group of its own, for Ctrl-C reaches the workers as well.
                start_new_session=True,
            )

    def ready(self) -> "Serving":
        wait_until(lambda: READY in self.output() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output() + self.errors()
        return self

    @property
    def url(self) -> str:
        return str(re.findall(r"^  API +(http://127\.0\.0\.1:\d+)/v1$", self.output(), re.M)[0])

    @property
    def keys(self) -> list[str]:
        """The keys that were printed."""
        return [key for _, key in EXPORT.findall(self.output())]

    @property
    def key(self) -> str:
        [printed] = self.keys
        return printed

    def stop(self, number: signal.Signals) -> int:
        """Send the signal as a terminal or a supervisor does; gives the exit code."""
        if number is signal.SIGTERM:
            self.process.terminate()
        else:
            os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    @property
    def processes(self) -> list[int]:
        """Those of its group that still run; a zombie does not."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                state, _parent, group = path.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z":
                    found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def call(service: Serving, token: str, path: str, **body: Any) -> dict[str, Any]:
    """The envelope of a POST with this body, without one of a GET."""
    url, headers = f"{service.url}/v1/{path}", {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, timeout=30) as client:
        response = client.post(url, json=body) if body else client.get(url)
    return dict(response.json())


def processes_of(folder: Path) -> list[int]:
    """Those that have the folder's name in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in words and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


@contextmanager
def new_place(**variables: str) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-", dir="/tmp"))
    # Under root, PostgreSQL's unprivileged user must pass.
    folder.chmod(0o711)
    place = Place(folder, **variables)
    try:
        yield place
    finally:
        for process in place.started:
            process.kill()
        if (pid := place.postmaster) is not None:
            os.kill(pid, signal.SIGQUIT)
            wait_until(lambda: place.postmaster is None)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with new_place() as found:
        yield found


@pytest.fixture(scope="module")
def first(place: Place) -> Iterator[Serving]:
    """The first service on the place; it serves for most of the tests."""
    with place.serving() as service:
        yield service.ready()


@asynccontextmanager
async def place_elsewhere(admin_url: str, **variables: str) -> AsyncIterator[Place]:
    """A place whose environment is what `pgtwind init` printed for a PostgreSQL elsewhere."""
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    with new_place(PGTWIN_MASTER_SECRET=MASTER_SECRET, **variables) as place:
        lines = place.said("init", "--admin-url", with_database(admin_url, name)).splitlines()
        settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        assert list(settings) == ["DATABASE_URL", "PGTWIN_OWNER_URL", "PGTWIN_MASTER_SECRET"]
        place.environment |= settings
        try:
            yield place
        finally:
            await drop_control_database(admin_url, name)


@pytest.fixture(scope="module")
async def elsewhere(admin_url: str) -> AsyncIterator[Place]:
    async with place_elsewhere(admin_url) as place:
        yield place


def test_commands_explain_themselves(place: Place) -> None:
    mentioned = {
        "": ["serve", "init", "migrate", "doctor", "health", "key"],
        "serve": ["--host", "--port", "--workers", "DATABASE_URL"],
        "key create": ["--uid", "--scope", "databases:write", "--space", "--expires-in", "30d"],
    }
    for command, words in mentioned.items():
        text = place.said(*command.split(), "--help")
        assert [word for word in words if word not in text] == []


def test_serve_says_where_it_is_and_prints_a_key_that_works(place: Place, first: Serving) -> None:
    [(url, _)] = EXPORT.findall(first.output())
    assert url == first.url
    assert f"  Docs   {url}/docs\n" in first.output()
    assert f"  Data   {place.data} " in first.output()
    assert httpx.get(f"{url}/docs").status_code == 200
    assert call(first, first.key, "databases")["code"] == 0
    assert call(first, first.key[:-1] + "x", "databases")["code"] == 25020


def test_keys_are_made_listed_rotated_and_revoked_beside_the_running_service(
    place: Place, first: Serving
) -> None:
    scopes = ("--scope", "databases:read", "--scope", "databases:write")
    made = place.said("key", "create", "--uid", "u1", *scopes, "--expires-in", "1h").strip()
    created = call(first, made, "create_database", database_name="orders")
    assert created["code"] == 0, created
    assert call(first, made, "create_database", database_name="n", uid="u2")["code"] == 25020

    rotated = place.said("key", "rotate", made[:16], "--overlap", "1h").strip()
    assert rotated[:16] != made[:16]
    assert [call(first, token, "databases")["code"] for token in (made, rotated)] == [0, 0]

    place.said("key", "revoke", made)
    assert call(first, made, "databases")["code"] == 25020
    assert call(first, rotated, "databases")["code"] == 0

    rows = {row[:16]: row for row in place.said("key", "list").splitlines()}
    assert made[-64:] not in str(rows)
    assert "revoked" in rows[made[:16]]
    assert " u1 databases:read,databases:write" in rows[rotated[:16]]


async def test_doctor_finds_drift_and_the_sql_that_mends_it(place: Place, first: Serving) -> None:
    created = call(first, first.key, "create_database", database_name="lost", uid="u9")
    number = created["data"]["database_id_str"]
    connection = await asyncpg.connect(place.superuser_url)
    try:
        await connection.execute(f"DELETE FROM pgtwin.database_meta WHERE id = {number}")
        outcome = Outcome.of(place.command("doctor", "--json"))
        found = [each for each in json.loads(outcome.output) if each["level"] == "problem"]
        assert outcome.code == 1
        # Two schemas and five roles.
        assert [number in each["message"] for each in found] == [True] * 7
        for each in found:
            await connection.execute(each["mend"].partition("then: ")[2] or each["mend"])
    finally:
        await connection.close()
    assert "catalog and control schema agree" in place.said("doctor")


def test_logs_are_json_and_hold_no_secret(place: Place, first: Serving) -> None:
    assert call(first, first.key, "databases")["code"] == 0
    assert call(first, first.key, "databases/2147483648")["code"] == 25013
    wait_until(lambda: '"code":25013' in first.errors())
    lines = [json.loads(line) for line in first.errors().splitlines()]
    requests = [line for line in lines if line.get("route", "").startswith("/v1/databases")]
    assert {0, 25013} <= {line["code"] for line in requests}
    assert all(re.fullmatch("[0-9a-f]{32}", line["sid"]) for line in requests)
    assert all(line["duration_ms"] > 0 and line["timestamp"] for line in requests)

    files = [place.data / name for name in ("superuser.password", "master.secret")]
    unwanted = [path.read_text().strip() for path in files] + [first.key[-64:], "SCRAM-SHA-256"]
    logs = first.output().replace(first.key, "", 1) + first.errors()
    for path in (place.data / "server.log", *place.data.glob("postgres-*/log/*")):
        logs += path.read_text()
    assert [text for text in unwanted if text in logs] == []
    assert re.findall(r"postgresql://\w+:[^@]+@", logs) == []


def test_mistakes_are_one_line_without_a_traceback(place: Place, first: Serving) -> None:
    unreachable = {
        "DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d",
        "PGTWIN_MASTER_SECRET": MASTER_SECRET,
        "PGTWIN_STARTUP_TIMEOUT": "1",
    }
    port = first.url.rpartition(":")[2]
    mistakes: list[tuple[str, dict[str, str], str]] = [
        ("serve", {"DATABASE_URL": "sqlite:///x.db"}, "PostgreSQL 15 to 18"),
        ("serve", unreachable, "did not answer within 1 s"),
        ("serve", {"PGTWIN_PORT": port}, f"127.0.0.1:{port}"),
        ("init --quiet --admin-url postgresql://u@127.0.0.1/d", {}, "PGTWIN_MASTER_SECRET"),
        ("health --url http://127.0.0.1:1", {}, "http://127.0.0.1:1"),
        ("key create --uid u1 --expires-in soon", {}, "soon"),
        ("key create --uid u1 --expires-in 0s", {}, "0s"),
        ("key revoke pgt_000000000000", {}, "pgt_000000000000"),
    ]
    started = [place.command(*words.split(), **variables) for words, variables, _ in mistakes]
    errors = [Outcome.of(process).error for process in started]
    assert [name in errors[at] for at, (_, _, name) in enumerate(mistakes)] == [True] * len(
        mistakes
    ), errors
    assert "hunter2" not in str(errors)


def test_services_share_one_postgresql_which_ends_with_the_last_of_them() -> None:
    with new_place() as place, place.serving() as one, place.serving() as other:
        [key] = one.ready().keys + other.ready().keys
        server = place.postmaster or 0
        assert one.stop(signal.SIGTERM) == 0
        assert call(other, key, "databases")["code"] == 0
        assert place.postmaster == server
        assert other.stop(signal.SIGINT) == 0
        assert place.postmaster is None


def test_init_prints_the_settings_with_which_serve_works(elsewhere: Place) -> None:
    with elsewhere.serving() as service:
        key = service.ready().key
        created = call(service, key, "create_database", database_name="orders", uid="u")
        number = created["data"]["database_id"]
        # For good: what can be restored would be forgotten by the migration back to nothing.
        dropped = call(service, key, "drop_database", database_id=number, uid="u", purge=True)
        assert dropped["code"] == 0
        assert service.stop(signal.SIGTERM) == 0
    assert not elsewhere.data.exists()


def test_migrate_goes_down_and_up_again_and_shows_its_sql(elsewhere: Place) -> None:
    assert "CREATE TABLE pgtwin.database_meta" in elsewhere.said("migrate", "--sql")
    assert elsewhere.said("migrate", "--to", "base").endswith(" and is at nothing\n")
    assert " was at nothing " in elsewhere.said("migrate")


@pytest.mark.parametrize("moment", ["while they start", "while they serve"])
def test_workers_do_not_outlive_a_killed_service(elsewhere: Place, moment: str) -> None:
    with elsewhere.serving(PGTWIN_WORKERS="2") as service:
        wait_until(lambda: len(service.processes) > 2)
        if moment == "while they start":
            assert READY not in service.output()
        else:
            service.ready()
            assert call(service, "no key", "databases")["code"] == 25020
        service.process.kill()
        service.process.wait()
        wait_until(lambda: service.processes == [], seconds=20)


def test_after_kill_9_the_next_start_adopts_postgresql_and_its_data(
    place: Place, first: Serving
) -> None:
    """The last of the tests on this service; the next start is with workers."""
    key = first.key
    assert call(first, key, "create_database", database_name="kept", uid="u")["code"] == 0
    server = place.postmaster or 0
    first.process.kill()
    first.process.wait()
    assert place.postmaster == server

    with place.serving(PGTWIN_WORKERS="2") as again:
        assert again.ready().keys == []
        assert place.postmaster == server
        for _ in range(20):
            found = call(again, key, "databases")["data"]["databases"]
            assert "kept" in [database["name"] for database in found]
        assert again.stop(signal.SIGINT) == 0
        wait_until(lambda: again.processes == [], seconds=20)
        assert "Traceback" not in again.errors()
    assert place.postmaster is None
