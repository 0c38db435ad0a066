import time

import pytest
from orchestrator.agents.pace import PAUSE_S, SLICE_S, Backoff, Breath, Throttle


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=1, longest_s=4, jitter=lambda: 1.0)

    assert [backoff.next_s() for _ in range(4)] == [1, 2, 4, 4]


def test_waits_are_cut_to_half_at_most() -> None:
    assert Backoff(first_s=1, jitter=lambda: 0.0).next_s() == 0.5


def test_after_a_success_the_waits_begin_anew() -> None:
    backoff = Backoff(first_s=1, longest_s=8, jitter=lambda: 1.0)
    backoff.next_s()

    backoff.reset()

    assert backoff.next_s() == 1


def test_a_loop_that_was_busy_yields_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: list[float] = [0.0]
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    breath = Breath()

    breath.take()
    clock[0] += SLICE_S
    breath.take()
    breath.take()

    assert slept == [PAUSE_S]


def test_a_loop_that_has_waited_need_not_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: list[float] = [0.0]
    slept: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    breath = Breath()
    clock[0] += 1

    breath.rested()
    breath.take()

    assert slept == []


def test_the_first_line_passes_and_those_after_it_are_counted() -> None:
    throttle = Throttle(period_s=10)

    assert [throttle.admit("a", now) for now in (0, 1, 9)] == [0, None, None]
    assert throttle.admit("a", 10) == 2


def test_lines_with_other_keys_do_not_hold_each_other_back() -> None:
    throttle = Throttle(period_s=10)

    assert throttle.admit("a", 0) == 0
    assert throttle.admit("b", 0) == 0
