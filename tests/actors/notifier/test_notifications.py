import json

from orchestrator.actors.events import Event
from orchestrator.actors.notifier.notifications import Condition, Throttle, of_event

TS = "2026-01-31T09:30:00.000Z"


def event(event_type: str, **payload: object) -> Event:
    return Event(7, event_type, json.dumps(payload).encode(), TS, None)


def test_a_stop_is_said_in_words() -> None:
    engaged = event(
        "risk.killswitch", enabled=True, reason="fat finger", triggered_by="anna", level="halt"
    )
    released = event("risk.killswitch", enabled=False, reason="known")

    assert of_event(engaged).text == "STOP (halt, all): fat finger, by anna"
    assert of_event(released).text == "trading is allowed again: known"


def test_a_release_that_leaves_a_stop_in_force_says_so() -> None:
    left = event("risk.killswitch", enabled=True, reason="other", released={"trip_id": "x"})

    assert of_event(left).text.startswith("a stop was released, others are in force")


def test_other_events_say_what_and_why() -> None:
    lost = event("agent.offline", id="quotes-1", reason="no heartbeat for 300 s")

    assert of_event(lost).text == "agent.offline quotes-1: no heartbeat for 300 s"
    assert of_event(lost).event_id == 7
    assert of_event(Event(1, "bus.gap", b"[1]", TS, None)).text == "bus.gap"
    assert len(of_event(event("bus.gap", reason="x" * 9_000)).text) == 500


def test_one_of_a_type_goes_through_per_interval_and_counts_the_others() -> None:
    throttle = Throttle(30)
    gap, lost = of_event(event("bus.gap")), of_event(event("agent.offline"))

    sent = [throttle.admit(gap, now=now) for now in (0.0, 1.0, 29.0, 31.0, 32.0)]

    assert [one and one.suppressed for one in sent] == [0, None, None, 2, None]
    assert throttle.admit(lost, now=1.0) == lost


def test_no_stop_is_held_back() -> None:
    throttle = Throttle(30)
    stop = of_event(event("risk.killswitch", enabled=True))

    assert [throttle.admit(stop, now=0.0) for _ in range(3)] == [stop, stop, stop]


def test_a_condition_is_said_once_until_it_begins_anew() -> None:
    condition = Condition()

    said = [condition.begins(holds=holds) for holds in (False, True, True, False, True)]

    assert said == [False, True, False, False, True]
