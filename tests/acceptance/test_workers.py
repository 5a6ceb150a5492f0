"""Several workers, as an operator runs them: one scrape for all, traces from each."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.test_commands import (
    PATIENCE,
    READY,
    Outcome,
    Place,
    Serving,
    new_place,
    place_elsewhere,
    wait_until,
)
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
        yield service.ready()


def workers(service: Serving) -> list[int]:
    """Those that have begun to count, by the folder that their environment names."""
    found = []
    for pid in service.processes:
        folder = shared_folder(pid)
        if folder and list(folder.glob(f"gauge_livesum_{pid}.db")):
            found.append(pid)
    return found


def spawned(service: Serving) -> list[int]:
    """Those that have been started, however far they are."""
    found = []
    for pid in service.processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
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


@pytest.fixture
async def elsewhere(admin_url: str) -> AsyncIterator[Place]:
    async with place_elsewhere(admin_url) as place:
        yield place


@asynccontextmanager
async def limited_starts(place: Place, number: int) -> AsyncIterator[None]:
    """Meanwhile as many processes may start as is said, `serve` itself being the first."""
    # A sequence counts what is rolled back, too.
    connection = await asyncpg.connect(place.environment["PGTWIN_OWNER_URL"])
    await connection.execute(
        f"""
        CREATE SEQUENCE pgtwin.starts;
        CREATE FUNCTION pgtwin.limit_starts() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF NEW.holder NOT IN ('', OLD.holder) AND nextval('pgtwin.starts') > {number:d} THEN
                RAISE EXCEPTION 'no more than {number:d} may start';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER limit_starts BEFORE UPDATE ON pgtwin.instance_lease
        FOR EACH ROW EXECUTE FUNCTION pgtwin.limit_starts();
        """
    )
    try:
        yield
    finally:
        await connection.execute("DROP FUNCTION pgtwin.limit_starts() CASCADE")
        await connection.execute("DROP SEQUENCE pgtwin.starts")
        await connection.close()


COUNTED = {"name": "pgtwin_http_requests_total", "route": "/healthz", "code": "0"}
LIMIT = {"name": "pgtwin_pool_connections_limit"}


async def test_when_the_service_says_so_all_workers_are_ready(
    place: Place, service: Serving
) -> None:
    """The first of the tests on this service: each worker has leased a number to make ids with."""
    connection = await asyncpg.connect(place.superuser_url)
    leases = await connection.fetchval(
        "SELECT count(*) FROM pgtwin.instance_lease WHERE holder <> '' AND expires_at > now()"
    )
    await connection.close()
    assert leases == len(workers(service)) == 2


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


@pytest.mark.parametrize(
    ("number", "starts"), [("1", 1), ("2", 1), ("3", 3)], ids=["the only one", "all", "the last"]
)
async def test_a_worker_that_cannot_start_ends_the_service_in_one_line(
    elsewhere: Place, number: str, starts: int
) -> None:
    async with limited_starts(elsewhere, starts):
        words = ("serve", "--port", "0", "--workers", number)
        outcome = await asyncio.to_thread(lambda: Outcome.of(elsewhere.command(*words)))
    assert outcome.error == (
        f"pgtwind: The database operation failed: no more than {starts} may start\n"
    )
    assert READY not in outcome.output


async def test_a_worker_that_is_killed_before_it_serves_ends_the_service(elsewhere: Place) -> None:
    with elsewhere.serving(PGTWIN_WORKERS="2") as service:
        # One that has only begun to import what it needs.
        wait_until(lambda: bool(spawned(service)))
        os.kill(spawned(service)[0], signal.SIGKILL)
        assert service.process.wait(PATIENCE) == 1
        assert service.errors().startswith("pgtwind: a worker ended before it could serve")
        assert len(service.errors().splitlines()) == 1
        assert READY not in service.output()


async def test_a_worker_is_replaced_once_it_can_be_and_the_others_serve_on(
    elsewhere: Place,
) -> None:
    with elsewhere.serving(PGTWIN_WORKERS="2") as service:
        async with limited_starts(elsewhere, 3):
            [dead, other] = workers(service.ready())
            os.kill(dead, signal.SIGKILL)
            # The dead one, and two that were to replace it.
            wait_until(lambda: service.errors().count("no more than 3 may start") == 2)
            assert workers(service) == [other]
            asked(service, 5)
        wait_until(lambda: len(workers(service)) == 2)
        ended = [line for line in service.errors().splitlines() if "a worker ended" in line]
        assert len(ended) <= 4
        assert service.stop(signal.SIGTERM) == 0
