"""Two minutes of mixed calls on a real service: no wrong answer, no growth, nothing left."""

import sys

import pytest

from benchmarks.soak import Options, run
from benchmarks.verdict import Tolerance

# Few clients with pauses, for other tests run beside it; and no verdict on time, for the same.
OPTIONS = Options(
    seconds=120,
    clients=8,
    pause=0.4,
    interval=1.0,
    tolerance=Tolerance(p95_factor=None),
    server_settings={"fsync": "off"},
)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_minutes_of_calls_leave_the_service_as_it_was() -> None:
    report = run(OPTIONS)
    assert report.faults == []
    for window in report.windows:
        called = {"create", "describe", "modify", "list", "clone", "drop", "ddl", "dml", "wrong"}
        assert called <= set(window.latencies)
        assert window.connections > 0
        assert window.handles > window.connections
