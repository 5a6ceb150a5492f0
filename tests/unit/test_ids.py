import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.ids import LARGEST, IdGenerator, IdsUnavailable


def leased(instance: int = 1, **options: object) -> IdGenerator:
    ids = IdGenerator(**options)  # type: ignore[arg-type]
    ids.lease(instance, time.monotonic() + 60)
    return ids


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


def test_nothing_is_handed_out_without_a_lease() -> None:
    with pytest.raises(IdsUnavailable):
        IdGenerator().next()


def test_nothing_is_handed_out_past_the_lease() -> None:
    now = [100.0]
    ids = IdGenerator(clock=lambda: now[0])
    ids.lease(3, 110.0)
    ids.next()
    now[0] = 110.0
    with pytest.raises(IdsUnavailable):
        ids.next()
    ids.lease(3, 120.0)
    assert ids.next()


def test_nothing_is_handed_out_after_the_release() -> None:
    ids = leased()
    ids.release()
    with pytest.raises(IdsUnavailable):
        ids.next()


def test_a_clock_that_went_back_is_waited_for_and_then_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import snowflake.snowflake

    ids = leased(patience=0.05)
    ahead = time.time() + 3600
    with monkeypatch.context() as patch:
        patch.setattr(snowflake.snowflake, "time", lambda: ahead)
        ids.next()
    with pytest.raises(IdsUnavailable, match="clock went back"):
        ids.next()


def test_a_lease_renewed_by_another_thread_is_seen_at_once() -> None:
    ids = IdGenerator()
    keeper = threading.Thread(target=ids.lease, args=(5, time.monotonic() + 60))
    keeper.start()
    keeper.join()
    assert ids.next()
