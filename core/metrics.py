"""What the service counts, as Prometheus reads it; over several workers, their sum."""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# prometheus-client looks for it when it is imported; `pgtwind serve` sets it for its workers.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
OPERATION_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
# What becomes of a database that is due.
REAPED = ("expired", "purged", "failed")
Read = Callable[[], float]


class CacheMeter:
    """The hits and misses of one cache, its label values looked up once."""

    def __init__(self, hits: Counter, misses: Counter, name: str) -> None:
        self.hit = hits.labels(name).inc
        self.miss = misses.labels(name).inc


class _Values(CollectorRegistry):
    """Values that are read at a scrape, beside those that are counted."""

    def __init__(self, values: Iterable[Metric]) -> None:
        super().__init__()
        self._values = list(values)
        self.register(self)

    def collect(self) -> Iterable[Metric]:
        return self._values


class Metrics:
    """One a process. Labels hold no uid, id, name or key: their values are few.

    Gauges are read, not pushed: at a scrape, and where workers share a folder also by
    `refresh` now and then, as no worker can look into another.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._shared = os.environ.get(SHARED_FOLDER)
        self._registry = CollectorRegistry()
        self._refreshing = threading.Lock()
        self._reads: list[tuple[Callable[[float], None], Read]] = []
        self._children: dict[tuple[str, str, int], tuple[Callable[[], None], _Observe]] = {}
        self._requests = self._counter(
            "pgtwin_http_requests", "Requests that were answered.", "route", "method", "code"
        )
        self._request_seconds = self._histogram(
            "pgtwin_http_request_seconds", "Seconds to the whole answer.", REQUEST_SECONDS, "route"
        )
        self.reruns = self._counter(
            "pgtwin_transaction_reruns", "Transactions run again after a conflict."
        )
        self.pool_wait = self._histogram(
            "pgtwin_pool_wait_seconds",
            "Seconds until a connection was there, opening one included.",
            REQUEST_SECONDS,
        )
        self._operations = self._counter(
            "pgtwin_operation_runs", "Operations that were worked on.", "kind", "outcome"
        )
        self._operation_seconds = self._histogram(
            "pgtwin_operation_seconds", "Seconds of that work.", OPERATION_SECONDS, "kind"
        )
        self._reaped = self._counter(
            "pgtwin_reaper_databases", "Databases that the reaper dealt with.", "outcome"
        )
        for outcome in REAPED:
            self._reaped.labels(outcome)
        self._hits = self._counter("pgtwin_cache_hits", "Answers from a cache.", "cache")
        self._misses = self._counter("pgtwin_cache_misses", "Answers not in a cache.", "cache")
        self._entries = self._gauge("pgtwin_cache_entries", "Entries of a cache.", "sum", "cache")
        self._process_meters = self._of_process()

    @property
    def is_shared(self) -> bool:
        """Whether several workers count together."""
        return self._shared is not None

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: the route's template; one value for all that has none.
            code: the envelope's.
        """
        key = (route, method, code)
        found = self._children.get(key)
        if found is None:
            counted = self._requests.labels(route, method, str(code))
            found = counted.inc, self._request_seconds.labels(route).observe
            self._children[key] = found
        found[0]()
        found[1](seconds)

    def operation(self, kind: str, outcome: str, seconds: float) -> None:
        """Count that an operation was worked on.

        Args:
            outcome: `returned`, `failed` or `interrupted`.
        """
        self._operations.labels(kind, outcome).inc()
        self._operation_seconds.labels(kind).observe(seconds)

    def reaped(self, outcome: str) -> None:
        """Count a database that the reaper dealt with.

        Args:
            outcome: `expired`, `purged` or `failed`.
        """
        self._reaped.labels(outcome).inc()

    def cache(self, name: str, entries: Read) -> CacheMeter:
        """Make a cache's meter.

        Args:
            name: the value of the label `cache`.
            entries: gives how many entries the cache has in this process.
        """
        self._read(self._entries.labels(name).set, entries)
        return CacheMeter(self._hits, self._misses, name)

    def pool(self, limit: Read, in_use: Read, waiting: Read) -> None:
        """Take a pool's numbers of connections from now on."""
        meters = {
            "limit": ("Connections that the pool may open.", limit),
            "in_use": ("Connections of the pool that are in use.", in_use),
            "waiting": ("Transactions that wait for a connection.", waiting),
        }
        for name, (meaning, read) in meters.items():
            gauge = self._gauge(f"pgtwin_pool_connections_{name}", meaning, "sum")
            self._read(gauge.set, read)

    def sessions(self, in_use: Read, waiting: Read) -> None:
        """Take the numbers of sessions in databases from now on."""
        meters = {
            "in_use": ("Sessions in databases that are in use.", in_use),
            "waiting": ("Calls that wait for a session in a database.", waiting),
        }
        for name, (meaning, read) in meters.items():
            self._read(self._gauge(f"pgtwin_sessions_{name}", meaning, "sum").set, read)

    def ids(self, issued: Read) -> None:
        """Take the number of ids handed out from now on."""
        counter = self._counter("pgtwin_ids", "Ids that were handed out.")
        self._read(_rising(counter), issued)

    def refresh(self) -> None:
        """Read the gauges of this process."""
        with self._refreshing:
            for meter, read in self._reads:
                meter(read())
            for metric in ProcessCollector(registry=None).collect():
                for sample in metric.samples:
                    self._process_meters[sample.name](sample.value)

    def render(self, values: Iterable[Metric]) -> bytes:
        """The text that Prometheus reads; with many routes and workers it takes milliseconds.

        Args:
            values: what is the same for all workers, and read for this scrape.
        """
        self.refresh()
        registry: CollectorRegistry = self._registry
        if self._shared is not None:
            _forget_the_dead(Path(self._shared))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry) + generate_latest(_Values(values))

    def _read(self, meter: Callable[[float], None], read: Read) -> None:
        self._reads.append((meter, read))

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, meaning: str, over_workers: str, *labels: str) -> Gauge:
        """`over_workers`: sum, min or max of those that live."""
        return Gauge(
            name,
            meaning,
            labels,
            registry=self._registry,
            multiprocess_mode=f"live{over_workers}",  # type: ignore[arg-type]
        )

    def _of_process(self) -> dict[str, Callable[[float], None]]:
        """The usual process metrics; those of the library know one process only."""
        over_workers = {
            "process_resident_memory_bytes": ("Resident memory.", "sum"),
            "process_virtual_memory_bytes": ("Virtual memory.", "sum"),
            "process_open_fds": ("Open file descriptors.", "sum"),
            "process_max_fds": ("File descriptors that a process may open.", "min"),
            "process_start_time_seconds": ("Unix time of the oldest worker's start.", "min"),
        }
        meters: dict[str, Callable[[float], None]] = {
            name: self._gauge(name, meaning, how).set
            for name, (meaning, how) in over_workers.items()
        }
        cpu = self._counter("process_cpu_seconds", "Seconds of CPU that were spent.")
        return meters | {"process_cpu_seconds_total": _rising(cpu)}


_Observe = Callable[[float], None]


def _rising(counter: Counter) -> Callable[[float], None]:
    """Sets a counter to what is counted elsewhere."""
    last = 0.0

    def rise(value: float) -> None:
        nonlocal last
        counter.inc(max(0.0, value - last))
        last = value

    return rise


def _forget_the_dead(folder: Path) -> None:
    """Let the gauges of workers vanish that ended, however they did; their counts stay."""
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
