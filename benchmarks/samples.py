"""What the service and PostgreSQL hold, read from /proc and from PostgreSQL's catalog."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

MEGABYTE = 2**20
_ACTIVITY = """
    SELECT count(*) FILTER (WHERE datname = current_database()
                              AND backend_type = 'client backend'
                              AND pid <> pg_backend_pid()) AS connections,
           array_agg(pid) AS processes,
           (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(prod|test)_') AS schemas,
           (SELECT count(*) FROM pg_roles) AS roles
    FROM pg_stat_activity
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        at: seconds of the monotonic clock.
        resident: bytes of each process of the service that lasts, by its id.
        handles: open file handles of each of them.
        connections: client connections to the control database, but for the watcher's own.
        private: bytes that PostgreSQL's processes have for themselves.
        schemas: of the databases handed out.
        roles: all of the server.
    """

    at: float
    resident: dict[int, int]
    handles: dict[int, int]
    connections: int
    private: int
    schemas: int
    roles: int


@dataclass(slots=True)
class Watcher:
    """Samples of a service's process group and of its PostgreSQL, taken at an interval.

    Args:
        group: process group of the service.
        interval: seconds between two samples.
    """

    group: int
    connection: asyncpg.Connection
    interval: float
    samples: list[Sample] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            self.samples.append(await self.look())
            await asyncio.sleep(self.interval)

    async def look(self) -> Sample:
        [row] = await self.connection.fetch(_ACTIVITY)
        service = _lasting(self.group)
        return Sample(
            at=time.monotonic(),
            resident={pid: _memory(pid, "VmRSS") for pid in service},
            handles={pid: _handles(pid) for pid in service},
            connections=row["connections"],
            private=sum(_memory(pid, "RssAnon") for pid in row["processes"]),
            schemas=row["schemas"],
            roles=row["roles"],
        )


def _lasting(group: int) -> list[int]:
    """The group's Python processes; the client programs of clones come and go."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            state, _parent, its_group = rest.split()[:3]
            if int(its_group) == group and state != "Z" and not name.startswith("pg_"):
                found.append(int(path.parent.name))
    return found


def _memory(pid: int, which: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) * 1024
    return 0


def _handles(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one kind of call within a window, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> "Latency":
        ordered = sorted(durations)

        def percentile(percent: int) -> float:
            return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

        return cls(len(ordered), percentile(50), percentile(95), percentile(99))


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run: the medians of its samples, and its calls.

    Attributes:
        start, end: seconds of the monotonic clock.
        resident: bytes of all processes of the service.
    """

    start: float
    end: float
    resident: float
    handles: float
    connections: float
    private: float
    schemas: float
    roles: float
    latencies: dict[str, Latency]

    @classmethod
    def of(
        cls,
        start: float,
        end: float,
        samples: Sequence[Sample],
        calls: Sequence[tuple[str, float, float]],
    ) -> "Window":
        """The part of all samples and calls that is within the window; it has samples."""
        within = [sample for sample in samples if start <= sample.at < end]
        durations: dict[str, list[float]] = {}
        for name, at, seconds in calls:
            if start <= at < end:
                durations.setdefault(name, []).append(seconds)
        return cls(
            start=start,
            end=end,
            resident=statistics.median(sum(each.resident.values()) for each in within),
            handles=statistics.median(sum(each.handles.values()) for each in within),
            connections=statistics.median(each.connections for each in within),
            private=statistics.median(each.private for each in within),
            schemas=statistics.median(each.schemas for each in within),
            roles=statistics.median(each.roles for each in within),
            latencies={name: Latency.of(found) for name, found in sorted(durations.items())},
        )
