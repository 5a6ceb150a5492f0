"""The sample project, run as its people run it, and as it may go wrong for them."""

import shutil
from pathlib import Path

import pytest

from pgtwin import Client
from tests.client.plugin.project import Project

SHOP = Path(__file__).resolve().parents[2] / "samples" / "shop"
MIGRATION = """
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE product ADD COLUMN colour text")
"""


@pytest.fixture
def shop(project: Project) -> Project:
    (project.folder / "pytest.ini").unlink()
    shutil.copytree(
        SHOP, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    return project


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_its_tests_pass(shop: Project, client: Client, arguments: tuple[str, ...]) -> None:
    run = shop.test(*arguments)
    assert (run.code, run.counts) == (0, {"passed": 6}), run.text
    [template] = client.list_databases(include_dropped=True)
    assert template.name.startswith("template_")


def test_a_migration_makes_another_template(shop: Project, client: Client) -> None:
    assert shop.test("-k", "stock").code == 0
    shop.write("migrations/versions/0003_colour.py", MIGRATION)
    run = shop.test("-n", "2")
    # The models don't know of it.
    assert (run.counts["failed"], run.counts["passed"]) == (1, 5), run.text
    assert "remove_column" in run.text
    kept = [each for each in client.list_databases() if each.name.startswith("test_")]
    assert [f"{each.name} ({each.id}) tests/test_migrations.py::" in run.text for each in kept] == [
        True
    ]
    assert "colour" in client.get_ddl(kept[0].id)


def test_a_broken_migration_is_told_as_alembic_tells_it(shop: Project, client: Client) -> None:
    shop.write("migrations/versions/0003_colour.py", MIGRATION.replace("product", "produce"))
    run = shop.test()
    assert run.counts["error"] == 6, run.text
    assert 'relation "produce" does not exist' in run.text
    assert list(client.list_databases(include_dropped=True)) == []
