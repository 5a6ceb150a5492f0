"""What a soak takes for growth, on made-up figures."""

from dataclasses import replace

import pytest

from benchmarks.samples import MEGABYTE, Latency, Sample, Window
from benchmarks.verdict import Tolerance, growth, left_behind, windows

ALLOWED = Tolerance()
FIRST = Window(
    start=0,
    end=600,
    resident=100.0 * MEGABYTE,
    handles=70,
    connections=30,
    private=150.0 * MEGABYTE,
    schemas=240,
    roles=600,
    latencies={"list": Latency(1000, 0.02, 0.1, 0.2), "clone": Latency(5, 1.0, 1.0, 1.0)},
)
LAST = replace(FIRST, start=1200, end=1800)
REST = Sample(at=0, resident={}, handles={}, connections=20, private=0, schemas=0, roles=9)


def faults(last: Window, workers: int = 1) -> list[str]:
    return list(growth(FIRST, last, workers, ALLOWED))


def test_nothing_is_said_of_a_service_that_stays_as_it_was() -> None:
    assert faults(LAST) == []
    assert faults(replace(LAST, resident=107.0 * MEGABYTE)) == []


@pytest.mark.parametrize(
    ("last", "what"),
    [
        (replace(LAST, resident=108.0 * MEGABYTE), "memory of the service"),
        (replace(LAST, private=300.0 * MEGABYTE), "memory of PostgreSQL"),
        (replace(LAST, handles=90), "file handles"),
        (replace(LAST, latencies={"list": Latency(1000, 0.02, 0.31, 0.4)}), "p95 of list"),
    ],
)
def test_each_kind_of_growth_is_named(last: Window, what: str) -> None:
    [fault] = faults(last)
    assert fault.startswith(what)


def test_connections_that_the_load_opens_are_no_growth() -> None:
    assert faults(replace(LAST, connections=60, handles=100, private=300.0 * MEGABYTE)) == []


def test_more_workers_may_take_more() -> None:
    assert faults(replace(LAST, resident=108.0 * MEGABYTE, handles=90), workers=2) == []


def test_a_few_calls_have_no_percentile() -> None:
    assert faults(replace(LAST, latencies={"clone": Latency(5, 9.0, 9.0, 9.0)})) == []


def test_what_is_left_behind_is_named() -> None:
    assert list(left_behind(REST, REST, 20, ALLOWED)) == []
    after = replace(REST, schemas=2, roles=14, connections=23)
    found = [line.partition(":")[0] for line in left_behind(REST, after, 20, ALLOWED)]
    assert found == ["schemas", "roles", "connections"]


def test_windows_leave_out_the_warm_up() -> None:
    samples = [
        Sample(at, {1: at}, {1: 3}, connections=5, private=0, schemas=0, roles=0)
        for at in range(400)
    ]
    calls = [("list", float(at), at / 1000) for at in range(400)]
    found = windows(0, 400, samples, calls)
    assert [(each.start, each.end) for each in found] == [(100, 200), (200, 300), (300, 400)]
    assert [each.resident for each in found] == [149.5, 249.5, 349.5]
    assert found[0].latencies["list"] == Latency(100, 0.15, 0.195, 0.199)
