from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.actors.canary import LOST_AFTER_S
from orchestrator.killswitch.rules.findings import State
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import Level, Target

from .watching import FRIDAY, Watch

HALTED = GateBeat("halted", GateState.SHUT, 7)
ENDED = GateBeat("inactive")


def quiet(at: datetime | None = None, **settings: Any) -> Watch:
    """May be silent for 10 s; three readings, one a second."""
    fields: dict[str, Any] = {"kind": "silence", "silent_s": 10, "agents": ["feed"]} | settings
    watch = Watch(at or FRIDAY, **fields)
    watch.pass_s(1)
    return watch


def test_three_readings_over_the_limit_stop() -> None:
    watch = quiet()
    watch.send("feed")

    assert watch.pass_s(12) == []
    [found] = watch.pass_s(1)

    assert (found.agent, found.counted, found.trip_id) == ("feed", 13, "T1")
    assert found.target == Target()
    assert found.reason == "rule r: feed published nothing for 13 s, more than 10 s"


def test_whoever_publishes_is_not_silent() -> None:
    watch = quiet()

    assert watch.pass_s(100, publishing="feed") == []
    assert (watch.reading.state, watch.reading.value) == (State.GOOD, 0)
    assert watch.pass_s(100, publishing="somebody else")


def test_a_heartbeat_is_no_message_unless_it_is_named() -> None:
    alive, beating = quiet(), quiet(channels=["heartbeat"])

    def pass_s(watch: Watch) -> list[Any]:
        found = []
        for _ in range(30):
            watch.beat("feed")
            watch.send("feed", "heartbeat")
            found += watch.pass_s(1)
        return found

    assert pass_s(alive)
    assert pass_s(beating) == []


def test_one_that_was_never_heard_is_silent_once_the_bus_was_heard_for_so_long() -> None:
    watch = quiet()

    assert watch.pass_s(10) == []
    assert watch.reading.state is State.UNKNOWN
    watch.pass_s(1)
    assert (watch.reading.state, watch.reading.in_a_row) == (State.OVER, 1)
    assert watch.pass_s(2)


def test_while_the_bus_is_not_heard_it_is_neither_silent_nor_good() -> None:
    watch = quiet()
    watch.send("feed")
    watch.pass_s(11)
    assert watch.reading.in_a_row == 1

    watch.hears = False
    assert watch.pass_s(300) == []
    assert (watch.reading.state, watch.reading.words) == (State.UNKNOWN, "the bus is not heard")

    watch.hears = True
    assert watch.pass_s(11) == []
    assert watch.reading.state is State.UNKNOWN  # it may have published meanwhile
    assert watch.pass_s(2)  # the third and the fourth over the limit


def test_no_moment_is_read_twice() -> None:
    watch = quiet()
    watch.send("feed")
    watch.pass_s(11)

    for _ in range(4):
        watch.now += 1
        assert watch.rules.read(watch.now, watch.at) == []

    assert watch.reading.in_a_row == 1


def test_what_was_missed_may_have_been_its_message() -> None:
    watch = quiet()
    watch.send("feed")
    watch.pass_s(9)
    watch.rules.ears.missed(watch.now)

    assert watch.pass_s(10) == []
    assert watch.reading.state is State.UNKNOWN
    assert watch.pass_s(3)


def test_readings_need_not_be_each_second() -> None:
    watch = quiet(readings=2, every_s=30)
    watch.send("feed")

    assert watch.pass_s(50) == []
    [found] = watch.pass_s(30)
    assert found.counted >= 40


def test_whom_a_pattern_means_is_watched_from_its_first_heartbeat_until_it_ends() -> None:
    watch = quiet(agents=["*"], groups=["ingestion"], scope="agent")
    watch.send("stranger")
    assert watch.pass_s(60) == []
    assert watch.reading.words == "no agent is known that it is about"

    watch.beat("feed-1")
    watch.beat("feed-2")
    watch.beat("exec-1", group="execution")
    watch.pass_s(5)
    watch.beat("feed-2", beat=ENDED)
    found = watch.pass_s(30)

    assert [(one.agent, one.group, one.target.scope) for one in found] == [
        ("feed-1", "ingestion", "agent:feed-1")
    ]


def test_whom_it_names_is_missed_although_it_said_that_it_ends() -> None:
    watch = quiet()
    watch.beat("feed", beat=ENDED)

    assert watch.pass_s(30)


def test_a_group_is_silent_when_nobody_in_it_publishes() -> None:
    watch = quiet(agents=["*"], groups=["ingestion"], per="all", level="reduce")
    watch.beat("feed-1")
    watch.beat("feed-2")
    assert watch.pass_s(60, publishing="feed-1") == []
    watch.send("feed-2")
    watch.pass_s(5)
    watch.send("feed-2")

    assert watch.pass_s(12, publishing="exec-1") == []
    [found] = watch.pass_s(1)

    assert (found.agent, found.target) == ("(all)", Target(Level.REDUCE))
    assert "all together published nothing for 13 s" in found.reason


def test_after_a_start_it_is_not_known_at_once_who_is_in_a_group() -> None:
    watch = quiet(agents=["*"], groups=["ingestion"], per="all", silent_s=2, readings=1)

    assert watch.pass_s(7, publishing="feed-1") == []
    watch.beat("feed-1")
    assert watch.pass_s(60, publishing="feed-1") == []
    assert watch.pass_s(3)


def test_a_group_of_which_nobody_ever_beats_is_silent() -> None:
    watch = quiet(agents=["*"], groups=["ingestion"], per="all", silent_s=2, readings=1)

    assert watch.pass_s(8, publishing="feed-1") == []
    assert watch.pass_s(1, publishing="feed-1")


def test_a_halted_agent_is_right_to_be_silent_while_it_says_so() -> None:
    watch = quiet()

    for _ in range(20):
        watch.beat("feed", beat=HALTED)
        assert watch.pass_s(5) == []

    assert watch.pass_s(13)


def test_one_silence_is_one_stop_and_the_next_begins_when_it_was_heard() -> None:
    watch = quiet()
    [found] = watch.pass_s(60)
    watch.release(found.trip_id)

    assert watch.pass_s(600) == []
    assert watch.reading.state is State.UNKNOWN
    assert watch.reading.words == "feed is silent still, since before the release"

    watch.send("feed")
    [again] = watch.pass_s(60)
    assert (again.trip_id, again.ended) == ("T2", False)


def test_a_release_does_not_disarm_it_for_whoever_had_no_part_in_it() -> None:
    watch = quiet(agents=["feed", "other"], scope="agent")
    watch.pass_s(20, publishing="other")
    watch.release("T1")

    found = watch.pass_s(20)

    assert [one.agent for one in found] == ["other"]


def test_its_end_is_told_once_and_releases_nothing() -> None:
    watch = quiet()
    [found] = watch.pass_s(60)

    [ended] = watch.pass_s(20, publishing="feed")

    assert (ended.ended, ended.trip_id) == (True, "")
    assert ended.reason == "rule r: feed is silent for 0 s"
    assert watch.stop.find(found.trip_id)
    assert watch.violations == 1


def test_a_dry_run_is_told_once_and_stops_nothing() -> None:
    watch = quiet(dry_run=True)

    [found] = watch.pass_s(600)

    assert (found.trip_id, found.target) == ("", Target())


def test_until_it_is_in_force_it_is_asked_for_each_second_by_the_same_id() -> None:
    watch = quiet()
    watch.engages = False

    assert [one.trip_id for one in watch.pass_s(16)] == ["T1"] * 4


def test_silence_counts_from_when_the_hours_begin() -> None:
    before = datetime(2026, 1, 30, 8, 29, 30, tzinfo=UTC)  # 09:29:30 in Berlin
    hours = {"from": "09:30", "to": "16:00", "zone": "Europe/Berlin", "days": ["fri"]}
    watch = quiet(before, **hours)
    assert watch.pass_s(28) == []
    assert watch.reading.words == "outside of its hours"

    assert watch.pass_s(13) == []
    [found] = watch.pass_s(1)

    assert watch.at == datetime(2026, 1, 30, 8, 30, 13, tzinfo=UTC)
    assert found.counted == 13


def test_over_midnight_a_silence_goes_on() -> None:
    evening = datetime(2026, 1, 30, 23, 59, 50, tzinfo=UTC)
    watch = quiet(evening)
    watch.send("feed")

    assert watch.pass_s(12) == []
    assert watch.pass_s(1)


def test_the_hour_that_comes_twice_is_no_end_of_a_silence() -> None:
    twice = datetime(2026, 10, 25, 0, 59, 55, tzinfo=UTC)  # 02:59:55, then 02:00 again
    watch = quiet(twice, zone="Europe/Berlin", **{"from": "02:00", "to": "04:00"})
    watch.send("feed")

    assert watch.pass_s(12) == []
    assert watch.pass_s(1)


def test_the_next_day_s_hours_are_a_new_silence() -> None:
    late = datetime(2026, 1, 30, 15, 59, tzinfo=UTC)
    watch = quiet(late, **{"from": "09:00", "to": "16:00"})
    first, ended = watch.pass_s(120)
    assert (first.trip_id, ended.ended, ended.reason) == (
        "T1",
        True,
        "rule r: outside of its hours",
    )
    watch.release("T1")

    watch.at = datetime(2026, 1, 31, 8, 59, 59, tzinfo=UTC)

    assert [one.trip_id for one in watch.pass_s(60)] == ["T2"]


@pytest.mark.parametrize("jump_s", [-7_200, 7_200])
def test_a_clock_that_is_set_makes_no_silence_and_ends_none(jump_s: int) -> None:
    watch = quiet()
    watch.send("feed")
    watch.pass_s(5)

    watch.at = datetime.fromtimestamp(watch.at.timestamp() + jump_s, UTC)

    assert watch.pass_s(7) == []
    assert watch.pass_s(1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 25), st.booleans(), st.booleans()), max_size=12))
def test_it_stops_exactly_if_heard_and_silent_for_long_enough(
    spells: list[tuple[int, bool, bool]],
) -> None:
    """Each spell: so many seconds, whether the bus is heard, whether a message ends it."""
    watch = quiet(readings=1)
    heard = since = watch.now
    last, expected, found = since, False, False
    for seconds, hears, publishes in spells:
        watch.hears = hears
        for _ in range(seconds):
            found = bool(watch.pass_s(1)) or found
            if hears:
                since = watch.now if watch.now - heard > LOST_AFTER_S else since
                heard = watch.now
                expected = expected or heard - max(since, last) > 10
        if publishes and hears:
            watch.send("feed")
            last = watch.now
    assert found is expected


def test_what_it_holds_is_bounded_whoever_beats() -> None:
    watch = quiet(agents=["*"], groups=["ingestion"])
    for number in range(1_050):
        watch.beat(f"feed-{number}")

    watch.pass_s(13)

    assert watch.violations == 1_000
