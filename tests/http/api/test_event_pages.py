from orchestrator.actors.events import Event
from orchestrator.http.api.event_pages import (
    CACHE_S,
    EncodedPage,
    PageCache,
    encode_events,
)

PAGE = EncodedPage(b"[]" * 50, 7, True)


def event(**fields: object) -> Event:
    known: dict[str, object] = {
        "id": 1,
        "type": "a",
        "payload": b'{"x": 1.10}',
        "ts": "2026-01-31T09:30:00.123Z",
        "source": None,
    }
    return Event(**(known | fields))  # type: ignore[arg-type] # by name


def test_a_page_is_kept_for_ten_seconds() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=100.0, revision=0)

    assert cache.get("a", now=100.0 + CACHE_S - 0.01, revision=0) is PAGE
    assert cache.get("a", now=100.0 + CACHE_S, revision=0) is None
    assert cache.size_bytes == 0


def test_a_changed_event_empties_the_cache() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.get("a", now=0.0, revision=1) is None
    assert cache.get("a", now=0.0, revision=0) is None
    assert cache.size_bytes == 0


def test_pages_are_bounded_in_number_and_the_least_used_goes() -> None:
    cache = PageCache(max_pages=2)
    cache.put("a", PAGE, now=0.0, revision=0)
    cache.put("b", PAGE, now=0.0, revision=0)
    cache.get("a", now=0.0, revision=0)
    cache.put("c", PAGE, now=0.0, revision=0)

    kept = [key for key in "abc" if cache.get(key, now=0.0, revision=0)]
    assert kept == ["a", "c"]


def test_pages_are_bounded_in_bytes() -> None:
    cache = PageCache(max_bytes=250)

    for key in range(100):
        cache.put(key, PAGE, now=0.0, revision=0)
        assert cache.size_bytes <= 250


def test_putting_a_page_again_counts_it_once() -> None:
    cache = PageCache()
    cache.put("a", PAGE, now=0.0, revision=0)
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.size_bytes == len(PAGE.events)


def test_a_page_larger_than_the_cache_is_not_kept() -> None:
    cache = PageCache(max_bytes=10)
    cache.put("a", PAGE, now=0.0, revision=0)

    assert cache.get("a", now=0.0, revision=0) is None


def test_payloads_are_shown_as_they_were_published() -> None:
    assert b'"payload":{"x": 1.10}' in encode_events([event()])
