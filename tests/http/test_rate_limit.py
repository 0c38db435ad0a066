import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.http.errors import TooManyRequests
from orchestrator.http.rate_limit import MovingWindow, RateLimit, Standing
from orchestrator.http.settings import HttpSettings


def test_calls_are_counted_by_key() -> None:
    window = MovingWindow(2, 60)

    assert window.hit("a", now=0) == Standing(True, 1, 60)
    assert window.hit("a", now=10.5) == Standing(True, 0, 50)
    assert window.hit("a", now=59.5) == Standing(False, 0, 1)
    assert window.hit("b", now=59.5).allowed


def test_what_is_refused_does_not_count() -> None:
    window = MovingWindow(1, 60)
    window.hit("a", now=0)
    for moment in range(1, 60):
        assert not window.hit("a", now=moment).allowed

    assert window.hit("a", now=60) == Standing(True, 0, 60)


@given(st.lists(st.floats(0, 5), max_size=80), st.integers(1, 4))
def test_no_window_holds_more_than_are_allowed(pauses: list[float], amount: int) -> None:
    window, now, taken = MovingWindow(amount, 3.0), 0.0, []
    for pause in pauses:
        now += pause
        if window.hit("a", now=now).allowed:
            taken.append(now)
        else:
            assert sum(now - moment < 3.0 for moment in taken) == amount

    for first, beyond in zip(taken, taken[amount:], strict=False):
        assert beyond - first >= 3.0


def test_who_has_not_called_for_a_window_is_forgotten() -> None:
    window = MovingWindow(2, 60)
    for number in range(100):
        window.hit(str(number), now=number)

    window.hit("x", now=120)

    assert len(window) == 40  # those of 61 to 99, and x


def test_numbers_of_addresses_cost_no_memory() -> None:
    window = MovingWindow(2, 60, max_keys=10)
    for number in range(100):
        window.hit(str(number), now=0)

    assert len(window) <= 11


def test_calls_are_counted_by_address() -> None:
    limit = RateLimit(HttpSettings(rate_limit_max=2))

    first, second = dict(limit.hit("10.0.0.1")), dict(limit.hit("10.0.0.1"))
    with pytest.raises(TooManyRequests) as caught:
        limit.hit("10.0.0.1")
    limit.hit("10.0.0.2")

    assert (first["RateLimit-Limit"], first["RateLimit-Remaining"]) == ("2", "1")
    assert second["RateLimit-Remaining"] == "0"
    refused = dict(caught.value.headers)
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit-Remaining"] == "0"


def test_a_window_is_as_long_as_the_settings_say() -> None:
    moments = iter([0.0, 1.0, 1.5])
    settings = HttpSettings(rate_limit_max=1, rate_limit_window_ms=1_500)
    limit = RateLimit(settings, clock=lambda: next(moments))
    limit.hit("10.0.0.1")

    with pytest.raises(TooManyRequests, match=r"in 1.5 s"):
        limit.hit("10.0.0.1")
    assert dict(limit.hit("10.0.0.1"))["RateLimit-Reset"] == "2"


def test_a_clock_that_is_set_back_locks_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter([1_000_000.0, 1_000_000.0 - 3_600])
    monkeypatch.setattr(time, "time", lambda: next(wall, 0.0))
    moments = iter([0.0, 61.0])
    limit = RateLimit(HttpSettings(rate_limit_max=1), clock=lambda: next(moments))

    limit.hit("10.0.0.1")
    limit.hit("10.0.0.1")
