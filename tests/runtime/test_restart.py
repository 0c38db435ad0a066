from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.runtime.restart import Backoff, Crowd, RestartLimits, RestartWindow

LIMITS = RestartLimits(
    intensity=3, period_s=10, backoff_initial_s=0.1, backoff_max_s=1, healthy_s=60, jitter=0
)


def test_restarts_up_to_the_intensity_are_accepted() -> None:
    window = RestartWindow(LIMITS)

    assert [window.add(now) for now in (0, 1, 2, 3)] == [True, True, True, False]


def test_restarts_older_than_the_period_do_not_count() -> None:
    window = RestartWindow(LIMITS)

    assert [window.add(now) for now in (0, 1, 2, 10.5, 11.5, 12.5)] == [True] * 6


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_the_window_accepts_just_what_otp_accepts(gaps: list[float]) -> None:
    window, now, times = RestartWindow(LIMITS), 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)

        accepted = window.add(now)

        assert accepted == (sum(now - time <= LIMITS.period_s for time in times) <= 3)


def test_the_first_failure_is_followed_by_a_restart_at_once() -> None:
    assert Backoff(LIMITS, Random(1)).fail(0.0) == 0.0


def test_further_failures_double_the_delay_up_to_the_limit() -> None:
    backoff = Backoff(LIMITS, Random(1))

    delays = [backoff.fail(0.0) for _ in range(8)]

    assert delays == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


def test_a_healthy_spell_begins_anew() -> None:
    backoff = Backoff(LIMITS, Random(1))
    for _ in range(3):
        backoff.fail(0.0)

    delay = backoff.fail(60.0)

    assert (delay, backoff.failures) == (0.0, 1)


def test_a_child_that_keeps_failing_slowly_is_exhausted_all_the_same() -> None:
    backoff = Backoff(LIMITS, Random(1))

    exhausted = []
    for _ in range(4):
        backoff.fail(59.0)
        exhausted.append(backoff.exhausted)

    assert exhausted == [False, False, False, True]


@given(st.integers(0, 2**32), st.integers(2, 500))
def test_jitter_stays_within_its_share(seed: int, failures: int) -> None:
    limits = RestartLimits(backoff_initial_s=0.1, backoff_max_s=30, jitter=0.2)
    backoff = Backoff(limits, Random(seed))

    delays = [backoff.fail(0.0) for _ in range(failures)]

    plain = min(0.1 * 2 ** (failures - 2), 30)
    assert 0.8 * plain - 1e-9 <= delays[-1] <= 1.2 * plain + 1e-9


def test_a_hundred_children_that_fail_at_once_do_not_restart_in_step() -> None:
    random = Random(7)
    backoffs = [Backoff(RestartLimits(), random) for _ in range(100)]
    for backoff in backoffs:
        backoff.fail(0.0)

    delays = {round(backoff.fail(0.0), 4) for backoff in backoffs}

    assert len(delays) > 50


def test_the_first_of_a_crowd_goes_at_once() -> None:
    assert Crowd(Random(1)).delay(0.0) == 0.0


def test_a_hundred_at_once_do_not_go_in_step() -> None:
    crowd = Crowd(Random(1))

    delays = sorted(crowd.delay(5.0) for _ in range(100))

    assert delays[0] == 0.0
    assert delays[-1] <= 1.0
    assert max(_in_step(delays, 0.05), 1) <= 30


def _in_step(delays: list[float], within_s: float) -> int:
    """How many of them lie within one such span at most."""
    return max(sum(begin <= other < begin + within_s for other in delays) for begin in delays)


def test_a_crowd_is_over_after_a_second() -> None:
    crowd = Crowd(Random(1))
    for _ in range(50):
        crowd.delay(5.0)

    assert crowd.delay(6.0) == 0.0
