"""Guides that are followed block by block, as a reader does."""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.postgres.embedded.binaries import bundled_binaries
from tests.acceptance.test_commands import Serving, new_place

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDES = ("using-your-database.md", "lifecycle.md", "cli.md", "python-client.md", "testing.md")
PATIENCE = 60.0
# A reader's Python, which keeps its names from block to block.
PYTHON = """
import contextlib, io, json, sys, traceback
names, answers = {"__name__": "__main__"}, sys.stdout
for line in sys.stdin:
    output, error = io.StringIO(), ""
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(json.loads(line), "<block>", "exec"), names)
        except BaseException:
            error = traceback.format_exc()
    print(json.dumps([output.getvalue(), error]), file=answers, flush=True)
"""
# So is his shell.
SHELL = "set -euo pipefail; source {state}\n{block}\nexport -p > {state}; declare -f >> {state}"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@dataclass(frozen=True)
class Block:
    """A block of the guide; one that shows an output has it of the block before."""

    line: int
    section: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line names one."""
        found = re.match(r"(?:#|--) ([\w/.]+\.(?:py|sql|csv|toml))\n", self.text)
        return found[1] if found else None


def blocks(guide: str) -> list[Block]:
    text = (REPOSITORY / "docs" / guide).read_text()
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start()]
        section = re.findall(r"^## (.+)$", before, re.MULTILINE)
        found.append(Block(before.count("\n") + 1, section[-1], match[1], match[2]))
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)), "not all were found"
    return found


class Reader:
    """Whoever follows the guide, in a folder of his own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._state = folder / ".state"
        self._state.touch()
        self._python: subprocess.Popen[str] | None = None

    def follow(self, block: Block) -> str:
        """Do what the block says; gives what it prints."""
        if block.file:
            path = self._folder / block.file
            assert path.parent.is_dir(), f"{block} is for a folder that is not there"
            path.write_text(block.text)
            return ""
        match block.language:
            case "bash":
                return self._in_shell(block.text)
            case "python":
                return self._in_python(block.text)
            case "yaml":
                # For a service that is not here; tests/unit/test_docs_testing.py reads it.
                return ""
        raise AssertionError(f"nobody runs {block}")

    def turn_over(self) -> None:
        """End the Python that a section used: the next one sees the files as they are by then."""
        if self._python is not None:
            self._python.kill()
            self._python.communicate()
            self._python = None

    def _in_shell(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-c", SHELL.format(state=self._state, block=text)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _in_python(self, text: str) -> str:
        if self._python is None:
            # In the shell's environment, and with warnings as errors: the guide is of today.
            command = f'source {self._state}; exec python -W error -u -c "$0"'
            self._python = subprocess.Popen(
                ["bash", "-c", command, PYTHON],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps(text) + "\n")
        self._python.stdin.flush()
        answered, _, _ = select.select([self._python.stdout], [], [], PATIENCE)
        assert answered, "no answer"
        output, error = json.loads(self._python.stdout.readline())
        assert not error, error
        return str(output)


@contextmanager
def reader_of(service: Serving, folder: Path) -> Iterator[Reader]:
    """A reader who has what `pgtwind serve` told him to export, and the programs that he needs."""
    programs = [bundled_binaries().psql.parent, Path(sys.executable).parent]
    environment = {
        "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PGTWIN_URL": service.url,
        "PGTWIN_KEY": service.key,
    }
    reader = Reader(folder, environment)
    try:
        yield reader
    finally:
        reader.turn_over()


def matches(shown: str, output: str) -> bool:
    """Whether that is the output, with anything in the place of `...`; spaces may differ."""
    # How many rows a table has is known once autovacuum has looked at it.
    output = re.sub(r", ~\d+ rows?\b", "", output)
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    return re.fullmatch(".*?".join(parts), " ".join(output.split())) is not None


@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_does_what_the_guide_says(tmp_path: Path, guide: str) -> None:
    with (
        new_place() as place,
        place.serving() as service,
        reader_of(service.ready(), tmp_path) as reader,
    ):
        section = output = ""
        for block in blocks(guide):
            where = f"{guide}:{block.line}"
            if block.section != section:
                reader.turn_over()
                section = block.section
            if block.language == "text":
                assert matches(block.text, output), f"{where}\n{block.text}\nis\n{output}"
                continue
            try:
                output = reader.follow(block)
            except AssertionError as error:
                raise AssertionError(f"{where}\n{block.text}\n{error}") from None
