from dataclasses import replace

import pytest
from orchestrator.actors.messages.killswitch import Hearing, Sender, Standing
from orchestrator.killswitch import receipts as module
from orchestrator.killswitch.receipts import (
    ALERT_S,
    END_S,
    KNOWN_AFTER_S,
    REACHABLE_INTERVALS,
    Receipt,
    Receipts,
)
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import Level, Permission, Target
from orchestrator.protocol.trips import Stop, stop_of
from stops import AT, LATER, stop, trip

OPEN = GateBeat("active", GateState.OPEN, 7)
SHUT = GateBeat("halted", GateState.SHUT, 7)
QUIET = replace(SHUT, open_orders=0)
BUSY = replace(SHUT, open_orders=2)
PLAIN = GateBeat("active")
A = Sender("a", "g")
TRADER = Sender("t", "execution")


def naming(beat: GateBeat, trip_id: str) -> GateBeat:
    return replace(beat, trip_id=trip_id)


def engaged(known: Stop, *, at: float = 100.0) -> Receipts:
    """Agent a has beaten with an open gate; then ``known`` came into force."""
    receipts = Receipts()
    receipts.heard(A, OPEN, Stop(), at - 1)
    receipts.observe(known, at)
    return receipts


def standing(receipts: Receipts, known: Stop, now: float = 100.0) -> Standing:
    return receipts.standing(known.trips, now)


def test_the_numbers_of_the_promise() -> None:
    assert (ALERT_S, END_S, REACHABLE_INTERVALS) == (2.0, 4.0, 3)


def test_an_agent_with_a_gate_is_pending_then_halted_then_quiet() -> None:
    known = stop("A")
    receipts = engaged(known)
    assert standing(receipts, known) == Standing(pending=("a",))
    assert not standing(receipts, known).complete
    receipts.hearing(Hearing(True), 100.0 - KNOWN_AFTER_S)

    assert receipts.heard(A, naming(BUSY, "A"), known, 100.25) == [Receipt("a", "A", 0.25)]
    assert standing(receipts, known) == Standing(acknowledged=("a",), known=True)
    assert standing(receipts, known).complete
    assert receipts.heard(A, naming(QUIET, "A"), known, 100.5) == [Receipt("a", "A", 0.25, 0.5)]
    assert standing(receipts, known).quiet == ("a",)


def test_a_receipt_that_says_nothing_new_is_no_news() -> None:
    known = stop("A")
    receipts = engaged(known)

    assert len(receipts.heard(A, naming(BUSY, "A"), known, 100.1)) == 1
    assert receipts.heard(A, naming(BUSY, "A"), known, 100.2) == []
    assert len(receipts.heard(A, naming(QUIET, "A"), known, 100.3)) == 1
    assert receipts.heard(A, naming(QUIET, "A"), known, 100.4) == []


def test_one_that_is_quiet_at_once_is_halted_and_quiet() -> None:
    known = stop("A")
    receipts = engaged(known)

    (receipt,) = receipts.heard(A, naming(QUIET, "A"), known, 100.25)

    assert (receipt.halted_s, receipt.quiet_s) == (0.25, 0.25)
    assert receipts.receipts("A") == [receipt]


def test_orders_that_appear_again_are_not_quiet() -> None:
    known = stop("A")
    receipts = engaged(known)
    receipts.heard(A, naming(QUIET, "A"), known, 100.1)
    receipts.heard(A, naming(BUSY, "A"), known, 100.2)

    assert standing(receipts, known) == Standing(acknowledged=("a",))
    (again,) = receipts.heard(A, naming(QUIET, "A"), known, 100.5)
    assert again.quiet_s == 0.5


def test_a_gate_that_says_open_takes_its_receipt_back() -> None:
    known = stop("A")
    receipts = engaged(known)
    receipts.heard(A, naming(QUIET, "A"), known, 100.1)
    receipts.heard(A, naming(OPEN, "A"), known, 100.2)

    assert standing(receipts, known) == Standing(pending=("a",))


def test_a_receipt_counts_for_every_trip_up_to_the_one_it_names() -> None:
    first, second = trip("A", at=AT), trip("B", at=LATER)
    known = stop_of([first, second])
    receipts = engaged(known)

    receipts.heard(A, naming(SHUT, "A"), known, 100.1)
    assert receipts.standing([first], 100.1).acknowledged == ("a",)
    assert receipts.standing([second], 100.1).pending == ("a",)
    assert receipts.standing([first, second], 100.1).pending == ("a",)
    receipts.heard(A, naming(SHUT, "B"), known, 100.2)

    assert standing(receipts, known).acknowledged == ("a",)


def test_a_receipt_may_name_a_trip_by_its_alias() -> None:
    known = stop_of([trip("A", alias="x"), trip("B", at=LATER)])
    receipts = engaged(known)

    assert [r.trip_id for r in receipts.heard(A, naming(SHUT, "x"), known, 100.1)] == ["A"]


def test_a_receipt_that_names_none_or_an_unknown_one_counts_for_all_in_force() -> None:
    known = stop("A", "B")

    for beat in (SHUT, naming(SHUT, "elsewhere"), naming(SHUT, "0 sorts below ours")):
        assert len(engaged(known).heard(A, beat, known, 100.1)) == 2


def test_a_receipt_for_a_released_trip_counts_for_none_that_came_later() -> None:
    known = stop("A", "C", released=("B",))

    found = engaged(known).heard(A, naming(SHUT, "B"), known, 100.1)

    assert [receipt.trip_id for receipt in found] == ["A"]
    assert engaged(known).heard(A, naming(OPEN, "B"), known, 100.1) == []


def test_an_open_gate_acknowledges_nothing_by_naming_it() -> None:
    known = stop("A")

    assert engaged(known).heard(A, naming(OPEN, "A"), known, 100.1) == []
    assert engaged(known).heard(A, OPEN, known, 100.1) == []
    assert engaged(known).heard(A, naming(OPEN, "elsewhere"), known, 100.1) == []


def test_reduce_is_acknowledged_by_its_name_while_the_gate_stays_open() -> None:
    known = stop_of([trip("A", target=Target(Level.REDUCE)), trip("B", at=LATER)])
    receipts = engaged(known)

    (receipt,) = receipts.heard(A, naming(OPEN, "B"), known, 100.1)
    receipts.heard(A, naming(OPEN, "B"), known, 100.2)

    assert receipt.trip_id == "A"
    assert receipts.standing(known.trips[:1], 100.2) == Standing(acknowledged=("a",))
    assert receipts.standing(known.trips, 100.2) == Standing(pending=("a",))


SAYS = {
    "shut": SHUT,
    "reduce": replace(OPEN, permission=Permission.REDUCE),
    "allowed": replace(OPEN, permission=Permission.ALLOWED),
    "open": OPEN,
    "halted": GateBeat("halted"),
    "plain": PLAIN,
}


@pytest.mark.parametrize("scope", ["all", "group:execution", "agent:t"])
@pytest.mark.parametrize("name", ["A", None])
@pytest.mark.parametrize(
    ("says", "level", "is_receipt"),
    [
        ("shut", Level.HALT, True),
        ("shut", Level.REDUCE, True),
        ("reduce", Level.HALT, False),
        ("reduce", Level.REDUCE, True),
        ("allowed", Level.HALT, False),
        ("allowed", Level.REDUCE, False),
        ("open", Level.HALT, False),
        ("open", Level.REDUCE, "if it names the trip"),
        ("halted", Level.HALT, True),
        ("halted", Level.REDUCE, True),
        ("plain", Level.HALT, False),
        ("plain", Level.REDUCE, False),
    ],
)
def test_what_is_a_receipt(
    says: str, level: Level, is_receipt: bool | str, name: str | None, scope: str
) -> None:
    """The table; the same for agents that the daemon manages, whose gate must not be silent."""
    known = stop_of([trip("A", target=Target(level, scope))])
    receipts = Receipts()
    receipts.observe(known, 100.0)
    expected = name is not None if isinstance(is_receipt, str) else is_receipt

    receipts.heard(TRADER, replace(SHUT, trip_id="A"), known, 100.0)
    receipts.heard(TRADER, replace(SAYS[says], trip_id=name), known, 100.1)

    assert standing(receipts, known).acknowledged == (("t",) if expected else ())
    assert receipts.overdue(known, 102.0) == ([] if expected else ["t"])
    has_gate = SAYS[says].gate is not None
    assert receipts.to_end(known, {"t"}, 104.0) == (["t"] if has_gate and not expected else [])


def test_reduce_is_not_acknowledged_by_an_unknown_name() -> None:
    known = stop_of([trip("A", target=Target(Level.REDUCE))])

    assert engaged(known).heard(A, naming(OPEN, "elsewhere"), known, 100.1) == []
    assert len(engaged(known).heard(A, SHUT, known, 100.1)) == 1


@pytest.mark.parametrize(
    ("scope", "pending"),
    [("all", ("a", "t")), ("group:g", ("a",)), ("agent:t", ("t",)), ("agent:z", ())],
)
def test_only_agents_in_scope_must_acknowledge(scope: str, pending: tuple[str, ...]) -> None:
    known = stop_of([trip("A", target=Target(Level.HALT, scope))])
    receipts = engaged(known)
    receipts.heard(TRADER, PLAIN, known, 100.0)

    assert standing(receipts, known) == Standing(pending=pending)


def test_a_receipt_counts_for_trips_in_scope_alone() -> None:
    known = stop_of([trip("A", target=Target(Level.HALT, "agent:b")), trip("B")])

    found = engaged(known).heard(A, SHUT, known, 100.1)

    assert [receipt.trip_id for receipt in found] == ["B"]


def test_an_agent_without_a_gate_must_acknowledge_only_in_group_execution() -> None:
    known = stop("A")
    receipts = Receipts()
    receipts.heard(TRADER, PLAIN, known, 100.0)
    receipts.heard(Sender("s", "signals"), PLAIN, known, 100.0)

    assert standing(receipts, known) == Standing(pending=("t",), without_gate=("s",))
    receipts.heard(TRADER, GateBeat("halted", trip_id="A"), known, 100.1)
    receipts.heard(Sender("s", "signals"), GateBeat("halted", trip_id="A"), known, 100.1)
    assert standing(receipts, known) == Standing(acknowledged=("s", "t"))


def test_agents_without_a_gate_do_not_make_a_stop_incomplete() -> None:
    assert Standing(acknowledged=("a",), without_gate=("s",), known=True).complete
    assert not Standing(unreachable=("a",), known=True).complete
    assert not Standing(pending=("a",), known=True).complete


def test_nothing_is_complete_until_every_agent_had_the_time_for_a_beat() -> None:
    receipts, known = Receipts(), stop("A")
    receipts.observe(known, 100.0)
    assert not standing(receipts, known, 1_000.0).complete

    receipts.hearing(Hearing(False), 100.0)
    receipts.hearing(Hearing(True), 200.0)
    receipts.hearing(Hearing(True), 203.0)
    assert not standing(receipts, known, 199.9 + KNOWN_AFTER_S).complete
    assert standing(receipts, known, 200.0 + KNOWN_AFTER_S).complete

    receipts.hearing(Hearing(False), 210.0)  # the bus is blind: others may have come
    receipts.hearing(Hearing(True), 211.0)
    assert not standing(receipts, known, 212.0).complete


def test_the_registry_s_execution_agents_must_acknowledge_though_they_do_not_beat() -> None:
    receipts, known = Receipts(), stop("A")
    receipts.observe(known, 100.0)
    receipts.hearing(Hearing(True, (TRADER,)), 100.0)

    assert standing(receipts, known, 101.0).pending == ("t",)
    assert receipts.overdue(known, 105.9) == []  # it has had no time for a beat yet
    assert receipts.overdue(known, 106.0) == ["t"]
    late = standing(receipts, known, 130.0)
    assert (late.unreachable, late.complete) == (("t",), False)

    receipts.heard(TRADER, SHUT, known, 131.0)
    receipts.hearing(Hearing(True, (TRADER,)), 131.5)
    assert standing(receipts, known, 131.5).complete


def test_the_registry_s_agents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AGENTS", 3)
    receipts = Receipts()

    receipts.hearing(Hearing(True, tuple(Sender(f"a{n}", "execution") for n in range(9))), 1.0)

    assert len(receipts._agents) == 3


def test_an_agent_whose_beats_are_missing_is_unreachable() -> None:
    known = stop("A")
    receipts = Receipts()
    receipts.heard(Sender("a", "g", interval_s=2.0), OPEN, known, 100.0)

    assert standing(receipts, known, 106.0) == Standing(pending=("a",))
    assert standing(receipts, known, 106.1) == Standing(unreachable=("a",))


def test_one_that_has_halted_and_is_then_silent_has_halted() -> None:
    known = stop("A")
    receipts = engaged(known)
    receipts.heard(A, SHUT, known, 100.1)

    assert standing(receipts, known, 1_000.0) == Standing(acknowledged=("a",))


def test_one_that_said_that_it_ends_is_not_waited_for() -> None:
    known = stop("A")
    receipts = engaged(known)
    receipts.heard(A, replace(OPEN, status="inactive"), known, 100.1)

    assert standing(receipts, known) == Standing()
    assert receipts.overdue(known, 200.0) == []


def test_a_retired_agent_is_not_waited_for() -> None:
    known = stop("A")
    receipts = engaged(known)

    receipts.forget("a")
    receipts.forget("nobody")

    assert standing(receipts, known) == Standing()


def test_with_nothing_in_force_nobody_is_waited_for() -> None:
    assert standing(engaged(Stop()), Stop()) == Standing()


def test_receipts_of_a_released_trip_are_dropped_and_others_stay() -> None:
    known = stop("A", "B")
    receipts = engaged(known)
    receipts.heard(A, SHUT, known, 100.1)

    receipts.observe(stop("A"), 101.0)

    assert len(receipts.receipts("A")) == 1
    assert receipts.receipts("B") == []
    assert receipts.overdue(stop("A"), 200.0) == []


def test_the_time_of_a_trip_counts_from_when_it_was_first_seen() -> None:
    known = stop("A")
    receipts = engaged(known, at=100.0)
    receipts.observe(known, 105.0)

    (receipt,) = receipts.heard(A, SHUT, known, 106.0)

    assert receipt.halted_s == 6.0


def test_a_receipt_that_comes_before_the_trip_was_observed_took_no_time() -> None:
    (receipt,) = Receipts().heard(A, SHUT, stop("A"), 106.0)

    assert receipt.halted_s == 0.0


def test_the_fastest_receipt_is_first() -> None:
    known = stop("A")
    receipts = engaged(known)
    for name, at in (("z", 100.1), ("a", 100.3), ("m", 100.3)):
        receipts.heard(Sender(name, "g"), SHUT, known, at)

    assert [receipt.agent for receipt in receipts.receipts("A")] == ["z", "a", "m"]


def test_an_alert_is_due_after_two_seconds() -> None:
    known = stop("A")
    receipts = engaged(known)

    assert receipts.overdue(known, 101.9) == []
    assert receipts.overdue(known, 102.0) == ["a"]
    receipts.heard(A, SHUT, known, 102.1)
    assert receipts.overdue(known, 103.0) == []


def test_an_alert_is_due_for_the_trip_that_is_late_alone() -> None:
    receipts = engaged(stop("A"))
    receipts.heard(A, SHUT, stop("A"), 100.1)
    both = stop("A", "B")
    receipts.observe(both, 105.0)

    assert receipts.overdue(both, 106.0) == []
    assert receipts.overdue(both, 107.0) == ["a"]


def test_there_is_no_alert_for_agents_that_need_not_acknowledge() -> None:
    known = stop("A")
    receipts = Receipts()
    receipts.observe(known, 100.0)
    receipts.heard(Sender("s", "signals"), PLAIN, known, 100.0)

    assert receipts.overdue(known, 200.0) == []


def test_a_trip_that_was_not_observed_is_not_late() -> None:
    receipts = engaged(Stop())

    assert receipts.overdue(stop("A"), 200.0) == []


def test_a_managed_agent_whose_gate_stays_silent_is_ended_after_permit_and_a_second() -> None:
    known = stop("A")
    receipts = engaged(known)
    receipts.heard(TRADER, PLAIN, known, 100.0)  # without a gate: it is not ours to judge

    assert receipts.to_end(known, {"a", "t"}, 103.9) == []
    assert receipts.to_end(known, {"a", "t"}, 104.0) == ["a"]
    assert receipts.to_end(known, {"b"}, 104.0) == []
    receipts.heard(A, SHUT, known, 104.1)
    assert receipts.to_end(known, {"a"}, 105.0) == []


def test_the_group_that_an_agent_beats_with_now_counts() -> None:
    known = stop_of([trip("A", target=Target(Level.HALT, "group:g"))])
    receipts = engaged(known)
    receipts.heard(Sender("a", "h"), OPEN, known, 100.1)

    assert standing(receipts, known) == Standing()


def test_ids_by_the_thousand_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_AGENTS == 10_000
    monkeypatch.setattr(module, "MAX_AGENTS", 2)
    known, receipts = stop("A"), Receipts()

    found = [len(receipts.heard(Sender(name, "g"), SHUT, known, 100.0)) for name in "abca"]

    assert found == [1, 1, 0, 0]
    assert standing(receipts, known).acknowledged == ("a", "b")


def test_whether_an_agent_has_a_gate_is_what_its_beats_say() -> None:
    receipts = Receipts()
    receipts.heard(A, OPEN, Stop(), 1.0)
    receipts.heard(TRADER, PLAIN, Stop(), 1.0)

    assert receipts.has_gate("a")
    assert not receipts.has_gate("t")
    assert not receipts.has_gate("nobody")
    assert (receipts.group_of("t"), receipts.group_of("nobody")) == ("execution", None)
