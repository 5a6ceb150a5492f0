"""Whether a soak has found growth: the last window against the first after the warm-up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.samples import MEGABYTE, Sample, Window

WARM_UP = 0.25
LONGEST_WARM_UP = 300.0
WINDOWS = 3
# Fewer calls have no percentile worth a comparison.
ENOUGH_CALLS = 40


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much more the last window may show than the first.

    Memory may grow at a rate, and by what an allocator or a cache does however short the run.
    Connections come and go with the load as the pools allow, and file handles with them: what
    is judged is handles beyond connections, and connections once the clients have gone.

    Attributes:
        resident_rate: megabytes an hour, of a worker of the service.
        resident_noise: megabytes, of a worker.
        private_rate, private_noise: the same, of PostgreSQL for each connection.
        handles: how many more, of a worker, that are not connections to PostgreSQL.
        idle_connections: how many more than the pools keep, once the clients have gone.
        p95_factor: of the 95th percentile of each kind of call; None: latency is not judged.
        p95_noise: seconds above that.
    """

    resident_rate: float = 5.0
    resident_noise: float = 6.0
    private_rate: float = 4.0
    private_noise: float = 2.0
    handles: int = 12
    idle_connections: int = 2
    p95_factor: float | None = 2.0
    p95_noise: float = 0.1


def windows(
    start: float,
    end: float,
    samples: Sequence[Sample],
    calls: Sequence[tuple[str, float, float]],
) -> list[Window]:
    """The run after its warm-up (a quarter, five minutes at most) in three equal parts."""
    warm = start + min(WARM_UP * (end - start), LONGEST_WARM_UP)
    step = (end - warm) / WINDOWS
    return [
        Window.of(warm + number * step, warm + (number + 1) * step, samples, calls)
        for number in range(WINDOWS)
    ]


def growth(first: Window, last: Window, workers: int, allowed: Tolerance) -> Iterator[str]:
    """One line for each thing that grew by more than is allowed."""
    hours = (last.start - first.start) / 3600
    limits = [
        (
            "memory of the service, MB",
            [each.resident / MEGABYTE for each in (first, last)],
            workers * (allowed.resident_noise + allowed.resident_rate * hours),
        ),
        (
            "memory of PostgreSQL, MB a connection",
            [each.private / MEGABYTE / max(each.connections, 1) for each in (first, last)],
            allowed.private_noise + allowed.private_rate * hours,
        ),
        (
            "file handles that are no connections",
            [each.handles - each.connections for each in (first, last)],
            workers * allowed.handles,
        ),
    ]
    for what, (before, after), limit in limits:
        if after - before > limit:
            yield f"{what}: {before:.1f} became {after:.1f}, {limit:.1f} more are allowed"
    if allowed.p95_factor is not None:
        yield from _slower(first, last, allowed.p95_factor, allowed.p95_noise)


def _slower(first: Window, last: Window, factor: float, noise: float) -> Iterator[str]:
    for name, before in first.latencies.items():
        after = last.latencies.get(name)
        if after is None or min(before.count, after.count) < ENOUGH_CALLS:
            continue
        limit = before.p95 * factor + noise
        if after.p95 > limit:
            yield (
                f"p95 of {name}: {before.p95 * 1000:.0f} ms became {after.p95 * 1000:.0f} ms, "
                f"{limit * 1000:.0f} ms are allowed"
            )


def left_behind(before: Sample, after: Sample, pooled: int, allowed: Tolerance) -> Iterator[str]:
    """What is there still although the clients have dropped all that is theirs and gone.

    Args:
        pooled: connections that the service's pools keep at most.
    """
    for what, was, is_now in (
        ("schemas", before.schemas, after.schemas),
        ("roles", before.roles, after.roles),
    ):
        if was != is_now:
            yield f"{what}: {was} before the first call and {is_now} after the last drop"
    if after.connections > pooled + allowed.idle_connections:
        yield f"connections: {after.connections} at rest, the pools keep {pooled}"
