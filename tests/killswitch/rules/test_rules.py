import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from orchestrator.actors.events import Event
from orchestrator.actors.messages.killswitch import Sender
from orchestrator.killswitch.rules.counts import MAX_COUNTED, OTHERS
from orchestrator.killswitch.rules.findings import ALL
from orchestrator.killswitch.rules.flood import GRACE_MS
from orchestrator.killswitch.rules.rules import Rules
from orchestrator.killswitch.rules.sent import UNNAMED
from orchestrator.killswitch.rules.settings import RuleSettings
from orchestrator.killswitch.rules.verdicts import MAX_TRIPS, Violation
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.timestamps import timestamp
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ways import Way
from stops import trip

NOON = 1_769_860_800.0
OPEN = GateBeat("active", GateState.OPEN, 7)
BEGAN = timestamp(NOON - 3600)


class Desk:
    """Rules, what is in force, and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.stop = Stop()
        numbers: Iterator[int] = itertools.count(1)
        rules = {"r": RuleSettings.model_validate(settings)}
        self.rules = Rules(
            rules, lambda: self.stop, began_at=BEGAN, new_id=lambda: f"T{next(numbers)}"
        )
        self.at_s = 0.0
        self.set_s = 0.0
        self.lag_s = 0.0
        self._ids = itertools.count(1)

    @property
    def now(self) -> float:
        """By the monotonic clock."""
        return self.at_s - self.set_s

    def set_clock(self, by_s: float) -> None:
        """Somebody sets the clock of the wall."""
        self.at_s += by_s
        self.set_s += by_s

    def beat(self, agent: str, group: str = "execution", beat: GateBeat = OPEN) -> None:
        self.rules.heard(Sender(agent, group), beat, self.now)

    def send(  # noqa: PLR0913 all that an event is made of
        self,
        agent: str | None = "a",
        *,
        channel: str = "strategy.order",
        after_s: float = 0.01,
        said: dict[str, Any] | None = None,
        source: str | None = None,
        payload: bytes | None = None,
    ) -> list[Violation]:
        """One message, so long after the last."""
        self.at_s += after_s
        fields = {} if agent is None else {"agent_id": agent}
        body = json.dumps(fields | (said or {})).encode() if payload is None else payload
        event = Event(next(self._ids), channel, body, timestamp(NOON + self.at_s), source)
        taken_ms = round((NOON + self.at_s + self.lag_s) * 1000)
        return self.rules.take([event], self.now + self.lag_s, taken_ms)

    def send_many(self, count: int, agent: str = "a", **fields: Any) -> list[Violation]:
        return [one for _ in range(count) for one in self.send(agent, **fields)]

    def engage(self, found: Violation) -> None:
        """As the Killswitch does."""
        by = f"rule:{found.rule}"
        self.stop = self.stop.with_trip(
            trip(found.trip_id, triggered_by=by, way=Way.RULE, target=found.target)
        )

    def halt(self, scope: str = "all", level: Level = Level.HALT) -> None:
        """By a person, now."""
        now = timestamp(NOON + self.at_s)
        self.stop = self.stop.with_trip(trip("H", at=now, target=Target(level, scope)))

    @property
    def violations(self) -> int:
        [state] = self.rules.states()
        return state.standing.violations


def flood(**settings: Any) -> Desk:
    return Desk(**{"kind": "messages", "messages": 3} | settings)


def test_one_message_more_than_allowed_is_a_violation() -> None:
    desk = flood()
    assert desk.send_many(3) == []

    [found] = desk.send()

    assert (found.agent, found.counted, found.trip_id) == ("a", 4, "T1")
    assert found.target == Target()
    expected = "rule r: a sent 4 messages within 1 s, more than 3, last on strategy.order"
    assert found.reason == expected


def test_so_many_in_a_longer_time_are_none() -> None:
    assert flood().send_many(50, after_s=0.34) == []


def test_each_agent_has_its_own_count() -> None:
    desk = flood()

    assert [desk.send(name) for name in "abcabcabc"] == [[]] * 9


def test_all_may_be_counted_together() -> None:
    desk = flood(per="all", channels=["agent.error"])

    found = [one for name in "abcd" for one in desk.send(name, channel="agent.error")]

    assert [(one.agent, one.counted) for one in found] == [(ALL, 4)]
    assert "all together sent 4 messages" in found[0].reason


@pytest.mark.parametrize("channel", ["heartbeat", "risk.limit", "bus.gap", "runtime.started"])
def test_some_channels_do_not_count_unless_they_are_named(channel: str) -> None:
    assert flood().send_many(9, channel=channel) == []
    assert flood(channels=[channel]).send_many(9, channel=channel)


@pytest.mark.parametrize("channel", ["risk.rule", "risk.killswitch"])
def test_what_a_rule_causes_never_counts(channel: str) -> None:
    assert flood(channels=["*"]).send_many(9, channel=channel) == []


def test_a_rule_may_be_for_some_agents_groups_and_channels() -> None:
    desk = flood(agents=["exec-*"], groups=["execution"], channels=["orders.*"])
    desk.beat("exec-1")
    desk.beat("exec-2", group="paper")

    assert desk.send_many(9, "exec-1") == []
    assert desk.send_many(9, "exec-2", channel="orders.new") == []
    assert desk.send_many(9, "exec-3", channel="orders.new") == []  # its group is not known
    assert desk.send_many(9, "other", channel="orders.new") == []
    assert desk.send_many(4, "exec-1", channel="orders.new")


def test_who_is_not_named_by_agent_id_is_named_by_source() -> None:
    desk = flood()
    for _ in range(3):
        desk.send(None, source="feed")

    [found] = desk.send(None, source="feed")

    assert found.agent == "feed"


@pytest.mark.parametrize("payload", [b"[1]", b'"text"', b'{"agent_id": 7}', b'{"agent_id": ""}'])
def test_what_names_nobody_is_counted_too(payload: bytes) -> None:
    desk = flood(scope="agent")
    for _ in range(3):
        desk.send(payload=payload)

    [found] = desk.send(payload=payload)

    assert (found.agent, found.target) == (UNNAMED, Target())


def test_it_is_asked_for_again_until_it_is_in_force_and_by_the_same_id() -> None:
    desk = flood()

    asked = [one.trip_id for one in desk.send_many(250)]

    assert asked == ["T1"] * 3  # at once, and each second


def test_while_its_stop_is_in_force_it_is_said_each_ten_seconds_and_asked_for_no_more() -> None:
    desk = flood()
    [found] = desk.send_many(4)
    desk.engage(found)

    more = desk.send_many(2_500)

    assert [one.trip_id for one in more] == ["", ""]
    assert desk.violations == 3


def test_after_a_release_what_was_counted_for_it_counts_no_more() -> None:
    desk = flood()
    [found] = desk.send_many(4)
    desk.engage(found)
    assert desk.send() == []
    desk.stop = desk.stop.with_release("T1", timestamp(NOON + desk.at_s))

    assert desk.send_many(3) == []
    [again] = desk.send()

    assert (again.trip_id, again.counted) == ("T2", 4)


def test_a_release_is_noted_although_its_trip_was_never_seen_in_force() -> None:
    desk = flood()
    [found] = desk.send_many(4)
    desk.engage(found)
    desk.stop = desk.stop.with_release("T1", timestamp(NOON + desk.at_s))

    assert desk.send_many(3) == []
    assert [one.trip_id for one in desk.send()] == ["T2"]


def test_a_release_of_one_agent_s_stop_leaves_the_count_of_another() -> None:
    desk = flood(scope="agent")
    [found] = desk.send_many(4, "a")
    desk.engage(found)
    desk.send_many(3, "b")

    desk.stop = desk.stop.with_release("T1", timestamp(NOON + desk.at_s))

    assert [one.agent for one in desk.send("b")] == ["b"]


def test_the_release_of_a_stop_that_covers_several_is_that_of_all_it_stands_for() -> None:
    desk = flood()
    [found] = desk.send_many(4, "a")
    desk.engage(found)
    desk.send_many(9, "b")

    desk.stop = desk.stop.with_release("T1", timestamp(NOON + desk.at_s))

    assert desk.send_many(3, "a") + desk.send_many(3, "b") == []


def test_its_stop_of_before_a_restart_is_its_stop() -> None:
    desk = flood()
    [found] = desk.send_many(4)
    after = flood()
    desk.engage(found)
    after.stop = desk.stop

    [seen] = after.send_many(5)

    assert seen.trip_id == ""
    assert after.rules.states()[0].trips == ["T1"]


def test_a_stop_by_somebody_else_does_not_keep_it_from_its_own() -> None:
    desk = flood()
    desk.halt()

    [found] = desk.send_many(4)

    assert found.trip_id == "T1"


def test_a_stop_of_one_agent_does_not_keep_it_from_that_of_another() -> None:
    desk = flood(scope="agent")
    [first] = desk.send_many(4, "a")
    desk.engage(first)

    [second] = desk.send_many(4, "b")

    assert (first.target.scope, second.target.scope) == ("agent:a", "agent:b")
    assert second.trip_id == "T2"


def test_so_many_stops_by_one_rule_stop_everything() -> None:
    desk = flood(scope="agent")
    for number in range(MAX_TRIPS):
        [found] = desk.send_many(4, f"a{number}")
        desk.engage(found)

    [found] = desk.send_many(4, "one more")

    assert found.target == Target()
    desk.engage(found)
    assert [one.trip_id for one in desk.send_many(40, "and one more")] in ([], [""])


def test_whoever_is_stopped_already_does_not_stop_everything_by_going_on() -> None:
    desk = flood(scope="agent")
    for number in range(MAX_TRIPS):
        [found] = desk.send_many(4, f"a{number}")
        desk.engage(found)

    found_since = desk.send_many(2_000, "a0")

    assert {one.trip_id for one in found_since} == {""}


def test_while_no_stop_comes_into_force_a_rule_asks_for_a_bounded_number() -> None:
    desk = flood(scope="agent")
    for _ in range(3):
        found = [one for n in range(100) for one in desk.send_many(9, f"a{n}", after_s=0.001)]

        asked = {one.trip_id: one.target for one in found if one.trip_id}
        assert len(asked) == MAX_TRIPS + 1
        assert list(asked.values()).count(Target()) == 1
        desk.at_s += 1


def test_a_dry_run_says_so_and_stops_nothing() -> None:
    desk = flood(dry_run=True)

    [found] = desk.send_many(500)

    assert (found.trip_id, found.target) == ("", Target())
    assert desk.violations == 1


def test_of_many_agents_at_once_one_is_said_each_second() -> None:
    desk = flood(dry_run=True)
    found = [
        one
        for _ in range(4)
        for number in range(100)
        for one in desk.send(f"a{number}", after_s=0.001)
    ]

    assert len(found) == 1
    [last] = desk.send("a0", after_s=2) + desk.send_many(4, "b")
    assert last.suppressed == 99
    assert desk.violations == 101


def test_beyond_a_thousand_agents_the_others_are_stopped_together() -> None:
    desk = flood(scope="agent")
    for number in range(MAX_COUNTED):
        desk.send(f"a{number}", after_s=0)

    found = [one for number in range(4) for one in desk.send(f"b{number}", after_s=0)]

    assert [(one.agent, one.target) for one in found] == [(OTHERS, Target())]


def test_what_the_daemon_before_this_one_took_in_does_not_count() -> None:
    desk = flood()
    desk.at_s, desk.lag_s = -4_000, 4_000

    assert desk.send_many(9) == []


def test_a_clock_that_is_set_back_makes_no_event_one_of_before_the_start() -> None:
    desk = flood()
    desk.set_clock(-7_200)

    assert desk.send_many(4)


@pytest.mark.parametrize("by_s", [-7_200, -30, 7_200])
def test_a_clock_that_is_set_makes_no_count_longer(by_s: float) -> None:
    desk = flood(window_s=60)
    desk.send_many(3)
    desk.set_clock(by_s)

    assert desk.send_many(3, after_s=20) == []


def test_while_the_clock_is_set_back_it_is_said_as_often_as_ever() -> None:
    desk = flood(dry_run=True)
    desk.send_many(4)
    desk.set_clock(-7_200)

    assert len(desk.send_many(2_500)) == 2


# -- acting after a stop -----------------------------------------------------------------------


def obeying(**settings: Any) -> Desk:
    desk = Desk(**{"kind": "acting"} | settings)
    desk.beat("a")
    return desk


def test_acting_after_a_stop_is_a_violation_once_the_permit_has_run_out() -> None:
    desk = obeying()
    assert desk.send() == []
    desk.halt()
    assert desk.send(after_s=GRACE_MS / 1000) == []

    [found] = desk.send(after_s=0.001)

    assert found.trip_id == "T1"
    assert found.reason == (
        "rule r: a acts after the stop H (halt all): 1 message within 1 s, last on strategy.order"
    )


@pytest.mark.parametrize(
    ("scope", "level", "broken"),
    [
        ("agent:a", Level.HALT, True),
        ("group:execution", Level.HALT, True),
        ("agent:b", Level.HALT, False),
        ("group:paper", Level.HALT, False),
        ("all", Level.REDUCE, False),  # which messages reduce is not known
    ],
)
def test_it_is_one_if_the_stop_concerns_the_agent(
    scope: str, level: Level, *, broken: bool
) -> None:
    desk = obeying()
    desk.halt(scope, level)

    assert bool(desk.send(after_s=5)) is broken


def test_agents_that_need_not_obey_may_go_on() -> None:
    desk = obeying()
    desk.beat("feed", "ingestion", GateBeat("active"))
    desk.beat("gated", "ingestion", OPEN)
    desk.halt()

    assert desk.send("feed", after_s=5) == []
    assert desk.send("unknown") == []
    assert desk.send("gated")


def test_facts_may_be_told_under_a_stop() -> None:
    desk = obeying(channels=["strategy.order"])
    desk.halt()

    assert desk.send(channel="strategy.fill", after_s=5) == []


def test_what_was_sent_before_the_stop_and_read_after_it_is_no_act() -> None:
    desk = obeying()
    sent = timestamp(NOON + desk.at_s)
    desk.halt()

    assert desk.send(after_s=60, said={"timestamp": sent}) == []
    assert desk.send(said={"timestamp": "yesterday"})


def test_the_sender_s_clock_cannot_make_it_later() -> None:
    desk = obeying()
    desk.halt()

    assert desk.send(after_s=1, said={"timestamp": timestamp(NOON + 900)}) == []


def test_a_clock_that_is_set_back_excuses_nobody() -> None:
    desk = obeying()
    desk.halt()
    assert desk.send() == []
    desk.set_clock(-7_200)

    assert desk.send(after_s=GRACE_MS / 1000 - 0.1) == []
    assert desk.send(after_s=0.2)


def test_what_was_read_before_the_stop_and_came_here_after_it_is_no_act() -> None:
    desk = obeying()
    desk.halt()
    desk.rules.take([], desk.now, 0)
    desk.lag_s = 60

    assert desk.send(after_s=1) == []


def test_nor_makes_it_an_act_what_was_sent_before_the_stop() -> None:
    desk = obeying()
    sent = timestamp(NOON + desk.at_s - 7_200)
    desk.halt()
    desk.send()
    desk.set_clock(-7_200)

    assert desk.send(after_s=60, said={"timestamp": sent}) == []


def test_after_the_release_it_may_act() -> None:
    desk = obeying()
    desk.halt()
    desk.stop = desk.stop.with_release("H", timestamp(NOON + 1))

    assert desk.send(after_s=60) == []
