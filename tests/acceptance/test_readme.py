"""The commands of README and of the first guide, run as they stand there."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS, TOUR_SECONDS, STOP_SECONDS = 120, 120, 60


def blocks(page: str) -> list[str]:
    text = (REPOSITORY / page).read_text()
    found = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no commands"
    return found


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A shell's environment, with a data folder of this test's own and any free port."""
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-readme-"))
    # Under root, PostgreSQL's unprivileged user must pass.
    folder.chmod(0o711)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "DATABASE_URL" and not name.startswith("PGTWIN_")
    }
    try:
        yield kept | {"PGTWIN_DATA_DIR": str(folder), "PGTWIN_PORT": "0"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    """The service as `make run` starts it; gives the line that the README tells to copy."""
    output = Path(environment["PGTWIN_DATA_DIR"]) / "output-of-the-test"
    with output.open("w") as file:
        service = subprocess.Popen(
            [Path(sys.executable).parent / "pgtwind", "serve"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield export_line(service, output)
        service.send_signal(signal.SIGINT)
        assert service.wait(STOP_SECONDS) == 0, output.read_text()
    finally:
        if service.poll() is None:
            service.terminate()
            service.wait(STOP_SECONDS)


def export_line(service: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        text = output.read_text()
        found = re.search(r"^ *(export PGTWIN_URL=\S+ PGTWIN_KEY=\S+)$", text, re.MULTILINE)
        if found and "Ctrl-C" in text:
            return found[1]
        assert service.poll() is None, text
        time.sleep(0.05)
    raise AssertionError(f"not ready within {READY_SECONDS} s:\n{output.read_text()}")


@pytest.fixture
def said(environment: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """Gives what the commands of a page print, run in a shell of their own."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if not os.access(REPOSITORY / ".venv" / "bin" / "pgtwind", os.X_OK):
        pytest.skip("the commands name .venv/bin/pgtwind, which is not there")
    if (REPOSITORY / ".env").exists():
        pytest.skip("the repository's .env would send the commands to its own server")
    with served(environment) as export:

        def run(page: str) -> str:
            session = subprocess.run(
                ["bash", "-c", "\n".join(["set -euo pipefail", export, *blocks(page)])],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TOUR_SECONDS,
            )
            assert session.returncode == 0, f"{session.stdout}\n{session.stderr}"
            return session.stdout

        yield run


def codes(output: str) -> list[int]:
    return [int(code) for code in re.findall(r'^(?:\{|    )"code": ?(\d+)', output, re.M)]


def rows(output: str) -> list[object]:
    """Those that each statement gave."""
    answers = [json.loads(line) for line in output.splitlines() if line.startswith('{"code"')]
    data = [answer.get("data", {}) for answer in answers]
    return [each["exec_success"] for each in data if "exec_success" in each]


def test_the_commands_work_as_written(said: Callable[[str], str]) -> None:
    """Both pages on one service, as a reader follows them."""
    readme_works_as_written(said("README.md"))
    getting_started_works_as_written(said("docs/getting-started.md"))


def readme_works_as_written(output: str) -> None:
    table_made = inserted = selected = dropped = 0
    assert codes(output) == [table_made, inserted, selected, dropped], output
    assert rows(output) == [[{"id": 1}, {"id": 2}], [{"item": "tea", "price": 4.5}]]


def getting_started_works_as_written(output: str) -> None:
    created = described = table_made = inserted = selected = cloned = emptied = counted = 0
    finished = counted_none = kept = modified = listed = dropped = 0
    again, refused, gone = 25010, 25020, 25013
    expected = [created, described, again]
    expected += [table_made, inserted, selected]
    expected += [cloned, emptied, counted, finished, counted_none]
    expected += [kept, kept, refused, modified, listed]
    expected += [dropped, gone, dropped]
    assert codes(output) == expected, output
    assert re.search(r'"schema_name": "prod_alice_\d+"', output), output
    assert "\nHTTP 409\n" in output
    assert rows(output)[1] == [{"item": "tea", "price": 4.5}, {"item": "cup", "price": 9}]
    # Of the source without rows, of its copy with them, of the copy's copy without data.
    assert rows(output)[2:] == [[], [{"count": 2}], [{"count": 0}]]
    assert '"kind":"clone_database","state":"finished"' in output
    ids = re.findall(r'"data":\{"database_id":(\d+),', output)
    # The last two are told by the drops.
    assert len(ids) == 6
    assert ids[2] == ids[3]
    assert len(set(ids)) == 3
    [listing] = re.findall(r'^.*"data":\{"databases":.*$', output, re.M)
    names = [database["name"] for database in json.loads(listing)["data"]["databases"]]
    assert names == ["orders_empty", "orders_copy", "orders"]
    assert '"description":"What people order"' in listing
