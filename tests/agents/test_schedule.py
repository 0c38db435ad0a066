import pytest
from orchestrator.agents.schedule import Schedule, Timer


def timer(seconds: float, due: float) -> Timer:
    return Timer(print, seconds=seconds, due=due)


def test_what_is_due_is_given_once() -> None:
    schedule = Schedule()
    schedule.add(timer(10, due=5))

    assert [len(schedule.take_due(now)) for now in (4, 5, 5, 14, 15)] == [0, 1, 0, 0, 1]


def test_missed_times_are_left_out_and_the_beat_is_kept() -> None:
    schedule = Schedule()
    late = timer(10, due=10)
    schedule.add(late)

    assert schedule.take_due(47) == [late]
    assert late.due == 50


def test_the_wait_is_until_the_next_timer() -> None:
    schedule = Schedule()
    schedule.add(timer(10, due=10))
    schedule.add(timer(3, due=3))

    assert schedule.wait_s(1, longest_s=60) == 2
    assert schedule.wait_s(7, longest_s=60) == 0
    assert schedule.wait_s(0, longest_s=1) == 1


def test_without_timers_the_wait_is_the_longest() -> None:
    assert Schedule().wait_s(0, longest_s=60) == 60


def test_a_timer_without_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        timer(0, due=0)
