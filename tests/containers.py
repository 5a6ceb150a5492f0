"""The Dockerfile and the compose file as data."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
_OPTION = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined.

    Attributes:
        options: `--name=value` before the argument.
        argument: what follows them, as written.
    """

    keyword: str
    options: dict[str, str]
    argument: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of a JSON list; None: the shell form."""
        if not self.argument.startswith("["):
            return None
        return [str(word) for word in json.loads(self.argument)]

    @property
    def pairs(self) -> dict[str, str]:
        """NAME=VALUE of ENV and LABEL."""
        return dict(word.split("=", 1) for word in shlex.split(self.argument))


@dataclass(frozen=True)
class Stage:
    """What is between two FROMs."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        return [each for each in self.instructions if each.keyword == keyword]

    def only(self, keyword: str) -> Instruction:
        [found] = self.all(keyword)
        return found

    @property
    def variables(self) -> dict[str, str]:
        return {name: value for each in self.all("ENV") for name, value in each.pairs.items()}


def parse_dockerfile(text: str) -> list[Stage]:
    """The stages of a Dockerfile without heredocs and parser directives."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        keyword, _, rest = line.strip().partition(" ")
        options, rest = {}, rest.strip()
        while found := _OPTION.match(rest):
            options[found[1]] = found[2] or ""
            rest = rest[found.end() :]
        if keyword == "FROM":
            image, _, name = re.split(r"\s+(AS)\s+", rest) if " AS " in rest else (rest, "", "")
            stages.append(Stage(image, name))
        else:
            stages[-1].instructions.append(Instruction(keyword, options, rest))
    return stages


def dockerfile() -> list[Stage]:
    return parse_dockerfile((REPOSITORY / "Dockerfile").read_text())


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return found
