"""What the guides say of errors, settings and files is so."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from core.settings import Settings
from tests.unit.test_docs_errors import errors

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
GUIDES = sorted((REPOSITORY / "docs").glob("*.md"))
TROUBLESHOOTING = REPOSITORY / "docs" / "troubleshooting.md"
# Of the examples' shell, and of the option `--admin-url`.
VARIABLE = re.compile(r"PGTWIN_[A-Z][A-Z_]*[A-Z]")
CLIENT = {
    name
    for source in (REPOSITORY / "client" / "src").rglob("*.py")
    for name in VARIABLE.findall(source.read_text())
}
NO_SETTINGS = {"PGTWIN_URL", "PGTWIN_KEY", "PGTWIN_ADMIN_URL"} | CLIENT

pages = pytest.mark.parametrize("page", [README, *GUIDES], ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_troubleshooting_names_errors_as_their_classes_do() -> None:
    text = TROUBLESHOOTING.read_text()
    known = {(str(error.code), error.kind(), str(error.status)) for error in errors()}
    named = re.findall(r"`(25\d{3})\s(\w+)`\s\((\d{3})\)", text)
    assert named
    assert set(named) - known == set()
    # A code that is written otherwise would not be looked at.
    assert len(re.findall(r"\b25\d{3}\b", text)) == len(named)


def test_troubleshooting_calls_retryable_what_is() -> None:
    retryable = {error.kind() for error in errors() if error.retryable}
    text = TROUBLESHOOTING.read_text()
    starts = [found.start() for found in re.finditer(r"`25\d{3}\s", text)]
    called = {
        text[start:end].split("`")[1].split()[1]
        for start, end in pairwise([*starts, len(text)])
        if "etryable" in re.split(r"\n\n|\n\||\n## ", text[start:end])[0]
    }
    named = set(re.findall(r"`25\d{3}\s(\w+)`", text))
    assert called == retryable & named


@pages
def test_answers_in_examples_have_a_code_and_a_name_that_belong_together(page: Path) -> None:
    known = {(str(error.code), error.kind()) for error in errors()}
    shown = re.findall(r'"code":\s*([1-9]\d*),.*?"type":\s*"(\w+)"', page.read_text())
    assert set(shown) - known == set()


@pages
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


@pages
def test_variables_are_settings(page: Path) -> None:
    settings = {Settings.variable(name) for name in Settings.model_fields}
    named = set(VARIABLE.findall(page.read_text()))
    assert named - settings - NO_SETTINGS == set()


def test_the_index_and_the_readme_name_every_guide() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    for guide in GUIDES:
        if guide.name == "README.md":
            continue
        assert f"({guide.name})" in index
        assert f"(docs/{guide.name})" in README.read_text()


def test_the_clients_variables_are_in_its_guides() -> None:
    guides = "".join((REPOSITORY / "docs" / name).read_text() for name in ("cli.md", "testing.md"))
    settings = {Settings.variable(name) for name in Settings.model_fields}
    assert CLIENT - settings <= set(VARIABLE.findall(guides))
