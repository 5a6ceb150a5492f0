"""`.env.template`, the guide's table and the class name the same settings."""

import re
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from core.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


class Shown(NamedTuple):
    """A setting as it is written down: "" where it has no default."""

    variable: str
    default: str
    meaning: str


def of_class() -> list[Shown]:
    shown = []
    for name, field in Settings.model_fields.items():
        default = None if field.default_factory else field.default
        assert field.description, f"{name} has no description"
        shown.append(Shown(Settings.variable(name), written(default), field.description))
    return shown


def written(default: object) -> str:
    """A default as one writes it into the environment."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


def of_template() -> list[Shown]:
    text = (REPOSITORY / ".env.template").read_text()
    found = re.findall(r"^# (.+)\n#(\w+)=(.*)$", text, re.MULTILINE)
    return [Shown(variable, default, meaning) for meaning, variable, default in found]


def of_guide() -> list[Shown]:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    section = re.search(r"^## Settings\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, "configuration.md has no section Settings"
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    assert cells(lines[0]) == ["Variable", "Default", "Meaning"]
    return [
        Shown(variable.strip("`"), default.strip("`"), meaning)
        for variable, default, meaning in map(cells, lines[2:])
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_template_lists_every_setting_with_its_default() -> None:
    assert sorted(of_template()) == sorted(of_class())


def test_the_template_changes_nothing_as_it_is() -> None:
    text = (REPOSITORY / ".env.template").read_text()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []
    assert set(re.findall(r"^#\s*([A-Z_]+)=", text, re.MULTILINE)) == {
        setting.variable for setting in of_class()
    }


def test_the_guide_lists_every_setting_with_its_default() -> None:
    assert sorted(of_guide()) == sorted(of_class())
