import pytest
from orchestrator.agents.routing import TimerSpec
from orchestrator.agents.schedule import Schedule, Timer


def schedule_of(*seconds: float, at_start: bool = False) -> Schedule:
    """Timers that were set up at 0."""
    schedule = Schedule([(print, TimerSpec(each, at_start)) for each in seconds])
    schedule.set_up(0)
    return schedule


def test_what_is_due_is_given_once() -> None:
    schedule = schedule_of(10)

    assert [len(schedule.take_due(now)) for now in (9, 10, 10, 19, 20)] == [0, 1, 0, 0, 1]


def test_a_timer_that_runs_at_the_start_is_due_at_once() -> None:
    schedule = schedule_of(10, at_start=True)

    assert [len(schedule.take_due(now)) for now in (0, 9, 10)] == [1, 0, 1]


def test_a_timer_counts_from_when_it_was_set_up() -> None:
    schedule = schedule_of()
    schedule.add(print, TimerSpec(10, at_start=False))

    assert schedule.take_due(100) == []
    schedule.set_up(100)
    assert [len(schedule.take_due(now)) for now in (109, 110)] == [0, 1]


def test_missed_times_are_left_out_and_the_beat_is_kept() -> None:
    schedule = schedule_of(10)

    [late] = schedule.take_due(47)

    assert late.due == 50


def test_the_wait_is_until_the_next_timer() -> None:
    schedule = schedule_of(10, 3)

    assert schedule.wait_s(1, longest_s=60) == 2
    assert schedule.wait_s(7, longest_s=60) == 0
    assert schedule.wait_s(0, longest_s=1) == 1


def test_without_timers_the_wait_is_the_longest() -> None:
    assert Schedule().wait_s(0, longest_s=60) == 60


def test_a_timer_without_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Timer(print, seconds=0, due=0)
