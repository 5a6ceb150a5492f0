"""What pytest loads: fixtures, and what becomes of a test's database."""

import sys
import uuid
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pgtwin.testing import options

if TYPE_CHECKING:
    from pgtwin import Client
    from pgtwin.testing.databases import Database
    from pgtwin.testing.outcome import Made
    from pgtwin.testing.session import Session
    from pgtwin.testing.templates import Build, Part, Template

SECTION, PROPERTY = "pgtwin", "pgtwin_database_kept"
_session: "pytest.StashKey[Session]" = pytest.StashKey()
_made: "pytest.StashKey[Made]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.fixture(scope="session")
def _pgtwin_session(pytestconfig: pytest.Config) -> "Session":
    from pgtwin.testing.service import ServiceMissing
    from pgtwin.testing.session import Misconfigured, Options, Session

    # What the processes of a run have in common, with pytest-xdist.
    worker: dict[str, Any] = getattr(pytestconfig, "workerinput", {})
    wanted = Options(
        url=pytestconfig.getoption("pgtwin_url"),
        folder=pytestconfig.getoption("pgtwin_folder"),
        run=worker.get("testrunuid") or uuid.uuid4().hex,
        env=pytestconfig.getini("pgtwin_env"),
        ttl=pytestconfig.getini("pgtwin_ttl"),
        keep_ttl=pytestconfig.getini("pgtwin_keep_ttl"),
        connection_limit=pytestconfig.getini("pgtwin_connection_limit"),
        root=pytestconfig.rootpath,
        rebuild=pytestconfig.getoption("pgtwin_rebuild"),
    )
    try:
        session = Session(wanted)
    except (ServiceMissing, Misconfigured) as error:
        failure = str(error)
    else:
        # Not ended with the fixture: a test's database is seen to when all fixtures have ended.
        pytestconfig.stash[_session] = session
        return session
    # Within the handler, pytest would show all that led to it.
    pytest.fail(failure, pytrace=False)


@pytest.fixture(scope="session")
def pgtwin_client(_pgtwin_session: "Session") -> "Client":
    """A client of the service that the run's databases are made on."""
    return _pgtwin_session.client


@pytest.fixture(scope="session")
def pgtwin_template_key(pytestconfig: pytest.Config) -> "Part | list[Part]":
    """What the template is made of; a project may give texts, bytes and paths of its own."""
    found: list[Part] = []
    base = pytestconfig.inipath.parent if pytestconfig.inipath else pytestconfig.rootpath
    for pattern in pytestconfig.getini("pgtwin_template_files"):
        paths = sorted(base.glob(pattern))
        if not paths:
            pytest.fail(f"pgtwin_template_files: there is no {pattern} in {base}", pytrace=False)
        found += paths
    return found


@pytest.fixture(scope="session")
def pgtwin_build_template() -> "Build | None":
    """How the template is made: a project gives a function of the database to make it in."""
    return None


# Made once, whatever its scope: a fixture of the session's would not see that a module has a
# pgtwin_build_template of its own.
@pytest.fixture
def pgtwin_template(
    pytestconfig: pytest.Config,
    request: pytest.FixtureRequest,
    pgtwin_build_template: "Build | None",
    pgtwin_template_key: "Part | list[Part]",
) -> "Template | None":
    """The database that each test gets a copy of; None: there is none."""
    if pgtwin_build_template is None:
        return None
    if not pgtwin_template_key:
        pytest.fail(
            "nothing says what the template is made of: set pgtwin_template_files, or override "
            "the fixture pgtwin_template_key",
            pytrace=False,
        )
    session: Session = request.getfixturevalue("_pgtwin_session")
    return session.templates.get(pgtwin_template_key, pgtwin_build_template)


@pytest.fixture
def pgtwin_database(
    request: pytest.FixtureRequest, _pgtwin_session: "Session", pgtwin_template: "Template | None"
) -> "Database":
    """A database of the test's own, dropped after it unless it fails."""
    from pgtwin.testing.outcome import Made

    database = _pgtwin_session.databases.make(request.node.nodeid, pgtwin_template)
    request.node.stash[_made] = Made(_pgtwin_session, database)
    return database


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    made = item.stash.get(_made, None)
    if made is None or not report.failed:
        return report
    if item.config.getoption("pgtwin_keep") != "none":
        _keep(item, made)
    if made.told:
        report.sections.append((SECTION, made.told))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    keep = item.config.getoption("pgtwin_keep")
    try:
        result = yield
    except Exception:
        made = item.stash.get(_made, None)
        if made is not None:
            if keep != "none":
                _keep(item, made)
            made.end()
        raise
    made = item.stash.get(_made, None)
    if made is not None:
        if keep == "all":
            _keep(item, made)
        made.end()
    return result


def _keep(item: pytest.Item, made: "Made") -> None:
    if made.keep():
        item.user_properties.append((PROPERTY, made.name))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    kept = {
        (report.nodeid, value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY
    }
    if kept:
        terminalreporter.section("pgtwin: databases kept")
        for test, name in sorted(kept):
            terminalreporter.write_line(f"{name} {test}")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    ours = session.config.stash.get(_session, None)
    if ours is not None:
        from pgtwin import PgtwinError

        try:
            ours.close()
        except PgtwinError as error:
            print(f"pgtwin: databases are left until they expire: {error}", file=sys.stderr)
    return result
