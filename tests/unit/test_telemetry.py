import json
import logging
from collections.abc import Iterator

import pytest

from core.settings import Settings
from core.telemetry import (
    RequestContext,
    configure_logs,
    current_sid,
    enter_request,
    leave_request,
    logger,
    new_sid,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


def test_the_sid_is_the_trace_id_of_a_traceparent() -> None:
    assert new_sid(f"00-{TRACE}-b7ad6b7169203331-01") == TRACE


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}\n-b7ad6b7169203331-01"],
)
def test_an_unusable_traceparent_gives_a_random_sid(header: str) -> None:
    first, second = new_sid(header), new_sid(header)
    assert first != second
    assert len(first) == 32
    assert first != TRACE


def test_the_sid_is_the_requests_inside_of_one() -> None:
    token = enter_request(RequestContext(sid="abc"))
    assert current_sid() == "abc"
    leave_request(token)
    assert current_sid() != "abc"


@pytest.mark.usefixtures("_own_logging")
def test_log_lines_are_json_with_the_requests_sid_and_uid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(Settings(log_format="json"))
    token = enter_request(RequestContext(sid="abc", uid="alice"))
    logger("pgtwin.test").info("happened", number=3)
    logging.getLogger("some.library").warning("of a library")
    leave_request(token)
    own, foreign = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert own["event"] == "happened"
    assert (own["sid"], own["uid"], own["number"], own["level"]) == ("abc", "alice", 3, "info")
    assert (foreign["event"], foreign["sid"]) == ("of a library", "abc")


@pytest.mark.parametrize("log_format", ["human", "json"])
@pytest.mark.usefixtures("_own_logging")
def test_a_traceback_shows_no_local_variable(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(Settings(log_format=log_format))

    def fails() -> None:
        hidden = "".join(["not", "-", "to", "-", "be", "-", "seen"])
        raise ValueError(len(hidden))

    try:
        fails()
    except ValueError as error:
        logger("pgtwin.traceback").error("failed", exc_info=error)
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "not-to-be-seen" not in shown
