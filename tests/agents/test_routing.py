import pytest
import redis
from orchestrator.agents import Event
from orchestrator.agents.routing import (
    _CACHE_ENTRIES,
    Router,
    every,
    marked_events,
    marked_timers,
    on_event,
    redis_glob,
)


class Base:
    @on_event("risk.*")
    def on_risk(self, event: Event) -> None:
        """Handles."""

    @every(10)
    def tick(self) -> None:
        """Ticks."""


class Derived(Base):
    @on_event("data.market.*")
    @on_event("news.*")
    def on_data(self, event: Event) -> None:
        """Handles."""

    @every(5, at_start=True)
    def tick(self) -> None:
        """Ticks faster."""


def test_a_pattern_with_too_many_stars_fails_at_the_class() -> None:
    with pytest.raises(ValueError, match="at most 16 stars"):

        class _Greedy:
            @on_event("*a" * 17)
            def on_any(self, event: Event) -> None:
                """Is never made."""


def test_marked_methods_are_found_with_their_patterns_in_order() -> None:
    found = [(method.__name__, patterns) for method, patterns in marked_events(Derived())]

    assert found == [("on_risk", ("risk.*",)), ("on_data", ("data.market.*", "news.*"))]


def test_an_overridden_timer_counts_as_it_is_marked_last() -> None:
    ((method, spec),) = marked_timers(Derived())

    assert (method.__name__, spec.seconds, spec.at_start) == ("tick", 5, True)


def test_a_handler_gets_one_copy_of_an_event_that_matches_twice() -> None:
    router = Router()
    router.add(print, ("data.*", "data.market.*"))

    copies = [router.handlers(pattern, "data.market.AAPL") for pattern in router.patterns()]

    assert [len(handlers) for handlers in copies] == [1, 0]


def test_handlers_that_share_a_pattern_all_get_the_event() -> None:
    router = Router()
    router.add(print, ("risk.*",))
    router.add(repr, ("risk.*",))

    assert router.patterns() == ("risk.*",)
    assert router.handlers("risk.*", "risk.alert") == (print, repr)


def test_invented_channels_do_not_fill_the_memory() -> None:
    router = Router()
    router.add(print, ("*",))

    for number in range(_CACHE_ENTRIES + 5):
        router.handlers("*", f"channel.{number}")

    assert len(router._cache) == 5


@pytest.mark.redis
@pytest.mark.parametrize("channel", ["a?c.x", "a[b]c.x", "a\\c.x"])
def test_what_is_special_to_redis_only_is_escaped(redis_url: str, channel: str) -> None:
    with redis.Redis.from_url(redis_url, protocol=2) as client, client.pubsub() as pubsub:
        pubsub.psubscribe(redis_glob(channel.replace("x", "*")))
        assert pubsub.get_message(timeout=5)["type"] == "psubscribe"

        assert client.publish(channel, b"1") == 1
        assert client.publish("abc.x", b"1") == 0
