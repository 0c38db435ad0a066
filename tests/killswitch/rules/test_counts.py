from collections import deque
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.killswitch.rules.counts import MAX_COUNTED, OTHERS, Counts, Window

HOUR_MS = 3_600_000


def counted(window_s: float, *times_ms: int) -> list[int]:
    window = Window(window_s)
    return [window.add(at_ms) for at_ms in times_ms]


def test_a_message_counts_for_one_window() -> None:
    assert counted(1.0, 0, 10, 989, 990, 1_000, 1_010, 5_000) == [1, 2, 3, 4, 4, 4, 1]


@given(
    st.sampled_from([0.1, 0.15, 1.0, 7.3]),
    st.lists(st.integers(0, 400), min_size=1, max_size=80),
)
def test_it_is_exact_to_a_hundredth_and_never_too_high(window_s: float, gaps: list[int]) -> None:
    window, at_ms, times = Window(window_s), 0, deque[int]()
    for gap in gaps:
        at_ms += gap
        times.append(at_ms)
        found = window.add(at_ms)

        whole = sum(at_ms - one < window_s * 1000 for one in times)
        surely = sum(at_ms - one < window_s * 990 - 1 for one in times)
        assert surely <= found <= whole


def test_a_window_holds_a_bounded_number_of_steps() -> None:
    window = Window(3600)
    for at_ms in range(0, 3 * HOUR_MS, 500):
        window.add(at_ms)

    assert len(window._slots) <= 100


def test_a_little_disorder_changes_nothing() -> None:
    assert counted(1.0, 1_000, 950, 1_020) == [1, 2, 3]


def test_a_clock_that_is_set_back_begins_anew() -> None:
    assert counted(1.0, HOUR_MS, HOUR_MS, 0, 10) == [1, 2, 1, 2]


def test_a_clock_that_is_set_back_by_some_seconds_is_counted_for_no_longer_than_those() -> None:
    window = Window(3600)
    window.add(HOUR_MS)

    assert window.add(HOUR_MS - 100_000) == 1


def test_a_message_of_just_before_a_step_is_no_clock_set_back() -> None:
    assert counted(3600, HOUR_MS, HOUR_MS - 1) == [1, 2]


def test_what_is_counted_now_has_come_within_the_window_that_ends_now() -> None:
    window = Window(1.0)
    window.add(0)
    window.add(500)

    assert [window.counted(at_ms) for at_ms in (500, 999, 1_000, 1_500)] == [2, 2, 1, 0]


def test_a_count_that_begins_anew_is_nothing() -> None:
    window = Window(1.0)
    window.add(0)
    window.clear()

    assert (window.counted(0), window.add(0)) == (0, 1)


def test_beyond_a_thousand_agents_are_counted_together() -> None:
    counts = Counts(1.0, partial(Window, 1.0))
    for number in range(MAX_COUNTED):
        counts.of(f"a{number}", 0)[1].add(0)

    names = {counts.of(f"b{number}", 100)[0] for number in range(50)}

    assert names == {OTHERS}
    assert counts.of("a7", 100)[0] == "a7"
    assert len(counts) == MAX_COUNTED + 1


def test_whoever_is_silent_makes_room() -> None:
    counts = Counts(1.0, partial(Window, 1.0))
    for number in range(MAX_COUNTED):
        counts.of(f"a{number}", 0)[1].add(0)

    name, window = counts.of("b", 1_000)

    assert (name, window.add(1_000), len(counts)) == ("b", 1, 1)


def test_looking_for_room_costs_one_sweep_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, looks = Counts(1.0, partial(Window, 1.0)), list[int]()
    for number in range(MAX_COUNTED):
        counts.of(f"a{number}", 10_000)[1].add(10_000)
    monkeypatch.setattr(Window, "is_over", lambda _window, at_ms: looks.append(at_ms))

    for number in range(500):
        counts.of(f"b{number}", 10_000 + number)

    assert len(looks) == MAX_COUNTED
