"""Several workers, as an operator runs them: one scrape for all, traces from each."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.test_commands import PATIENCE, READY, Place, Serving, new_place, wait_until
from tests.otlp import Collector, collecting

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def place(collector: Collector) -> Iterator[Place]:
    """A folder that somebody else's counts must not reach either."""
    with new_place(
        PGTWIN_WORKERS="2",
        PGTWIN_OTLP_ENDPOINT=collector.url,
        PROMETHEUS_MULTIPROC_DIR="/nonexistent",
    ) as found:
        yield found


@pytest.fixture(scope="module")
def service(place: Place) -> Iterator[Serving]:
    with place.serving() as service:
        service.ready()
        wait_until(lambda: len(workers(service)) == 2)
        yield service


def workers(service: Serving) -> list[int]:
    """Those that have begun to count, by the folder that their environment names."""
    found = []
    for pid in service.processes:
        folder = shared_folder(pid)
        if folder and list(folder.glob(f"gauge_livesum_{pid}.db")):
            found.append(pid)
    return found


def shared_folder(pid: int) -> Path | None:
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = pair.decode().partition("=")
            if name == SHARED_FOLDER and "pgtwin-metrics-" in value:
                return Path(value)
    return None


def total(service: Serving, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    shown = httpx.get(f"{service.url}/metrics", timeout=30).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def asked(service: Serving, times: int) -> None:
    """Ask on a connection of its own each time, so that all workers get some."""
    with ThreadPoolExecutor(8) as pool:
        urls = [f"{service.url}/healthz"] * times
        assert {answer.status_code for answer in pool.map(httpx.get, urls)} == {200}


COUNTED = {"name": "pgtwin_http_requests_total", "route": "/healthz", "code": "0"}
LIMIT = {"name": "pgtwin_pool_connections_limit"}


def test_a_scrape_is_the_sum_over_the_workers(service: Serving) -> None:
    before = total(service, **COUNTED)
    asked(service, 60)
    # Whichever worker answers.
    assert {total(service, **COUNTED) for _ in range(10)} == {before + 60}
    counting = shared_folder(workers(service)[0])
    assert counting is not None
    assert len(list(counting.glob("counter_*.db"))) == 2
    wait_until(lambda: total(service, **LIMIT) == 80)
    assert total(service, "process_resident_memory_bytes") > 0


def test_of_a_killed_worker_the_counts_stay_and_the_gauges_vanish(service: Serving) -> None:
    before, [dead, other] = total(service, **COUNTED), workers(service)
    folder = shared_folder(other)
    assert folder is not None
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: len(set(workers(service)) - {dead}) == 2)
    wait_until(lambda: total(service, **LIMIT) == 80)
    assert list(folder.glob(f"gauge_live*_{dead}.db")) == []
    asked(service, 5)
    assert total(service, **COUNTED) == before + 5


def test_restarts_of_the_embedded_server_reach_every_worker(place: Place, service: Serving) -> None:
    assert total(service, "pgtwin_embedded_restarts_total") == 0
    server = place.postmaster or 0
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: place.postmaster not in (None, server))
    wait_until(lambda: total(service, "pgtwin_embedded_restarts_total") == 1)
    wait_until(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
    assert {total(service, "pgtwin_embedded_restarts_total") for _ in range(10)} == {1}


def test_at_the_end_all_spans_are_sent_and_nothing_is_left(
    service: Serving, collector: Collector
) -> None:
    sids = set()
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(httpx.get, [f"{service.url}/nowhere"] * 30):
            sids.add(answer.json()["sid"])
    folder = shared_folder(workers(service)[0])
    assert service.stop(signal.SIGTERM) == 0
    assert folder is not None
    assert not folder.exists()
    sent = {span.trace_id.hex() for span in collector.spans if span.name == "GET other"}
    assert len(sids) == 30
    assert sids <= sent
    assert "Traceback" not in service.errors()


def test_a_killed_service_leaves_no_folder_and_the_restarts_are_kept(place: Place) -> None:
    with place.serving() as again:
        again.ready()
        wait_until(lambda: len(workers(again)) == 2)
        assert total(again, "pgtwin_embedded_restarts_total") == 1
        folder = shared_folder(workers(again)[0])
        again.process.kill()
        again.process.wait()
        wait_until(lambda: again.processes == [])
    assert folder is not None
    assert not folder.exists()


def test_the_host_that_workers_judge_by_is_that_of_the_command(place: Place) -> None:
    """On another address than loopback `/metrics` is closed, whatever the environment says."""
    address = "0.0.0.0"  # noqa: S104 - what is tested
    words = ("serve", "--port", "0", "--host", address)
    public = place.command(*words, PGTWIN_HOST="127.0.0.1")
    try:
        assert public.stdout is not None
        printed = ""
        while READY not in printed and (line := public.stdout.readline()):
            printed += line
        port = printed.partition(f"http://{address}:")[2].partition("/")[0]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/metrics").status_code == 401
    finally:
        public.terminate()
        public.communicate(timeout=PATIENCE)
