"""The commands of the README and of the first guide, run as they stand there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS, TOUR_SECONDS, STOP_SECONDS = 120, 120, 60


README = REPOSITORY / "README.md"
GUIDE = REPOSITORY / "docs" / "getting-started.md"
DONE, NAME_TAKEN, NOT_FOUND, REFUSED = 0, 25010, 25013, 25020


def commands_of(page: Path) -> str:
    """All its commands in bash, in their order; what is only shown is in other blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, f"{page.name} has no commands to run"
    return "\n".join(blocks)


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


@dataclass(frozen=True)
class Said:
    """What the commands of a page printed."""

    output: str

    @property
    def codes(self) -> list[int]:
        """The code of each envelope, on a line of its own or indented."""
        found = re.findall(r'^(?:\{|    )"code": ?(\d+)', self.output, re.MULTILINE)
        return [int(code) for code in found]

    @property
    def made(self) -> list[str]:
        """The ids of databases, from the answers that made them."""
        return re.findall(r'"data":\{"database_id":(\d+),', self.output)


def follow(page: Path, export: str, environment: dict[str, str]) -> Said:
    """What a reader sees who pastes the page's commands into a new terminal."""
    session = subprocess.run(
        ["bash", "-c", "\n".join(["set -euo pipefail", export, commands_of(page)])],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TOUR_SECONDS,
    )
    assert session.returncode == 0, f"{session.stdout}\n{session.stderr}"
    return Said(session.stdout)


def test_the_readme_and_the_first_guide_work_as_written(environment: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if not os.access(REPOSITORY / ".venv" / "bin" / "pgtwind", os.X_OK):
        pytest.skip("the guide's commands name .venv/bin/pgtwind, which is not there")
    if (REPOSITORY / ".env").exists():
        pytest.skip("the repository's .env would send the guide's commands to its own server")
    with served(environment) as export:
        taste = follow(README, export, environment)
        tour = follow(GUIDE, export, environment)
    created = described = dropped = DONE
    assert taste.codes == [created, described, dropped], taste
    [database] = taste.made
    for schema in (f"prod_alice_{database}", f"test_alice_{database}"):
        assert f'"schema_name": "{schema}"' in taste.output, taste
    check_the_tour(tour)


def check_the_tour(tour: Said) -> None:
    created = described = modified = listed = kept = cloned = asked = dropped = DONE
    assert tour.codes == [
        created,
        described,
        modified,
        listed,
        NAME_TAKEN,
        kept,
        kept,
        REFUSED,
        cloned,
        asked,
        cloned,
        listed,
        dropped,
        dropped,
        dropped,
        NOT_FOUND,
    ], tour
    database, returns, again, copy, empty = tour.made
    assert returns == again
    assert len({database, returns, copy, empty}) == 4
    assert f'"schema_name": "prod_alice_{database}"' in tour.output, tour
    assert '"description":"What people order"' in tour.output
    assert "\nHTTP 409\n" in tour.output
    [operation] = re.findall(r'\{"operation_id":.*', tour.output)
    assert '"kind":"clone_database","state":"finished"' in operation
    assert f'"database_id":{copy},' in operation
    listed_names = re.findall(r'"name":"(orders_\w+)"', tour.output)
    assert listed_names == ["orders_empty", "orders_copy"], tour
