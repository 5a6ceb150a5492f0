"""The guide to tests names the plugin's options, and its examples of CI are what they should be."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgtwin.testing import plugin

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDE = (REPOSITORY / "docs" / "testing.md").read_text()
OPTIONS = (REPOSITORY / "client/src/pgtwin/testing/options.py").read_text()
SAMPLE = REPOSITORY / "tests" / "samples" / "shop"


def examples() -> dict[str, dict[Any, Any]]:
    """The YAML blocks, by the file that they are."""
    found = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return {name: yaml.safe_load(text) for name, text in found}


def commands(job: dict[str, Any]) -> list[str]:
    steps = [step["run"] for step in job.get("steps", ()) if "run" in step]
    return [*steps, *job.get("before_script", ()), *job.get("script", ())]


def test_options_and_fixtures_are_those_of_the_plugin() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd="/", capture_output=True, text=True
    ).stdout
    options = set(re.findall(r"--pgtwin-[a-z-]+", shown))
    assert options == set(re.findall(r"^\| `(--pgtwin-[a-z-]+)", GUIDE, re.MULTILINE))
    settings = set(re.findall(r"^  (pgtwin_\w+) \(", shown, re.MULTILINE))
    fixtures = {name for name in vars(plugin) if name.startswith("pgtwin_")}
    rows = re.findall(r"^\| (`pgtwin_.*?) \|", GUIDE, re.MULTILINE)
    assert settings | fixtures == set(re.findall(r"pgtwin_\w+", " ".join(rows)))
    for name, default in re.findall(r"^\| `(pgtwin_\w+)` \| `(\w+)` \|", GUIDE, re.MULTILINE):
        assert re.search(rf'"{name}".*?default="{default}"', OPTIONS, re.DOTALL)


@pytest.mark.parametrize("name", [".github/workflows/tests.yml", ".gitlab-ci.yml"])
def test_examples_of_ci_install_what_there_is_and_run_the_tests(name: str) -> None:
    document = examples()[name]
    job = document["jobs"]["tests"] if "jobs" in document else document["tests"]
    lines = commands(job)
    assert [line for line in lines if line.startswith("pytest -n auto")]
    [install] = [line for line in lines if line.startswith("pip install")]
    for word in install.split()[2:]:
        path, _, extra = word.strip("'").partition("[")
        if path in ("-e", "."):
            continue
        # The folder of the checkout stands for this repository.
        project = REPOSITORY / Path(path).relative_to(".pgtwin") / "pyproject.toml"
        assert not extra or f"\n{extra.strip(']')} = [" in project.read_text()


def test_the_sample_asks_for_what_the_guide_installs() -> None:
    text = (SAMPLE / "pyproject.toml").read_text()
    assert '"pgtwin[pytest]"' in text
    assert "\ntest = [" in text
