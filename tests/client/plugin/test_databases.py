"""A database for each test: made, given, dropped or kept."""

import os
import re
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from pgtwin import Client, models
from tests.acceptance.test_commands import wait_until
from tests.client.plugin.project import Project

FAILING = """
    def test_bad(pgtwin_database):
        pgtwin_database.client.exec_ddl(pgtwin_database.id, "CREATE TABLE item (name text)")
        pgtwin_database.client.exec_dml(pgtwin_database.id, "INSERT INTO item VALUES ('tea')")
        with open("url", "w") as file:
            file.write(pgtwin_database.url)
        assert 1 == 2

    def test_good(pgtwin_database):
        pass
"""
# Which of them are there, and why one is.
FATES = """
    import pytest

    @pytest.fixture
    def breaks_before(pgtwin_database):
        raise RuntimeError("before")

    @pytest.fixture
    def breaks_after(pgtwin_database):
        yield
        raise RuntimeError("after")

    def test_before(breaks_before):
        pass

    def test_after(breaks_after):
        pass

    @pytest.mark.xfail(strict=True)
    def test_expected(pgtwin_database):
        assert False

    def test_skipped(pgtwin_database):
        pytest.skip("in the middle")

    def test_good(pgtwin_database):
        pass
"""


def databases(client: Client) -> list[models.Database]:
    return list(client.list_databases(include_dropped=True))


def owners(client: Client) -> set[str]:
    """The tests whose databases are there."""
    return {(each.labels or {})["pytest/test"].rpartition("::")[2] for each in databases(client)}


def test_each_test_has_one_of_its_own_that_is_gone_afterwards(
    project: Project, client: Client
) -> None:
    project.write(
        "test_it.py",
        """
        import asyncpg, psycopg, pytest, sqlalchemy
        from sqlalchemy.ext.asyncio import create_async_engine

        def note(database):
            with open("names", "a") as file:
                print(database.name, file=file)

        def test_drivers(pgtwin_database):
            note(pgtwin_database)
            with psycopg.connect(pgtwin_database.url) as connection:
                connection.execute("CREATE TABLE item (id int)")
            engine = sqlalchemy.create_engine(pgtwin_database.sqlalchemy_url())
            assert sqlalchemy.inspect(engine).get_table_names() == ["item"]
            # An engine that is not disposed of keeps no database from being dropped.
            connection = engine.connect()
            connection.exec_driver_sql("INSERT INTO item VALUES (1)")

        def test_no_other_is_seen(pgtwin_database):
            note(pgtwin_database)
            found = pgtwin_database.client.get_database(pgtwin_database.id)
            assert (found.name, found.labels["pytest/test"]) == (
                pgtwin_database.name, "test_it.py::test_no_other_is_seen")
            assert [each.tables for each in found.schemas] == [0, 0]
            assert found.expires_at is not None

        async def test_async(pgtwin_database):
            note(pgtwin_database)
            connection = await asyncpg.connect(pgtwin_database.url)
            assert (await connection.fetchval("SELECT current_schema")).startswith("prod_")
            await connection.close()
            engine = create_async_engine(pgtwin_database.sqlalchemy_url("asyncpg", env="test"))
            async with engine.connect() as connection:
                schema = (await connection.exec_driver_sql("SELECT current_schema")).scalar()
            assert schema.startswith("test_")
            await engine.dispose()

        def test_dropped_by_the_test_itself(pgtwin_database):
            pgtwin_database.client.drop_database(pgtwin_database.id, purge=True)
        """,
    )
    run = project.test("-W", "ignore::ResourceWarning")
    assert (run.code, run.counts) == (0, {"passed": 4}), run.text
    assert len(set(project.read("names"))) == 3
    assert databases(client) == []


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_a_failed_tests_is_kept_and_named(
    project: Project, client: Client, arguments: tuple[str, ...]
) -> None:
    import psycopg

    project.write("test_it.py", FAILING)
    run = project.test(*arguments)
    assert (run.counts["failed"], run.counts["passed"]) == (1, 1), run.text
    [kept] = databases(client)
    assert kept.expires_at is not None
    left = kept.expires_at - datetime.now(UTC)
    assert timedelta(hours=23) < left < timedelta(hours=25)
    name = f"{kept.name} ({kept.id})"
    assert f"the database {name} is kept until " in run.text
    assert f"  pgtwin psql {kept.id}\n" in run.text
    assert f"{name} test_it.py::test_bad\n" in run.text
    assert client.exec_dml(kept.id, "SELECT name FROM item").rows == [{"name": "tea"}]
    # What the test logged in with is over, and its password was shown to nobody.
    [url] = project.read("url")
    assert re.split("[:@]", url)[2] not in run.text
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(url)
    client.drop_databases({"pytest/test": "test_it.py::test_bad"}, purge=True)
    assert databases(client) == []


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("failed", {"test_before", "test_after"}),
        ("none", set()),
        ("all", {"test_before", "test_after", "test_expected", "test_skipped", "test_good"}),
    ],
)
def test_which_are_kept(project: Project, client: Client, keep: str, left: set[str]) -> None:
    project.write("test_it.py", FATES)
    run = project.test(f"--pgtwin-keep={keep}")
    assert run.counts["error"] == 2, run.text
    assert owners(client) == left
    assert run.text.count("is kept until") == (0 if keep == "none" else 2), run.text
    assert run.text.count("::test_good\n") == (keep == "all"), run.text


def test_how_long_and_of_which_environment_is_set(project: Project, client: Client) -> None:
    project.configure("pgtwin_env = test", "pgtwin_ttl = 60", "pgtwin_keep_ttl = 100")
    project.write(
        "test_it.py",
        """
        from datetime import UTC, datetime

        def test_it(pgtwin_database):
            assert pgtwin_database.env == "test"
            found = pgtwin_database.client.get_database(pgtwin_database.id)
            assert 30 < (found.expires_at - datetime.now(UTC)).total_seconds() <= 60
            assert False, "in the end"
        """,
    )
    assert "in the end" in project.test().text
    [kept] = databases(client)
    assert kept.expires_at is not None
    assert 60 < (kept.expires_at - datetime.now(UTC)).total_seconds() <= 100
    for line in ("pgtwin_env = live", "pgtwin_ttl = soon"):
        project.configure(line)
        assert f"\n{line}: it is " in project.test().text


def test_an_interrupted_runs_are_dropped(project: Project, client: Client) -> None:
    project.write(
        "test_it.py",
        """
        import os, signal

        def test_it(pgtwin_database):
            os.kill(os.getpid(), signal.SIGINT)
        """,
    )
    run = project.test()
    assert "KeyboardInterrupt" in run.text
    assert databases(client) == []


def test_a_killed_runs_are_dropped_when_they_expire(project: Project, client: Client) -> None:
    project.configure("pgtwin_ttl = 4")
    project.write(
        "test_it.py",
        """
        import time, psycopg

        def test_it(pgtwin_database):
            with psycopg.connect(pgtwin_database.url):
                open("waits", "w").close()
                time.sleep(600)
        """,
    )
    started = project.start()
    wait_until((project.folder / "waits").exists)
    assert len(databases(client)) == 1
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    begun = time.monotonic()
    wait_until(lambda: databases(client) == [])
    assert time.monotonic() - begun < 8


def test_a_killed_workers_tests_go_on(project: Project, client: Client) -> None:
    project.configure("pgtwin_ttl = 4")
    project.write(
        "test_it.py",
        """
        import os, pytest

        def test_killed(pgtwin_database):
            os._exit(1)

        @pytest.mark.parametrize("n", range(6))
        def test_it(pgtwin_database, n):
            pass
        """,
    )
    run = project.test("-n", "2")
    assert (run.counts["failed"], run.counts["passed"]) == (1, 6), run.text
    assert owners(client) <= {"test_killed"}
    wait_until(lambda: databases(client) == [])


def test_a_project_that_uses_none_pays_for_none(project: Project) -> None:
    project.environment["PGTWIN_URL"] = "http://127.0.0.1:9"
    project.write(
        "test_it.py",
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("pgtwin")
            for name in ("httpx", "pgtwin.errors", "pgtwin.testing.session"):
                assert name not in sys.modules
        """,
    )
    run = project.test()
    assert run.code == 0, run.text


def test_without_a_service_one_line_says_what_to_do(project: Project) -> None:
    project.write("test_it.py", "def test_it(pgtwin_database):\n    pass\n")
    key = project.environment["PGTWIN_KEY"]
    url = project.environment["PGTWIN_URL"]
    for changed, line in (
        ({"PGTWIN_KEY": key[:-4] + "0000"}, f"pgtwin at {url}: "),
        ({"PGTWIN_KEY": ""}, f"PGTWIN_KEY is not set, for the pgtwin service at {url}"),
        ({"PGTWIN_URL": "http://127.0.0.1:9"}, "pgtwin at http://127.0.0.1:9: no answer from "),
    ):
        given = dict(project.environment)
        project.environment |= changed
        run = project.test("--tb=short")
        project.environment = given
        assert run.counts["error"] == 1, run.text
        assert re.findall(rf"^{re.escape(line)}.*$", run.text, re.MULTILINE), run.text
        said = run.text.partition("ERROR at setup of test_it")[2].partition("= short test summary")[
            0
        ]
        assert len(said.splitlines()) == 3, said
