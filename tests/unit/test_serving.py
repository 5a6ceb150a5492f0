"""How uvicorn is set up, and its workers replaced."""

import time

import pytest

from memory.cli.serving import _config
from memory.cli.workers import CALM_SECONDS, LONGEST_PAUSE_SECONDS, _Place


@pytest.mark.parametrize("gives_up_after", [5, 60], ids=["httpx", "gateways"])
def test_the_service_keeps_idle_connections_longer_than_its_clients(gives_up_after: int) -> None:
    assert _config(None).timeout_keep_alive > gives_up_after


def test_a_worker_that_keeps_ending_is_replaced_ever_more_slowly() -> None:
    place = _Place()
    assert place.is_due
    pauses: list[float] = []
    for _ in range(8):
        place.take()
        assert not place.is_due
        pauses.append(place.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_worker_that_has_lasted_is_replaced_at_once() -> None:
    place = _Place(started=time.monotonic() - CALM_SECONDS, pause=LONGEST_PAUSE_SECONDS)
    place.take()
    assert place.is_due
