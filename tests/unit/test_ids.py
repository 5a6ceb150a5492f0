import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import pytest
import snowflake.snowflake

from core.ids import LARGEST, IdGenerator, IdsUnavailable, Lease, boottime
from tests.forks import in_fork
from tests.leases import Machine, stamp

FAR = 2**45


def leased(instance: int = 1, *, after: int = 0, until: int = FAR, **options: Any) -> IdGenerator:
    ids = IdGenerator(**options)
    ids.lease(Lease(instance, after, until, boottime() + 60))
    return ids


def several(ids: IdGenerator, count: int) -> list[int]:
    return [ids.next() for _ in range(count)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_ids_are_wide_fit_63_bits_and_grow() -> None:
    ids = leased()
    made = [ids.next() for _ in range(20_000)]
    assert all(2**31 <= value <= LARGEST for value in made)
    assert made == sorted(set(made))


def test_threads_never_get_the_same_id() -> None:
    ids = leased()
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [ids.next() for _ in range(5_000)], range(8)))
    made = [value for batch in batches for value in batch]
    assert len(set(made)) == len(made) == 40_000


def test_two_instances_never_make_the_same_id() -> None:
    first, second = leased(1), leased(2)
    made = [generator.next() for _ in range(5_000) for generator in (first, second)]
    assert len(set(made)) == 10_000


def test_more_ids_than_a_millisecond_has_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = leased(patience=5.0, wall=lambda: 1_800_000_001.0)
    turns = [0]

    def slow_clock() -> float:
        """Each millisecond lasts for 5,000 looks at the clock."""
        turns[0] += 1
        return 1_800_000_000.0 + turns[0] // 5_000 / 1000

    monkeypatch.setattr(snowflake.snowflake, "time", slow_clock)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    made = [ids.next() for _ in range(3 * 4096)]
    assert len({stamp(value) for value in made}) == 3
    assert made == sorted(set(made))


def test_nothing_is_handed_out_without_a_lease() -> None:
    with pytest.raises(IdsUnavailable):
        IdGenerator().next()
    assert IdGenerator().seconds_left() == 0


def test_nothing_is_handed_out_past_the_lease() -> None:
    now = [100.0]
    ids = IdGenerator(clock=lambda: now[0])
    ids.lease(Lease(3, 0, FAR, 110.0))
    ids.next()
    assert ids.seconds_left() == 10
    now[0] = 110.0
    with pytest.raises(IdsUnavailable):
        ids.next()
    ids.lease(Lease(3, 0, FAR, 120.0))
    assert ids.next()


def test_nothing_is_handed_out_after_the_release() -> None:
    ids = leased()
    last = ids.next()
    ended = ids.release()
    assert ended is not None
    assert (ended.instance, ended.until) == (1, stamp(last))
    with pytest.raises(IdsUnavailable):
        ids.next()
    assert ids.release() is None


def test_a_lease_outlives_no_suspend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux stops CLOCK_MONOTONIC, but not CLOCK_BOOTTIME, while the machine sleeps."""
    ids = leased()
    ids.next()
    read: Callable[[int], float] = time.clock_gettime
    slept = {getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC): 3600.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: read(clock) + slept.get(clock, 0))
    with pytest.raises(IdsUnavailable):
        ids.next()


def test_a_clock_that_went_back_is_reported_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = leased(wall=machine.time)
    ids.next()
    machine.ahead = -1.0
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(IdsUnavailable, match="clock went back"):
        ids.next()
    assert slept == []
    assert ids.clock_went_back
    assert ids.seconds_left() == 0


def test_a_clock_that_went_back_a_little_is_waited_for(machine: Machine) -> None:
    ids = leased(wall=machine.time, patience=5.0)
    before = ids.next()
    machine.ahead = -0.02
    assert ids.next() > before


def test_a_clock_that_stands_is_not_waited_for_longer_than_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    ids = IdGenerator(clock=lambda: now[0], wall=lambda: 1_800_000_000.0)
    ids.lease(Lease(1, 0, FAR, 60.0))
    monkeypatch.setattr(snowflake.snowflake, "time", lambda: 1_800_000_000.0)

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", pass_time)
    with pytest.raises(IdsUnavailable, match="clock went back"):
        several(ids, 5_000)
    assert now[0] < 0.01


def test_ids_are_stamped_after_those_of_the_lease_before(machine: Machine) -> None:
    used = leased(7, wall=machine.time).next()
    machine.ahead = -0.02
    ids = leased(7, after=stamp(used), wall=machine.time, patience=5.0)
    assert stamp(ids.next()) > stamp(used)
    machine.ahead = -60.0
    with pytest.raises(IdsUnavailable, match="clock went back"):
        leased(7, after=stamp(used), wall=machine.time).next()


def test_nothing_is_stamped_later_than_the_lease_allows(machine: Machine) -> None:
    """So a machine that stood still, its clocks too, can't use the number of its successor."""
    until = round(time.time() * 1000) + 1000
    ids = leased(until=until, wall=machine.time)
    before = ids.next()
    machine.ahead = 3600.0
    with pytest.raises(IdsUnavailable, match="ahead of the lease"):
        ids.next()
    assert ids.seconds_left() < 0
    machine.ahead = 0.0
    assert before < ids.next() <= (until - 1_704_067_200_000 + 1) << 22


def test_a_clock_before_the_epoch_makes_no_ids(machine: Machine) -> None:
    ids = leased(wall=machine.time)
    machine.ahead = -time.time()
    with pytest.raises(IdsUnavailable, match="clock went back"):
        ids.next()


def test_a_lease_renewed_by_another_thread_is_seen_at_once() -> None:
    ids = IdGenerator()
    lease = Lease(5, 0, FAR, boottime() + 60)
    keeper = threading.Thread(target=ids.lease, args=(lease,))
    keeper.start()
    keeper.join()
    assert ids.next()


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """A lock that another thread holds."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def fork_while_another_thread_makes_an_id() -> list[object]:
    ids = leased(1)
    ids.next()

    def child() -> list[object]:
        try:
            ids.next()
        except IdsUnavailable:
            inherited = ids.instance
        ids.lease(Lease(2, 0, FAR, boottime() + 60))
        return [inherited, ids.next() >> 12 & 1023]

    with held(ids._lock):
        found = in_fork(child)
    return [*found, ids.next() >> 12 & 1023]


def test_a_forked_process_hands_out_nothing_before_it_has_a_lease_of_its_own() -> None:
    # In a process without other threads, which a fork may leave behind in any state.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(fork_while_another_thread_makes_an_id).result() == [None, 2, 1]
