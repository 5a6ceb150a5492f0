"""The distribution as people install it, and what of it is made."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
UV = REPOSITORY / ".tools" / "bin" / "uv"
PROGRAM = """
import importlib.util, sys
import pgtwin
from pgtwin import errors
assert pgtwin.Client and pgtwin.AsyncClient
for name in ("core", "memory", "fastapi", "asyncpg", "sqlalchemy"):
    assert importlib.util.find_spec(name) is None, name
try:
    pgtwin.Client("http://127.0.0.1:9", "k", retry=pgtwin.Retry(attempts=1)).create_database("x")
except errors.ServerUnreachable as error:
    print(error)
"""


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        cwd=REPOSITORY / "client",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    hatchling = Path(sys.executable).with_name("hatchling")
    run(hatchling, "build", "-t", "wheel", "-d", tmp_path)
    [wheel] = tmp_path.glob("pgtwin-*.whl")
    place = tmp_path / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, place)
    python = place / "bin" / "python"
    lock = REPOSITORY / "requirements.lock"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", lock, wheel)
    assert "no answer from http://127.0.0.1:9" in run(python, "-I", "-c", PROGRAM)
    installed = run(python, "-I", "-c", "import pgtwin; print(pgtwin.__file__)")
    folder = Path(installed.strip()).parent
    assert folder.is_relative_to(place)
    assert (folder / "py.typed").exists()


def test_what_is_made_is_of_today() -> None:
    run(sys.executable, "generate.py", "--check")
