"""A service that is started for a run: once, for all its workers, and ended with it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_commands import PGTWIND, processes_of, wait_until
from tests.client.plugin.project import Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
TESTS = """
    import psycopg, pytest

    def test_bad(pgtwin_database):
        with psycopg.connect(pgtwin_database.url) as connection:
            connection.execute("CREATE TABLE item AS SELECT 'tea' AS name")
        assert False

    @pytest.mark.parametrize("n", range(6))
    def test_good(pgtwin_database, pgtwin_client, n):
        with open("urls", "a") as file:
            print(pgtwin_client.url, file=file)
"""


@pytest.fixture
def caches() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-", dir="/tmp"))
    # Under root, PostgreSQL's unprivileged user must pass.
    folder.chmod(0o711)
    yield folder
    try:
        wait_until(lambda: processes_of(folder) == [])
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path, caches: Path) -> Project:
    project = Project(tmp_path, {})
    project.write("test_it.py", TESTS)
    # What a project has for itself, and is not for the service.
    project.environment |= {"DATABASE_URL": "postgresql://nowhere", "PGTWIN_PORT": "1"}
    project.write(".env", "DATABASE_URL=postgresql://nowhere\n")
    return project


def test_it_is_started_once_and_ends_with_the_run(project: Project, caches: Path) -> None:
    folder = caches / "service"
    run = project.test("-n", "2", "--pgtwin-folder", str(folder))
    assert (run.counts["failed"], run.counts["passed"]) == (1, 6), run.text
    assert len(set(project.read("urls"))) == 1
    wait_until(lambda: processes_of(folder) == [])
    # The failed test's database is there as the report says, in the project's folder too.
    found = re.search(r"^  (pgtwin dev --data .*) -- pgtwin psql (\d+)$", run.text, re.MULTILINE)
    assert found
    look = f"{found[1]} -- pgtwin sql {found[2]} 'SELECT name FROM item' --output json"
    environment = project.environment | {"PATH": f"{PGTWIND.parent}:{os.environ['PATH']}"}
    del environment["PGTWIN_PORT"]
    said = subprocess.check_output(
        ["bash", "-c", look], env=environment, cwd=project.folder, text=True
    )
    assert [row["name"] for row in json.loads(said)] == ["tea"]


def test_a_next_run_finds_the_template(project: Project, caches: Path) -> None:
    folder = caches / "service"
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def pgtwin_template_key():
            return "1"

        @pytest.fixture(scope="session")
        def pgtwin_build_template():
            def build(database):
                with open("builds", "a") as file:
                    print(database.id, file=file)
            return build
        """,
    )
    for _ in range(2):
        run = project.test("-k", "good", "--pgtwin-folder", str(folder))
        assert run.code == 0, run.text
    assert len(project.read("builds")) == 1


def waiting_run(project: Project, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run that waits in its one test."""
    project.write(
        "test_it.py",
        """
        import time

        def test_it(pgtwin_database):
            open("waits", "w").close()
            time.sleep(600)
        """,
    )
    started = project.start(*arguments, "--pgtwin-folder", str(folder))
    wait_until((project.folder / "waits").exists)
    return started


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_it_ends_with_a_killed_run(
    project: Project, caches: Path, arguments: tuple[str, ...]
) -> None:
    folder = caches / "service"
    started = waiting_run(project, folder, *arguments)
    assert len(processes_of(folder)) > 1
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    wait_until(lambda: [pid for pid in processes_of(folder) if pid != started.pid] == [])


def test_its_guard_takes_it_along(project: Project, caches: Path) -> None:
    folder = caches / "service"
    started = waiting_run(project, folder)
    guards = [
        pid
        for pid in processes_of(folder)
        if b"pgtwin.testing.guard" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(guards) == 1
    os.kill(guards[0], signal.SIGKILL)
    wait_until(lambda: set(processes_of(folder)) <= {started.pid})
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()


def test_two_runs_at_a_time_share_the_folder(project: Project, caches: Path) -> None:
    folder = caches / "service"
    arguments = ("-k", "good", "--pgtwin-folder", str(folder))
    started = [project.start(*arguments) for _ in range(2)]
    for each in started:
        output, _ = each.communicate()
        assert "6 passed" in output, output
    assert len(set(project.read("urls"))) == 2
    wait_until(lambda: processes_of(folder) == [])


def test_what_keeps_it_from_starting_is_one_line(project: Project, caches: Path) -> None:
    folder = caches / "service"
    folder.mkdir(mode=0o711)
    (folder / "data").write_text("no folder")
    run = project.test("-k", "bad", "--pgtwin-folder", str(folder))
    [line] = [line for line in run.text.splitlines() if line.startswith("no pgtwin for")]
    assert line.startswith("no pgtwin for these tests: the service did not start: pgtwind: ")
    assert str(folder / "data") in line
    assert processes_of(folder) == []


def test_without_pgtwind_one_line_says_what_to_do(project: Project, tmp_path: Path) -> None:
    """An environment with pytest and the client, and without the server."""
    environment = tmp_path / "venv"
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", environment])
    [packages] = environment.glob("lib/python*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    project.python = str(environment / "bin" / "python")
    path = project.environment["PATH"].split(":")
    project.environment["PATH"] = ":".join(x for x in path if not (Path(x) / "pgtwind").exists())
    run = project.test("-k", "bad")
    assert run.counts["error"] == 1, run.text
    assert (
        "\nthere is no pgtwin service for these tests: set PGTWIN_URL and PGTWIN_KEY, "
        "or install pgtwin-server, which brings pgtwind\n"
    ) in run.text
