"""What holds for the files of the repository, whatever is in them."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
SECTIONS = ["Status", "Context", "Decision", "Consequences", "Check"]

# In pieces, so that this file does not match itself.
REGISTRY_HOSTS = [
    ("py", "pi.org"),
    ("pypi.", "python.org"),
    ("python", "hosted.org"),
    ("npm", "js.org"),
    ("npm", "js.com"),
    ("crates", ".io"),
    ("rubygems", ".org"),
    ("proxy.golang", ".org"),
    ("repo.", "maven.apache.org"),
    ("anaconda", ".org"),
]
REGISTRY = re.compile(
    "|".join(
        [
            *(re.escape("".join(pieces)) for pieces in REGISTRY_HOSTS),
            # A mirror may have any name; the path of an index, and the options that take one,
            # give it away.
            r"https?://[^\s'\"]+/simple\b",
            r"(?:index|find)[-_](?:url|links)[=\s]+['\"]?(?:https?|file):",
        ]
    ),
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"(?<![\w.~-])(?:/(?:home|Users|root|work)/\w|[A-Z]:\\Users\\)")
CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text file that is there, by its path."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    found = {}
    for name in listed.stdout.split("\0"):
        path = REPOSITORY / name
        if not path.is_file():
            continue
        try:
            found[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    assert "README.md" in found
    return found


def lines_with(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "--index-url " + "https:" + "//mirror.example/x"),
        (REGISTRY, "see https:" + "//mirror.example/repository/simple/"),
        (REGISTRY, "files." + "python" + "hosted.org"),
        (MACHINE_PATH, "cd " + "/home" + "/alice/pgtwin"),
        (MACHINE_PATH, "C:" + "\\Users\\alice"),
        (CONFLICT, "<" * 7 + " HEAD"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


@pytest.mark.parametrize("pattern", [REGISTRY, MACHINE_PATH, CONFLICT])
@pytest.mark.parametrize(
    "text",
    ["", "--no-emit-index-url --no-emit-find-links", "https://host.example/home/a", "=" * 7],
)
def test_the_patterns_find_nothing_else(pattern: re.Pattern[str], text: str) -> None:
    assert not pattern.search(text)


def test_no_file_names_a_package_registry(texts: dict[str, str]) -> None:
    """The lock must install from whatever index a machine is set up for."""
    assert lines_with(REGISTRY, texts) == []


def test_the_lock_names_no_address_at_all(texts: dict[str, str]) -> None:
    assert "://" not in texts["requirements.lock"]


def test_no_file_names_a_path_of_somebodys_machine(texts: dict[str, str]) -> None:
    assert lines_with(MACHINE_PATH, texts) == []


def test_no_conflict_marker_is_left(texts: dict[str, str]) -> None:
    assert lines_with(CONFLICT, texts) == []


def test_a_lock_that_names_a_registry_is_ignored() -> None:
    assert "uv.lock" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_the_makefiles_help_lists_every_target_that_has_a_comment() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    targets = [target for line in phony for target in line.split()]
    commented = dict(re.findall(r"^([^\s:#]+):(?!=).*?## (.+)$", makefile, re.MULTILINE))
    assert set(commented) <= set(targets), "a target with a comment is not .PHONY"
    assert {"setup", "run", "test", "lint"} <= set(commented)
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert listed == commented


def test_the_licence_is_the_one_that_pyproject_names() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    text = " ".join((REPOSITORY / "LICENSE").read_text().split())
    assert text.startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers
    assert numbers == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_all_its_sections(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert all(re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_names_files_that_exist(path: Path) -> None:
    """Of the checks above all: a check that is gone enforces nothing."""
    named = re.findall(r"`((?:core|memory|migrations|tests|docs|\.ci)/[\w./-]+)`", path.read_text())
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_names_import_contracts_that_exist(path: Path) -> None:
    tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    contracts = {contract["name"] for contract in tool["importlinter"]["contracts"]}
    named = re.findall(r"contract \"([^\"]+)\"", " ".join(path.read_text().split()))
    assert set(named) <= contracts
