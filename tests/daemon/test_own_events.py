from typing import Any

import msgspec
from orchestrator.daemon.own_events import OwnEvents
from orchestrator.runtime import Address, Mailbox, SupervisorReport


def made() -> tuple[OwnEvents, Address]:
    persister = Address("persister", Mailbox(10))
    return OwnEvents(persister, ["quotes-1"]), persister


def told(persister: Address) -> list[tuple[str, dict[str, Any]]]:
    events = []
    while not persister.mailbox.empty():
        [event] = persister.mailbox.get().message.events
        assert event.source == "orchestrator"
        events.append((event.type, msgspec.json.decode(event.payload)))
    return events


def report(context: str, child: str) -> SupervisorReport:
    return SupervisorReport("root", context, "it fell", child, 3, "actor")


def test_an_event_has_the_time() -> None:
    events, persister = made()

    events.record("runtime.started", {"version": "1"})

    [(event_type, payload)] = told(persister)
    assert event_type == "runtime.started"
    assert payload["version"] == "1"
    assert payload["timestamp"].endswith("Z")


def test_a_restart_is_an_event() -> None:
    events, persister = made()

    events.report(report("child_restarted", "persister"))

    [(event_type, payload)] = told(persister)
    payload.pop("timestamp")
    assert event_type == "runtime.actor_restarted"
    assert payload == {"actor": "persister", "reason": "it fell", "restarts": 3}


def test_an_agent_given_up_is_an_error_of_that_agent() -> None:
    events, persister = made()

    events.report(report("gave_up", "quotes-1"))

    assert [event_type for event_type, _ in told(persister)] == ["agent.error"]


def test_all_other_reports_are_for_the_log_alone() -> None:
    events, persister = made()

    events.report(report("gave_up", "persister"))
    events.report(report("child_terminated", "quotes-1"))

    assert told(persister) == []


def test_a_persister_that_is_full_makes_nobody_wait() -> None:
    events, persister = made()

    for _ in range(20):
        events.record("runtime.stall", {})

    assert len(persister.mailbox) == 10
