"""The bounded cache: least recently used goes first, and nothing stale comes in."""

from prometheus_client import REGISTRY

from core.cache import Cache
from core.metrics import Metrics


def test_the_least_recently_used_value_makes_room() -> None:
    cache: Cache[str, int] = Cache("numbers", 2, None)
    cache.put("one", 1, cache.version)
    cache.put("two", 2, cache.version)
    assert cache.get("one") == 1
    cache.put("three", 3, cache.version)
    assert [cache.get(name) for name in ("one", "two", "three")] == [1, None, 3]
    assert len(cache) == 2


def test_what_was_looked_up_before_a_change_is_not_kept() -> None:
    cache: Cache[str, int] = Cache("numbers", 2, None)
    before = cache.version
    cache.forget("one")
    cache.put("one", 1, before)
    assert cache.get("one") is None
    cache.put("one", 1, cache.version)
    assert cache.get("one") == 1


def test_a_closed_cache_keeps_nothing() -> None:
    cache: Cache[str, int] = Cache("numbers", 2, None, is_open=False)
    cache.put("one", 1, cache.version)
    assert cache.get("one") is None
    cache.open()
    cache.put("one", 1, cache.version)
    assert cache.get("one") == 1
    cache.close()
    assert cache.get("one") is None


def test_hits_and_misses_are_counted() -> None:
    metrics = Metrics()
    cache: Cache[str, int] = Cache("numbers", 2, metrics)
    cache.get("one")
    cache.put("one", 1, cache.version)
    cache.get("one")
    cache.get("one")
    text = metrics.render([]).decode()
    assert 'pgtwin_cache_hits_total{cache="numbers"} 2.0' in text
    assert 'pgtwin_cache_misses_total{cache="numbers"} 1.0' in text
    assert 'pgtwin_cache_entries{cache="numbers"} 1.0' in text
    assert REGISTRY.get_sample_value("pgtwin_cache_hits_total", {"cache": "numbers"}) is None
