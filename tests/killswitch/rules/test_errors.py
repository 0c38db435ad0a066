from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.killswitch.rules.findings import State
from orchestrator.protocol.targets import Target

from .watching import Watch

SHARE: dict[str, Any] = {
    "kind": "errors",
    "channels": ["order.*"],
    "errors": ["order.rejected"],
    "max_share": 0.2,
    "min_events": 10,
    "window_s": 60,
}
COUNT: dict[str, Any] = {
    "kind": "errors",
    "errors": ["order.rejected"],
    "max_errors": 3,
    "window_s": 60,
}


def rejecting(**settings: Any) -> Watch:
    watch = Watch(**SHARE | settings)
    watch.pass_s(1)
    return watch


def orders(watch: Watch, good: int, bad: int, agent: str = "exec") -> None:
    watch.send(agent, "order.filled", good)
    watch.send(agent, "order.rejected", bad)


def test_three_readings_of_too_great_a_share_stop() -> None:
    watch = rejecting()
    orders(watch, 7, 3)

    assert watch.pass_s(2) == []
    [found] = watch.pass_s(1)

    assert (found.agent, found.counted, found.trip_id) == ("exec", 0.3, "T1")
    assert (found.channel, found.target) == ("order.rejected", Target())
    assert found.reason == ("rule r: exec: 3 of 10 messages within 60 s are errors, more than 20 %")


def test_a_share_that_is_just_reached_is_allowed() -> None:
    watch = rejecting(max_share=0.29)
    orders(watch, 71, 29)

    assert watch.pass_s(5) == []
    assert (watch.reading.state, watch.reading.value) == (State.GOOD, 0.29)


def test_of_too_few_messages_nothing_is_known() -> None:
    watch = rejecting()
    orders(watch, 0, 9)

    assert watch.pass_s(30) == []
    assert watch.reading.state is State.UNKNOWN
    assert watch.reading.words == (
        "exec: 9 of 9 messages within 60 s are errors, too few to judge (10)"
    )


def test_few_messages_between_are_neither_over_nor_good() -> None:
    watch = rejecting()
    orders(watch, 0, 10)
    watch.pass_s(2)
    assert watch.reading.in_a_row == 2
    watch.now += 60  # all are out of the window
    watch.pass_s(5)
    assert (watch.reading.state, watch.reading.in_a_row) == (State.UNKNOWN, 2)

    orders(watch, 0, 10)

    assert watch.pass_s(1)


def test_errors_may_be_counted_instead() -> None:
    watch = Watch(**COUNT)
    watch.send("exec", "order.rejected", 3)
    assert watch.pass_s(9) == []
    assert watch.reading.state is State.GOOD

    watch.send("exec", "order.rejected")

    [found] = watch.pass_s(9)
    assert (found.counted, found.reason) == (
        4,
        "rule r: exec: 4 of 4 messages within 60 s are errors, more than 3",
    )


def test_a_channel_of_errors_counts_even_where_it_is_spared() -> None:
    watch = Watch(**COUNT | {"errors": ["agent.error"], "per": "all"})

    watch.send("exec", "agent.error", 4)
    watch.send("exec", "agent.started", 4)

    [found] = watch.pass_s(9)
    assert (found.agent, found.counted) == ("(all)", 4)
    assert "4 of 4 messages" in found.reason


def test_each_agent_has_a_share_of_its_own() -> None:
    watch = rejecting(scope="agent", agents=["exec*"])
    watch.beat("exec-2", group="execution")
    orders(watch, 100, 0, "exec-1")
    orders(watch, 0, 10, "exec-2")
    orders(watch, 0, 10, "other")

    found = watch.pass_s(9)

    assert [(one.agent, one.group, one.target.scope) for one in found] == [
        ("exec-2", "execution", "agent:exec-2")
    ]
    assert (watch.reading.agent, watch.reading.in_a_row) == ("exec-2", 9)


def test_while_the_bus_is_not_heard_nothing_is_judged() -> None:
    watch = rejecting()
    watch.hears = False
    watch.pass_s(5)
    orders(watch, 0, 10)

    assert watch.pass_s(20) == []
    assert watch.reading.state is State.UNKNOWN

    watch.hears = True
    assert watch.pass_s(3)


def test_after_a_release_errors_of_before_it_count_no_more() -> None:
    watch = rejecting()
    orders(watch, 0, 20)
    [found] = watch.pass_s(5)
    watch.release(found.trip_id)

    assert watch.pass_s(20) == []
    orders(watch, 0, 9)
    assert watch.pass_s(5) == []
    orders(watch, 0, 1)

    [again] = watch.pass_s(5)
    assert again.trip_id == "T2"


def test_its_end_is_told_and_releases_nothing() -> None:
    watch = rejecting()
    orders(watch, 0, 10)
    watch.pass_s(5)

    orders(watch, 90, 0)
    [ended] = watch.pass_s(5)

    assert (ended.ended, ended.trip_id, ended.counted) == (True, "", 0.1)
    assert watch.stop.find("T1")


def test_a_dry_run_stops_nothing() -> None:
    watch = rejecting(dry_run=True)
    orders(watch, 0, 10)

    [found] = watch.pass_s(20)

    assert (found.trip_id, watch.violations) == ("", 1)


def test_what_it_holds_is_bounded_whoever_sends() -> None:
    watch = rejecting(min_events=1, readings=1)
    for number in range(1_050):
        orders(watch, 0, 1, f"a{number}")

    watch.pass_s(1)

    assert watch.violations == 1_001  # the others together


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 8), st.integers(0, 3)), max_size=15))
def test_a_reading_is_over_exactly_if_the_window_says_so(
    spells: list[tuple[int, int, int]],
) -> None:
    watch = rejecting(readings=1)
    sent = deque[tuple[float, bool]]()
    for seconds, good, bad in spells:
        orders(watch, good, bad)
        sent += [(watch.now, False)] * good + [(watch.now, True)] * bad
        watch.pass_s(seconds)

        within = [is_bad for at, is_bad in sent if watch.now - at < 60]
        near = any(59 <= watch.now - at <= 60 for at, _ in sent)  # a step is 0.6 s
        if sent and not near:
            is_over = sum(within) > 0.2 * len(within)
            expected = (
                (State.OVER if is_over else State.GOOD) if len(within) >= 10 else State.UNKNOWN
            )
            assert watch.reading.state is expected
