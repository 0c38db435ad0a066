from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.killswitch.rules.findings import Change, State, Subject, rank

states = st.lists(st.sampled_from(State), max_size=40)


def changes(needed: int, *said: State) -> list[Change]:
    subject = Subject()
    return [subject.take(state, needed) for state in said]


def test_so_many_in_a_row_break_a_rule_and_one_good_one_ends_it() -> None:
    over, good = State.OVER, State.GOOD

    assert changes(3, over, over, good, over, over, over, over, good) == (
        [Change.NONE] * 5 + [Change.BEGINS, Change.GOES_ON, Change.ENDS]
    )


def test_what_is_unknown_is_neither_over_nor_good() -> None:
    over, unknown = State.OVER, State.UNKNOWN

    found = changes(2, over, unknown, unknown, over, unknown)

    assert found == [Change.NONE] * 3 + [Change.BEGINS, Change.GOES_ON]


def test_outside_of_its_hours_a_rule_is_not_broken() -> None:
    over, closed = State.OVER, State.CLOSED

    assert changes(2, over, closed, over, over, closed)[2:] == (
        [Change.NONE, Change.BEGINS, Change.ENDS]
    )


def test_after_a_release_it_takes_as_many_as_the_first_time() -> None:
    subject = Subject()
    for _ in range(3):
        subject.take(State.OVER, 3)

    subject.begin_anew()

    assert [subject.take(State.OVER, 3) for _ in range(3)][-1] is Change.BEGINS


@settings(deadline=None)
@given(states, st.integers(1, 4))
def test_it_is_broken_exactly_if_so_many_known_ones_in_a_row_said_so(
    said: list[State], needed: int
) -> None:
    subject = Subject()
    for state in said:
        subject.take(state, needed)

    known = [state for state in said if state is not State.UNKNOWN]
    row = 0
    while row < len(known) and known[-1 - row] is State.OVER:
        row += 1
    assert (subject.in_a_row, subject.is_broken) == (row, row >= needed)


@settings(deadline=None)
@given(states, st.integers(1, 4))
def test_beginnings_and_ends_alternate(said: list[State], needed: int) -> None:
    told = [one for one in changes(needed, *said) if one in (Change.BEGINS, Change.ENDS)]

    assert told[::2] == [Change.BEGINS] * len(told[::2])
    assert told[1::2] == [Change.ENDS] * len(told[1::2])


def test_the_worst_is_over_the_limit_most_often_then_by_most() -> None:
    ranks = {
        "a": rank(State.GOOD, 0, 90.0),
        "b": rank(State.OVER, 2, 70.0),
        "c": rank(State.OVER, 3, 60.0),
        "d": rank(State.UNKNOWN, 0, 99.0),
        "e": rank(State.OVER, 3, 61.0),
        "f": rank(State.CLOSED, 0, 0.0),
    }

    assert sorted(ranks, key=lambda name: ranks[name]) == ["f", "a", "d", "b", "c", "e"]
