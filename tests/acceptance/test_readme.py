"""The first five minutes of the README, run as they stand there."""

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
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS, TOUR_SECONDS, STOP_SECONDS = 120, 120, 60


def blocks_of_the_tour() -> list[str]:
    section = re.search(
        r"^## The first five minutes\n(.*?)(?=^## )",
        (REPOSITORY / "README.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert section, "the README has no section The first five minutes"
    return re.findall(r"^```bash\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


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


def test_the_first_five_minutes_work_as_written(environment: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if not os.access(REPOSITORY / ".venv" / "bin" / "pgtwind", os.X_OK):
        pytest.skip("the README's commands name .venv/bin/pgtwind, which is not there")
    if (REPOSITORY / ".env").exists():
        pytest.skip("the repository's .env would send the README's commands to its own server")
    blocks = blocks_of_the_tour()
    with served(environment) as export:
        session = subprocess.run(
            ["bash", "-c", "\n".join(["set -euo pipefail", export, *blocks])],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOUR_SECONDS,
        )
    said = f"{session.stdout}\n{session.stderr}"
    assert session.returncode == 0, said
    codes = [int(code) for code in re.findall(r'^(?:\{|    )"code": ?(\d+)', session.stdout, re.M)]
    created = described = listed = kept = modified = as_alice = dropped = 0
    again, refused, gone = 25010, 25020, 25013
    expected = [
        created,
        described,
        listed,
        again,
        kept,
        kept,
        modified,
        refused,
        as_alice,
        dropped,
        gone,
    ]
    assert codes == expected, said
    assert "\nHTTP 409\n" in session.stdout
    ids = re.findall(r'"data":\{"database_id":(\d+),', session.stdout)
    assert len(ids) == 3
    assert ids[1] == ids[2] != ids[0]
    assert re.search(r'"schema_name": "prod_alice_\d+"', session.stdout), said
    assert '"description":"What people order"' in session.stdout
