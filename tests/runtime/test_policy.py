from enum import StrEnum
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.runtime.policy import (
    AutoShutdown,
    FailureStreak,
    Jitter,
    Restart,
    RestartLimits,
    RestartWindow,
    Strategy,
    group,
    is_restarted,
    shuts_down,
)


@pytest.mark.parametrize(
    ("restart", "failed", "expected"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_the_restart_kind_decides(restart: Restart, failed: bool, expected: bool) -> None:
    assert is_restarted(restart, failed=failed) is expected


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, [2]),
        (Strategy.ONE_FOR_ALL, [0, 1, 2, 3, 4]),
        (Strategy.REST_FOR_ONE, [2, 3, 4]),
    ],
)
def test_the_strategy_names_who_is_restarted_too(strategy: Strategy, expected: list[int]) -> None:
    assert list(group(strategy, 5, 2)) == expected


@pytest.mark.parametrize(
    ("auto", "others_alive", "expected"),
    [
        (AutoShutdown.NEVER, [], False),
        (AutoShutdown.ANY_SIGNIFICANT, [True, True], True),
        (AutoShutdown.ALL_SIGNIFICANT, [True, False], False),
        (AutoShutdown.ALL_SIGNIFICANT, [False, False], True),
        (AutoShutdown.ALL_SIGNIFICANT, [], True),
    ],
)
def test_significant_ends_may_end_the_supervisor(
    auto: AutoShutdown, others_alive: list[bool], expected: bool
) -> None:
    assert shuts_down(auto, others_alive) is expected


@pytest.mark.parametrize("kind", [Restart, Strategy, AutoShutdown])
def test_a_word_that_is_not_otps_is_refused(kind: type[StrEnum]) -> None:
    with pytest.raises(AssertionError):
        {
            Restart: lambda: is_restarted("sometimes", failed=True),  # type: ignore[arg-type]
            Strategy: lambda: group("one_for_some", 1, 0),  # type: ignore[arg-type]
            AutoShutdown: lambda: shuts_down("maybe", []),  # type: ignore[arg-type]
        }[kind]()


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
    assert FailureStreak(LIMITS, Random(1)).fail(0.0) == 0.0


def test_further_failures_double_the_delay_up_to_the_limit() -> None:
    backoff = FailureStreak(LIMITS, Random(1))

    delays = [backoff.fail(0.0) for _ in range(8)]

    assert delays == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


def test_a_healthy_spell_begins_anew() -> None:
    backoff = FailureStreak(LIMITS, Random(1))
    for _ in range(3):
        backoff.fail(0.0)

    delay = backoff.fail(60.0)

    assert (delay, backoff.failures) == (0.0, 1)


def test_a_child_that_keeps_failing_slowly_is_exhausted_all_the_same() -> None:
    backoff = FailureStreak(LIMITS, Random(1))

    exhausted = []
    for _ in range(4):
        backoff.fail(59.0)
        exhausted.append(backoff.exhausted)

    assert exhausted == [False, False, False, True]


@given(st.integers(0, 2**32), st.integers(2, 500))
def test_jitter_stays_within_its_share(seed: int, failures: int) -> None:
    limits = RestartLimits(backoff_initial_s=0.1, backoff_max_s=30, jitter=0.2)
    backoff = FailureStreak(limits, Random(seed))

    delays = [backoff.fail(0.0) for _ in range(failures)]

    plain = min(0.1 * 2 ** (failures - 2), 30)
    assert 0.8 * plain - 1e-9 <= delays[-1] <= 1.2 * plain + 1e-9


def test_a_hundred_children_that_fail_at_once_do_not_restart_in_step() -> None:
    random = Random(7)
    backoffs = [FailureStreak(RestartLimits(), random) for _ in range(100)]
    for backoff in backoffs:
        backoff.fail(0.0)

    delays = {round(backoff.fail(0.0), 4) for backoff in backoffs}

    assert len(delays) > 50


def test_the_first_of_a_crowd_goes_at_once() -> None:
    assert Jitter(Random(1)).delay(0.0) == 0.0


def test_a_hundred_at_once_do_not_go_in_step() -> None:
    jitter = Jitter(Random(1))

    delays = sorted(jitter.delay(5.0) for _ in range(100))

    assert delays[0] == 0.0
    assert delays[-1] <= 1.0
    assert max(_in_step(delays, 0.05), 1) <= 30


def _in_step(delays: list[float], within_s: float) -> int:
    """How many of them lie within one such span at most."""
    return max(sum(begin <= other < begin + within_s for other in delays) for begin in delays)


def test_a_crowd_is_over_after_a_second() -> None:
    jitter = Jitter(Random(1))
    for _ in range(50):
        jitter.delay(5.0)

    assert jitter.delay(6.0) == 0.0
