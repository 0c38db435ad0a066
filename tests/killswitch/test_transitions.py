"""What the audit trail has of a stop's transitions."""

import time
from typing import Any

from orchestrator.actors.messages.killswitch import Asker, Sender
from orchestrator.killswitch.intake import Decision, Verdict
from orchestrator.killswitch.receipts import Receipts
from orchestrator.killswitch.state import Memory, Neighbours
from orchestrator.killswitch.transitions import Transitions, state
from orchestrator.protocol.announcement import Ended
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.runtime import Address

ANNA = Asker("anna", "tripper", "10.0.0.1")
ALL = Trip("01ALL", "why", "http:anna", "2026-01-31T09:30:00.000Z")
ONE = Trip("01ONE", "why", "bus", "2026-01-31T09:30:01.000Z", Target(Level.REDUCE, "agent:a"))


class Notes:
    """Keeps what is noted: a trail without a disk."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.timers: list[Any] = []
        self.memory = Memory()
        self.receipts = Receipts()
        self.state_keeper = Address("state-keeper")
        self.transitions = Transitions(
            self.memory,
            Neighbours(
                Address("persister"),
                Address("broadcaster"),
                self.state_keeper,
                audit=self,  # type: ignore[arg-type] # as far as it is used here
            ),
            self.receipts,
            lambda _seconds, function: self.timers.append(function),
        )

    def note(self, action: str, **fields: Any) -> None:
        self.rows.append({"action": action, **fields})

    note_often = note

    def put(self, *trips: Trip) -> None:
        self.memory.stop = Stop()
        for trip in trips:
            self.memory.stop = self.memory.stop.with_trip(trip)
        self.receipts.observe(self.memory.stop, time.monotonic())

    def halt(self, agent: str) -> None:
        beat = GateBeat("halted", GateState.SHUT, open_orders=0)
        sender = Sender(agent, "execution")
        self.receipts.heard(sender, beat, self.memory.stop, time.monotonic())


def test_the_state_in_words() -> None:
    assert state([]) == "allowed"
    assert state([ALL, ONE, ALL]) == "halt all, reduce agent:a"


def test_a_stop_says_who_from_where_and_what_it_changed() -> None:
    notes = Notes()
    notes.put(ONE, ALL)

    notes.transitions.engaged(ALL, "", ANNA, "req-1")

    [row] = notes.rows
    assert row["action"] == "killswitch.engage"
    assert (row["actor"], row["role"], row["address"]) == ("anna", "tripper", "10.0.0.1")
    assert (row["was"], row["became"]) == ("reduce agent:a", "halt all, reduce agent:a")
    assert (row["target"], row["trip_id"], row["request_id"]) == ("halt all", "01ALL", "req-1")


def test_who_has_halted_follows_when_the_others_are_late() -> None:
    notes = Notes()
    notes.halt("quick")
    notes.receipts.heard(
        Sender("slow", "execution"),
        GateBeat("active", GateState.OPEN),
        notes.memory.stop,
        time.monotonic(),
    )
    notes.put(ALL)
    notes.transitions.engaged(ALL, "", ANNA, None)
    notes.halt("quick")

    for timer in notes.timers:
        timer()

    row = notes.rows[-1]
    assert row["action"] == "killswitch.receipts"
    assert [*row["receipts"]["halted_s"]] == ["quick"]
    assert row["receipts"]["pending"] == ["slow"]


def test_without_agents_there_is_nothing_to_say_of_receipts() -> None:
    notes = Notes()
    notes.put(ALL)
    notes.transitions.engaged(ALL, "", ANNA, None)

    for timer in notes.timers:
        timer()

    assert [row["action"] for row in notes.rows] == ["killswitch.engage"]


def test_a_release_has_the_receipts_of_its_trip() -> None:
    notes = Notes()
    notes.put(ALL)
    notes.halt("quick")
    notes.memory.stop = Stop()

    notes.transitions.released(Ended(ALL, "over", "http:bob"), Asker("bob", "operator"), None)

    [row] = notes.rows
    assert (row["actor"], row["reason"]) == ("bob", "over")
    assert (row["was"], row["became"]) == ("halt all", "allowed")
    assert [*row["receipts"]["quiet_s"]] == ["quick"]


def test_a_join_and_a_forged_release_are_noted() -> None:
    notes = Notes()
    notes.put(ALL)

    notes.transitions.decided(Decision(Verdict.JOINS, ALL), "from the bus", "loud")
    notes.transitions.decided(Decision(Verdict.FALSE, None), "from the bus", "mallory")
    notes.transitions.decided(Decision(Verdict.ECHO, ALL), "from the bus", None)

    assert [(row["action"], row["actor"]) for row in notes.rows] == [
        ("killswitch.join", "loud"),
        ("killswitch.release", "mallory"),
    ]
    assert notes.rows[1]["outcome"] == "refused"


def test_false_while_nothing_is_in_force_is_no_attempt() -> None:
    notes = Notes()

    notes.transitions.decided(Decision(Verdict.FALSE, None), "from the bus", "x")

    assert notes.rows == []
