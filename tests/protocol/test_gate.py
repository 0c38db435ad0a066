from dataclasses import replace

import pytest
from orchestrator.protocol.gate import Gate, Resume, Shut, Verdict
from orchestrator.protocol.permit import Permit
from orchestrator.protocol.targets import STOP_ALL, Level, Permission, Target
from stops import AT

OPEN = Verdict(Permission.ALLOWED)
HALT, REDUCE = Level.HALT, Level.REDUCE


def permit(
    generation: int, releases: int = 0, *halted: Target, resumed: dict[str, int] | None = None
) -> Permit:
    return Permit(generation, "i", AT, 3000, halted, releases, resumed)


def gate(resume: Resume = Resume.ON_PERMIT) -> Gate:
    return Gate("a", "g", resume)


def read(gate: Gate, found: Permit | None, at: float, pttl_ms: int = 3000) -> Verdict:
    gate.read(found, pttl_ms=pttl_ms, sent_at_s=at, now_s=at)
    return gate.verdict(at)


def shut(why: Shut) -> Verdict:
    return Verdict(Permission.HALT, why)


@pytest.mark.parametrize("resume", Resume)
def test_it_starts_shut_and_opens_under_the_first_valid_permit(resume: Resume) -> None:
    g = gate(resume)

    assert g.verdict(0.0) == shut(Shut.NO_PERMIT)
    assert g.generation == 0
    assert read(g, permit(5), 1.0) == OPEN
    assert g.generation == 5


def test_a_permit_is_valid_from_the_sending_of_the_read_for_the_shorter_time() -> None:
    g = gate()

    g.read(permit(5), pttl_ms=1000, sent_at_s=10.0, now_s=10.5)

    assert g.verdict(10.999) == OPEN
    assert g.verdict(11.0) == shut(Shut.NO_PERMIT)


def test_an_answer_that_came_after_the_permits_end_opens_nothing() -> None:
    g = gate()

    g.read(permit(5), pttl_ms=1000, sent_at_s=10.0, now_s=11.0)

    assert g.verdict(11.0) == shut(Shut.NO_PERMIT)
    assert g.verdict(10.5) == shut(Shut.NO_PERMIT)
    assert g.generation == 0


def test_a_late_answer_shuts_a_gate_that_was_open() -> None:
    g = gate()
    read(g, permit(5), 10.0)

    g.read(permit(5), pttl_ms=100, sent_at_s=10.1, now_s=10.5)

    assert g.verdict(10.5) == shut(Shut.NO_PERMIT)


def test_a_permit_that_is_gone_shuts_at_once() -> None:
    g = gate()
    read(g, permit(5), 10.0)

    assert read(g, None, 10.1) == shut(Shut.NO_PERMIT)


@pytest.mark.parametrize("resume", Resume)
def test_after_a_mere_lapse_the_next_valid_permit_opens(resume: Resume) -> None:
    g = gate(resume)
    read(g, permit(5), 10.0)
    assert g.verdict(20.0) == shut(Shut.NO_PERMIT)

    assert read(g, replace(permit(5), issued_at="later"), 21.0) == OPEN
    assert read(g, None, 21.5) == shut(Shut.NO_PERMIT)
    assert read(g, permit(6), 22.0) == OPEN  # the daemon was started again


def test_a_stop_on_the_bus_shuts_until_a_higher_generation() -> None:
    g = gate()
    read(g, permit(5), 10.0)

    assert g.heard(STOP_ALL)
    assert g.verdict(10.0) == shut(Shut.WAITING)
    assert read(g, permit(5), 10.1) == shut(Shut.WAITING)
    assert read(g, permit(4), 10.2) == shut(Shut.WAITING)
    assert read(g, permit(6), 10.3) == OPEN


def test_a_stop_on_the_bus_that_concerns_others_shuts_nothing() -> None:
    g = gate()
    read(g, permit(5), 10.0)

    assert not g.heard(Target(HALT, "agent:b"))
    assert not g.heard(Target(HALT, "group:h"))
    assert not g.heard(Target(REDUCE, "agent:b"))
    assert g.verdict(10.0) == OPEN


def test_reduce_on_the_bus_narrows_until_a_higher_generation() -> None:
    g = gate()
    read(g, permit(5), 10.0)

    assert g.heard(Target(REDUCE, "group:g"))
    assert g.verdict(10.0) == Verdict(Permission.REDUCE)
    assert read(g, permit(5), 10.1) == Verdict(Permission.REDUCE)
    assert read(g, permit(5, 0, Target(REDUCE)), 10.2) == Verdict(Permission.REDUCE)
    assert read(g, permit(6), 10.3) == OPEN


def test_reduce_on_the_bus_opens_no_gate_that_is_shut() -> None:
    g = gate()
    g.heard(Target(REDUCE))
    assert g.verdict(10.0) == shut(Shut.NO_PERMIT)

    read(g, permit(5, 0, STOP_ALL), 10.0)
    g.heard(Target(REDUCE))

    assert g.verdict(10.0) == shut(Shut.STOPPED)


@pytest.mark.parametrize("scope", ["all", "group:g", "agent:a"])
def test_a_stop_on_the_bus_for_this_agent_shuts(scope: str) -> None:
    g = gate()
    read(g, permit(5), 10.0)

    assert g.heard(Target(HALT, scope))
    assert g.verdict(10.0) == shut(Shut.WAITING)


def test_a_stop_heard_before_the_first_permit_ends_with_it_unless_resumed_by_hand() -> None:
    by_itself, by_hand = gate(), gate(Resume.MANUAL)
    by_itself.heard(STOP_ALL)
    by_hand.heard(STOP_ALL)

    assert read(by_itself, permit(1), 10.0) == OPEN
    assert read(by_hand, permit(1), 10.0) == shut(Shut.MANUAL)


def test_a_rise_of_releases_means_a_stop_in_between() -> None:
    by_itself, by_hand = gate(), gate(Resume.MANUAL)
    for g in (by_itself, by_hand):
        read(g, permit(5, 1, resumed={"a": 5}), 10.0)

    assert read(by_itself, permit(6, 2), 10.1) == OPEN
    assert read(by_hand, permit(6, 2), 10.1) == shut(Shut.MANUAL)


def test_a_rise_of_releases_under_the_same_generation_keeps_it_shut() -> None:
    g = gate()
    read(g, permit(5, 1), 10.0)

    assert read(g, permit(5, 2), 10.1) == shut(Shut.WAITING)


def test_an_agent_that_starts_after_a_release_waits_for_a_person_where_it_resumes_by_hand() -> None:
    by_itself, by_hand = gate(), gate(Resume.MANUAL)

    assert read(by_itself, permit(5, 9), 10.0) == OPEN
    assert read(by_hand, permit(5, 9, resumed={"b": 5}), 10.0) == shut(Shut.MANUAL)
    assert read(by_hand, permit(6, 9), 10.1) == shut(Shut.MANUAL)  # the daemon was started again
    assert read(by_hand, permit(6, 9, resumed={"a": 6}), 10.2) == OPEN


def test_one_resumed_under_the_generation_that_it_starts_under_goes_on() -> None:
    g = gate(Resume.MANUAL)
    assert read(g, permit(5, 1), 10.0) == shut(Shut.MANUAL)

    assert read(g, permit(5, 1, resumed={"a": 5}), 10.1) == OPEN


def test_an_agent_that_was_resumed_since_the_last_release_starts_open() -> None:
    assert read(gate(Resume.MANUAL), permit(7, 1, resumed={"a": 5}), 10.0) == OPEN


def test_resumed_while_the_daemon_ended_counts_under_the_next_generation() -> None:
    g = gate(Resume.MANUAL)
    read(g, permit(5), 10.0)
    g.heard(STOP_ALL)

    assert read(g, permit(7, 1, resumed={"a": 6}), 11.0) == OPEN
    assert read(g, permit(8, 1, resumed={"a": 6}), 12.0) == OPEN


def test_releases_that_fall_are_no_stop() -> None:
    g = gate(Resume.MANUAL)
    read(g, permit(5, 9, resumed={"a": 5}), 10.0)

    assert read(g, permit(6, 0), 10.1) == OPEN


def test_a_release_during_a_lapse_is_seen_by_the_next_valid_permit() -> None:
    g = gate(Resume.MANUAL)
    assert read(g, permit(5, 1, resumed={"a": 5}), 10.0) == OPEN
    g.read(permit(6, 2), pttl_ms=100, sent_at_s=20.0, now_s=21.0)  # too late to count

    assert read(g, permit(6, 2), 22.0) == shut(Shut.MANUAL)


def test_resumed_by_hand_counts_only_for_this_agent_and_this_stop() -> None:
    g = gate(Resume.MANUAL)
    assert read(g, permit(5, 1, resumed={"a": 5}), 10.0) == OPEN
    g.heard(STOP_ALL)

    assert read(g, permit(6, 2), 11.0) == shut(Shut.MANUAL)
    assert read(g, permit(6, 2, resumed={"b": 6}), 12.0) == shut(Shut.MANUAL)
    assert read(g, permit(6, 2, resumed={"a": 5}), 13.0) == shut(Shut.MANUAL)  # of an earlier stop
    assert read(g, permit(6, 2, resumed={"a": 6}), 14.0) == OPEN
    assert read(g, permit(7, 3, resumed={"a": 6}), 15.0) == shut(Shut.MANUAL)
    assert read(g, permit(7, 3, resumed={"a": 7}), 16.0) == OPEN


def test_a_permit_that_halts_this_agent_shuts_it_and_its_release_is_a_stops_end() -> None:
    halted = Target(HALT, "agent:a")
    by_itself, by_hand = gate(), gate(Resume.MANUAL)

    for g in (by_itself, by_hand):
        read(g, permit(5), 10.0)
        assert read(g, permit(5, 0, halted), 10.1) == shut(Shut.STOPPED)
    assert read(by_itself, permit(5), 10.2) == shut(Shut.WAITING)
    assert read(by_itself, permit(6, 1), 10.3) == OPEN
    assert read(by_hand, permit(6, 1), 10.3) == shut(Shut.MANUAL)


def test_a_permit_of_a_higher_generation_that_halts_this_agent_keeps_it_halted() -> None:
    g = gate()
    read(g, permit(5, 0, Target(HALT, "group:g")), 10.0)

    assert read(g, permit(6, 0, Target(HALT, "group:g")), 11.0) == shut(Shut.STOPPED)
    assert read(g, permit(6, 1), 12.0) == shut(Shut.WAITING)
    assert read(g, permit(7, 1), 13.0) == OPEN


def test_under_reduce_the_gate_is_open_for_what_reduces() -> None:
    g = gate()

    assert read(g, permit(5, 0, Target(REDUCE)), 10.0) == Verdict(Permission.REDUCE)
    assert read(g, permit(5, 0, Target(REDUCE, "agent:b")), 10.1) == OPEN


def test_a_permit_for_others_stopped_is_open() -> None:
    assert read(gate(), permit(5, 0, Target(HALT, "agent:b")), 10.0) == OPEN


def test_of_several_stops_the_highest_generation_counts() -> None:
    g = gate()
    read(g, permit(7), 10.0)
    g.heard(STOP_ALL)
    read(g, permit(5), 10.1)
    g.heard(STOP_ALL)

    assert read(g, permit(6), 10.2) == shut(Shut.WAITING)
    assert read(g, permit(8), 10.3) == OPEN


def test_what_is_said_of_a_shut_gate_is_the_nearest_reason() -> None:
    g = gate(Resume.MANUAL)
    read(g, permit(5), 10.0)
    g.heard(STOP_ALL)

    assert g.verdict(13.0) == shut(Shut.NO_PERMIT)
    assert g.verdict(12.9) == shut(Shut.WAITING)


def test_the_last_permit_read_again_and_again_is_not_valid_for_longer() -> None:
    """As when the clock of Redis was set back an hour, and the daemon died."""
    g = gate()
    read(g, permit(5), 10.0, pttl_ms=3_603_000)

    for at in (10.25, 11.0, 12.9):
        assert read(g, permit(5), at, pttl_ms=3_603_000) == OPEN
    assert g.verdict(13.0) == shut(Shut.NO_PERMIT)
    for at in (13.0, 13.25, 3000.0):
        assert read(g, permit(5), at, pttl_ms=3_603_000) == shut(Shut.NO_PERMIT)
    assert read(g, permit(6), 3001.0, pttl_ms=3_603_000) == OPEN


def test_no_permit_is_valid_for_longer_than_the_contract_says() -> None:
    g = gate()
    forged = Permit(5, "i", AT, 3_600_000)

    assert read(g, forged, 10.0, pttl_ms=3_600_000) == OPEN

    assert g.verdict(13.0) == shut(Shut.NO_PERMIT)
