"""A project of somebody's whose tests use the plugin, run as he runs them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

PATIENCE = 120.0
INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@dataclass(frozen=True)
class Run:
    """How a run of pytest ended, and what it said."""

    code: int
    text: str

    @property
    def counts(self) -> dict[str, int]:
        """Of the last line: passed, failed, errors."""
        last = self.text.strip().splitlines()[-1]
        return {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}


class Project:
    """
    Args:
        python: the interpreter that has pytest.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], python: str = sys.executable
    ) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            # Each run of pytest changes the modes of the folder that it shares with others.
            "PYTEST_DEBUG_TEMPROOT": str(folder),
            **environment,
        }
        self.python = python
        self.configure()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def configure(self, *lines: str) -> None:
        """Lines of the ini file, beside those that make warnings errors."""
        self.write("pytest.ini", INI + "\n".join([*lines, ""]))

    def read(self, name: str) -> list[str]:
        """The lines that tests have left in a file."""
        return (self.folder / name).read_text().splitlines()

    def test(self, *arguments: str) -> Run:
        started = self.start(*arguments)
        try:
            output, _ = started.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            output, _ = started.communicate()
            raise AssertionError(f"the tests don't end:\n{output}") from None
        return Run(started.returncode, output)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
