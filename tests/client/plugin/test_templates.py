"""Templates: made once by whoever comes first, and made anew when they are of another making."""

import os
import signal
import time

import pytest

from pgtwin import Client, models
from tests.acceptance.test_commands import wait_until
from tests.client.plugin.project import Project

MODELS = "CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1, 'tea')"
CONFTEST = """
    from pathlib import Path
    import psycopg, pytest

    @pytest.fixture(scope="session")
    def pgtwin_build_template():
        def build(database):
            with open("builds", "a") as file:
                print(database.name, file=file)
            with psycopg.connect(database.url) as connection:
                connection.execute(Path("models.sql").read_text())
        return build
"""
TESTS = """
    import psycopg, pytest

    @pytest.mark.parametrize("n", range(4))
    def test_it(pgtwin_database, pgtwin_template, n):
        assert pgtwin_database.id != pgtwin_template.id
        with psycopg.connect(pgtwin_database.url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM item").fetchall()
            assert count == 1
            connection.execute("INSERT INTO item VALUES (2, 'oil')")
"""


@pytest.fixture
def project(project: Project) -> Project:
    """One whose tests have a template."""
    project.configure("pgtwin_template_files = models.sql")
    project.write("models.sql", MODELS)
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", TESTS)
    return project


def templates(client: Client) -> list[models.Database]:
    return list(client.list_databases(labels=["pytest/template"], include_dropped=True))


def test_it_is_made_once_for_all_runs_and_workers(project: Project, client: Client) -> None:
    for arguments in [("-n", "2"), (), ("-n", "2")]:
        run = project.test(*arguments)
        assert (run.code, run.counts["passed"]) == (0, 4), run.text
    [template] = client.list_databases(include_dropped=True)
    assert project.read("builds") == [template.name]
    assert template.labels is not None
    assert template.labels["pytest/state"] == "ready"
    # The other environment, which nobody has filled, is not copied.
    assert template.labels["pytest/env"] == "prod"
    # Nobody can log into it any more.
    [connection] = client.list_connections(template.id)
    assert connection.status == "revoked"


@pytest.mark.parametrize("changed", ["models.sql", "conftest.py"])
def test_it_is_made_anew_when_what_it_is_made_of_changes(
    project: Project, client: Client, changed: str
) -> None:
    assert project.test().code == 0
    before = (project.folder / changed).read_text()
    after = before.replace("name text", "name varchar").replace("print(", "print(1 and ")
    assert after != before
    project.write(changed, after)
    assert project.test().code == 0
    assert len(set(project.read("builds"))) == 2
    project.write(changed, before)
    assert project.test().code == 0
    assert len(project.read("builds")) == 2
    assert len(templates(client)) == 2


def test_it_can_be_made_anew_on_request(project: Project, client: Client) -> None:
    assert project.test().code == 0
    [before] = templates(client)
    assert project.test("--pgtwin-rebuild", "-n", "2").code == 0
    [after] = templates(client)
    assert after.name == before.name
    assert after.id != before.id
    assert len(project.read("builds")) == 2


def test_folders_and_patterns_count_without_what_python_makes(project: Project) -> None:
    project.configure("pgtwin_template_files = migrations m*.sql")
    project.write("migrations/deep/one.sql", "SELECT 1")
    assert project.test().code == 0
    project.write("migrations/__pycache__/one.pyc", "1")
    assert project.test().code == 0
    assert len(project.read("builds")) == 1
    project.write("migrations/deep/two.sql", "SELECT 1")
    assert project.test().code == 0
    (project.folder / "migrations/deep/two.sql").rename(project.folder / "migrations/two.sql")
    assert project.test().code == 0
    assert len(set(project.read("builds"))) == 3


def test_one_that_fails_leaves_nothing(project: Project, client: Client) -> None:
    project.write("models.sql", "CREATE TABLE item (id int); SELECT 1 / 0")
    run = project.test("-n", "2")
    assert run.counts["error"] == 4, run.text
    assert "division by zero" in run.text
    assert list(client.list_databases(include_dropped=True)) == []
    project.write("models.sql", MODELS)
    assert project.test().code == 0


def test_what_a_killed_builder_has_left_is_not_used(project: Project, client: Client) -> None:
    project.write(
        "conftest.py",
        """
        import os, psycopg, pytest, time
        from pathlib import Path

        @pytest.fixture(scope="session")
        def pgtwin_build_template():
            def build(database):
                with psycopg.connect(database.url, autocommit=True) as connection:
                    if not os.path.exists("waits"):
                        connection.execute("CREATE TABLE half (id int)")
                        open("waits", "w").close()
                        time.sleep(600)
                    connection.execute(Path("models.sql").read_text())
            return build
        """,
    )
    killed = project.start()
    wait_until((project.folder / "waits").exists)
    [half] = templates(client)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    begun = time.monotonic()
    run = project.test("-n", "2")
    assert (run.code, run.counts["passed"]) == (0, 4), run.text
    # A lease of 15 seconds, and the reaper.
    assert time.monotonic() - begun < 25
    [whole] = templates(client)
    assert whole.name == half.name
    assert whole.id != half.id


def test_a_slow_builder_keeps_its_place(project: Project, client: Client) -> None:
    project.write(
        "conftest.py",
        CONFTEST.replace("psycopg.connect", "__import__('time').sleep(20) or psycopg.connect"),
    )
    run = project.test("-n", "2")
    assert (run.code, run.counts["passed"]) == (0, 4), run.text
    assert len(project.read("builds")) == 1


def test_tests_may_have_one_of_their_own_or_none(project: Project, client: Client) -> None:
    project.write(
        "test_other.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def pgtwin_template_key():
            return [b"other", "models"]

        @pytest.fixture(scope="session")
        def pgtwin_build_template():
            return lambda database: database.client.exec_ddl(
                database.id, "CREATE TABLE other (id int)")

        def test_it(pgtwin_database):
            client = pgtwin_database.client
            for env in ("prod", "test"):
                found = client.get_schema(pgtwin_database.id, env=env)
                assert [each["name"] for each in found["tables"]] == ["other"]
        """,
    )
    project.write(
        "test_none.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def pgtwin_build_template():
            return None

        def test_it(pgtwin_database, pgtwin_template):
            assert pgtwin_template is None
            found = pgtwin_database.client.get_schema(pgtwin_database.id)
            assert found["tables"] == []
        """,
    )
    run = project.test()
    assert (run.code, run.counts["passed"]) == (0, 6), run.text
    assert len(templates(client)) == 2


def test_one_of_which_nothing_is_known_is_refused(project: Project) -> None:
    project.configure()
    run = project.test()
    assert run.counts["error"] == 4
    assert "\nnothing says what the template is made of: set pgtwin_template_files" in run.text
    project.configure("pgtwin_template_files = models.sql nowhere/*.sql")
    run = project.test()
    assert "\npgtwin_template_files: there is no nowhere/*.sql in " in run.text
