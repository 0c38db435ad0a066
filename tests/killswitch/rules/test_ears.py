import json
import math

import pytest
from orchestrator.actors.canary import LOST_AFTER_S
from orchestrator.actors.events import Event
from orchestrator.killswitch.rules.ears import Ears


def hearing(*, to: float = 100.0) -> Ears:
    """Since the beginning, a canary a second by either connection."""
    ears = Ears()
    for second in range(int(to) + 1):
        ears.canary("control", second)
        ears.canary("data", second)
    return ears


def event(type_: str, **payload: object) -> Event:
    return Event(1, type_, json.dumps(payload).encode(), "", None)


def test_nothing_is_known_before_both_connections_were_heard() -> None:
    ears = Ears()
    ears.canary("control", 5)
    assert ears.to(5) is None

    ears.canary("data", 4)

    assert (ears.to(5), ears.since) == (4, 5)


def test_it_is_known_up_to_the_older_of_the_last_canaries() -> None:
    ears = hearing()
    ears.canary("control", 101)

    assert (ears.to(101.5), ears.since) == (100, 0)


def test_without_canaries_it_is_not_heard() -> None:
    ears = hearing()

    assert ears.to(100 + LOST_AFTER_S - 0.1) == 100
    assert ears.to(100 + LOST_AFTER_S) is None


def test_where_canaries_are_missing_it_was_not_heard() -> None:
    ears = hearing()
    for connection in ("control", "data"):
        ears.canary(connection, 110)

    assert (ears.to(110), ears.since) == (110, 110)


@pytest.mark.parametrize(
    ("found", "since"),
    [
        (event("bus.gap", cause="subscription"), 100.5),
        (event("bus.gap"), 100.5),
        (event("bus.dropped", count=1), 100.5),
        (event("bus.gap", cause="sequence"), 0),
        (event("strategy.order", cause="subscription"), 0),
    ],
)
def test_what_says_that_something_was_missed(found: Event, since: float) -> None:
    ears = hearing()

    ears.note(found, 100.5)

    assert ears.since == since


def test_so_does_a_mailbox_that_was_full() -> None:
    ears = hearing()
    ears.note_dropped(0, 101)
    assert ears.since == 0

    ears.note_dropped(3, 102)
    ears.note_dropped(3, 103)

    assert ears.since == 102


def test_before_all_it_was_never_heard() -> None:
    assert Ears().since == math.inf
