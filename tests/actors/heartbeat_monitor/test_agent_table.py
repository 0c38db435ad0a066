"""The registry's rules, with time told by the test."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from orchestrator.actors.events import HEARTBEAT, Event
from orchestrator.actors.heartbeat_monitor.agent_table import (
    ERROR_LIMIT,
    LABEL_CHARS,
    MAX_AGENTS,
    AgentTable,
    RegistrySettings,
)
from orchestrator.actors.messages.heartbeat_monitor import Liveness
from orchestrator.sql.registry import AgentRow

TS = "2026-01-31T09:30:00.000Z"


def beat(agent_id: str = "a1", **fields: Any) -> Event:
    payload = {"agent_id": agent_id, **fields}
    return raw_beat(msgspec.json.encode(payload), channel=f"heartbeat.{agent_id}")


def raw_beat(payload: bytes, channel: str = "heartbeat.a1", source: str | None = None) -> Event:
    return Event(1, HEARTBEAT, payload, TS, source, channel=channel)


def table(*, visible: bool = True, **settings: Any) -> AgentTable:
    made = AgentTable(RegistrySettings(**settings))
    made.set_visible(visible, now=0)
    return made


def test_the_first_beat_registers_an_agent() -> None:
    agents = table()

    change = agents.beat(beat(name="Agent One", group="signals", status="active"), now=1)

    view = agents.view("a1", now=3)
    assert (change.event_type, change.reason) == ("agent.online", "first heartbeat")
    assert (view.name, view.agent_group, view.status) == ("Agent One", "signals", "active")
    assert (view.is_alive, view.seconds_since_beat, view.liveness) == (True, 2, Liveness.UP)


def test_an_id_that_looks_like_another_says_so() -> None:
    agents = table()
    for agent_id in ("quotes-agent", "quotes-\u0430gent"):
        agents.beat(beat(agent_id), now=0)

    assert agents.view("quotes-agent", now=0).id_note is None
    assert "CYRILLIC" in (agents.view("quotes-\u0430gent", now=0).id_note or "")


def test_two_processes_under_one_id_are_said_once_and_when_it_is_over() -> None:
    agents = table()
    told = [
        agents.beat(beat(boot=boot, interval_s=5), now=now)
        for now, boot in ((0, "a"), (1, "b"), (5, "a"), (6, "b"), (10, "a"), (26, "a"))
    ]

    assert [None if one is None else (one.event_type, one.reason) for one in told] == [
        ("agent.online", "first heartbeat"),
        None,
        ("agent.error", "2 processes beat under this id"),
        None,
        None,
        (None, "one process again"),
    ]
    assert agents.view("a1", now=26).instances == 1
    agents.beat(beat(boot="b", interval_s=5), now=27)
    agents.beat(beat(boot="a", interval_s=5), now=28)
    assert agents.view("a1", now=28).instances == 2


def test_a_restart_is_one_process() -> None:
    agents = table()
    for now, boot in ((0, "a"), (5, "a"), (6, "b"), (11, "b")):
        agents.beat(beat(boot=boot), now=now)

    assert agents.view("a1", now=11).instances == 1


def test_a_bare_beat_is_named_by_its_channel() -> None:
    agents = table()
    agents.beat(raw_beat(b"{}", channel="heartbeat.bare", source="someone-else"), now=0)

    view = agents.view("bare", now=0)

    assert (view.name, view.agent_group, view.status) == ("bare", "unknown", "active")


@pytest.mark.parametrize("payload", [b"[1]", b"5", b'"x"', b"null", b'{"agent_id": 7, "name": []}'])
def test_a_beat_of_any_shape_is_a_beat(payload: bytes) -> None:
    agents = table()

    agents.beat(raw_beat(payload), now=0)

    assert agents.view("a1", now=0).is_alive


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        ("active", "active"),
        ("healthy", "active"),
        ("ok", "active"),
        ("running", "active"),
        ("offline", "inactive"),
        ("stopped", "inactive"),
        ("inactive", "inactive"),
        ("error", "error"),
        ("failed", "error"),
        ("halted", "halted"),
        ("never heard of", "active"),
        (None, "active"),
        (5, "active"),
    ],
)
def test_the_reported_status_decides_the_column(reported: object, status: str) -> None:
    agents = table()

    agents.beat(beat(status=reported), now=0)

    assert agents.view("a1", now=0).status == status


def test_an_error_is_kept_with_its_text() -> None:
    agents = table()
    agents.beat(beat(), now=0)

    change = agents.beat(beat(status="error", last_error="no quotes"), now=1)

    assert (change.event_type, change.reason) == ("agent.error", "no quotes")
    assert agents.view("a1", now=1).last_error == "no quotes"


def test_the_same_beat_again_is_no_news() -> None:
    agents = table()
    agents.beat(beat(), now=0)

    assert agents.beat(beat(), now=5) is None


def test_an_agent_that_says_goodbye_is_offline_at_once() -> None:
    agents = table()
    agents.beat(beat(), now=0)

    change = agents.beat(beat(status="offline"), now=1)

    assert change.event_type == "agent.offline"
    assert not agents.view("a1", now=1).is_alive


def test_a_silent_agent_is_late_then_inactive() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(interval_s=2), now=0)

    late = agents.check(now=7)
    gone = agents.check(now=31)

    assert [(change.event_type, change.reason) for change in late] == [(None, "late")]
    assert [change.event_type for change in gone] == ["agent.offline"]
    assert agents.view("a1", now=31).status == "inactive"


def test_an_agent_goes_offline_once() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(), now=0)
    agents.check(now=31)

    assert agents.check(now=32) == []


def test_an_agent_that_returns_is_online_again() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(), now=0)
    agents.check(now=31)

    change = agents.beat(beat(), now=40)

    assert (change.event_type, change.reason) == ("agent.online", "heartbeat after silence")


def test_a_group_may_have_a_timeout_of_its_own() -> None:
    agents = table(timeout_s=300, group_timeouts={"exec*": 5})
    agents.beat(beat("fast", group="execution"), now=0)
    agents.beat(beat("slow", group="signals"), now=0)

    changes = agents.check(now=6)

    assert [change.agent_id for change in changes] == ["fast"]


def test_nobody_is_declared_gone_while_the_bus_cannot_be_seen() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(), now=0)
    agents.set_visible(False, now=1)

    changes = agents.check(now=1000)

    assert [(change.event_type, change.reason) for change in changes] == [(None, "unknown")]
    assert agents.view("a1", now=1000).status == "active"


def test_after_a_gap_the_timeout_begins_anew() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(), now=0)
    agents.set_visible(False, now=1)
    agents.set_visible(True, now=100)

    assert not [change for change in agents.check(now=129) if change.event_type]
    assert [change.event_type for change in agents.check(now=131)] == ["agent.offline"]


def test_being_told_twice_that_the_bus_is_visible_changes_nothing() -> None:
    agents = table(timeout_s=30)
    agents.beat(beat(), now=0)

    agents.set_visible(True, now=29)

    assert [change.event_type for change in agents.check(now=31)] == ["agent.offline"]


def test_loaded_agents_keep_their_age_and_are_not_alive_before_they_beat() -> None:
    agents = table()
    row = AgentRow("old", "Old", None, "active", "2026-01-31T09:00:00.000Z", None)
    agents.load([row], now=10, wall=datetime(2026, 1, 31, 9, 30, tzinfo=UTC))

    view = agents.view("old", now=10)

    assert (view.seconds_since_beat, view.is_alive) == (1800, False)
    assert view.liveness is Liveness.UNKNOWN


def test_loading_does_not_overwrite_what_was_heard_since() -> None:
    agents = table()
    agents.beat(beat(name="New name"), now=5)
    row = AgentRow("a1", "Old name", None, "inactive", TS, None)

    agents.load([row], now=6, wall=datetime.now(UTC))

    assert agents.view("a1", now=6).name == "New name"


def test_a_row_that_never_beat_is_dead() -> None:
    agents = table()
    agents.load([AgentRow("x", "x", None, "inactive", None, None)], now=0, wall=datetime.now(UTC))

    view = agents.view("x", now=0)

    assert (view.is_alive, view.seconds_since_beat, view.liveness) == (False, None, Liveness.DOWN)


def test_changed_rows_are_given_once_and_come_back_when_they_could_not_be_written() -> None:
    agents = table()
    agents.beat(beat(), now=0)

    rows = agents.take_dirty()
    assert agents.take_dirty() == []
    agents.mark_dirty(rows)

    assert agents.take_dirty() == rows


def test_the_newest_beat_comes_first() -> None:
    agents = table()
    for now, agent_id in enumerate(["first", "second", "third"]):
        agents.beat(beat(agent_id), now=now)

    assert [view.id for view in agents.views(now=5)] == ["third", "second", "first"]
    assert agents.count_alive(now=5) == len(agents) == 3


def test_a_flood_of_new_ids_does_not_fill_the_memory() -> None:
    agents = table()
    for number in range(MAX_AGENTS + 5):
        agents.beat(beat(f"a{number}"), now=0)

    assert (len(agents), agents.refused) == (MAX_AGENTS, 5)
    assert "a0" in agents


@pytest.mark.parametrize("interval", ["5", -1, 0, True, None, [1]])
def test_a_senseless_interval_counts_as_the_usual_one(interval: object) -> None:
    agents = table()
    agents.beat(beat(interval_s=interval), now=0)

    assert agents.view("a1", now=0).interval_s == 5.0


def test_a_returning_agent_that_reports_an_error_is_an_error() -> None:
    agents = table()

    change = agents.beat(beat(status="failed"), now=0)

    assert (change.event_type, change.reason) == ("agent.error", "not said")


def test_a_change_between_states_that_are_neither_off_nor_error_is_told_without_an_event() -> None:
    agents = table()
    agents.beat(beat(), now=0)

    change = agents.beat(beat(status="halted"), now=1)

    assert (change.event_type, change.reason) == (None, "halted")


@pytest.mark.parametrize("last_beat", ["20000-01-01T00:00:00.000Z", "infinity", "", "1/2/3"])
def test_a_row_with_a_time_that_no_calendar_has_is_loaded(last_beat: str) -> None:
    agents = table()

    row = AgentRow("a1", "A", None, "active", last_beat, None)
    agents.load([row], now=5, wall=datetime(2026, 1, 31, tzinfo=UTC))

    assert agents.view("a1", now=5).last_beat == last_beat


def written(agent_id: str, last_beat: str | None, name: str = "By SQL") -> AgentRow:
    return AgentRow(agent_id, name, "signals", "active", last_beat, None)


def test_rows_of_another_program_are_taken_if_they_are_newer() -> None:
    agents = table()
    agents.beat(beat("a1", name="Ours"), now=1)
    later, wall = "2026-01-31T09:31:00.000Z", datetime(2026, 1, 31, 9, 31, 5, tzinfo=UTC)

    rows = [written("a1", TS), written("a2", later), written("a3", None)]
    changes = agents.load(rows, now=10, wall=wall)

    assert [change.agent_id for change in changes] == ["a2", "a3"]
    assert agents.view("a1", now=10).name == "Ours"
    assert (agents.view("a2", now=10).seconds_since_beat, agents.view("a2", now=10).is_alive) == (
        5,
        True,
    )
    [change] = agents.load([written("a1", later)], now=11, wall=wall)
    assert (change.agent_id, agents.view("a1", now=11).name) == ("a1", "By SQL")
    assert agents.take_dirty() == [written("a1", later)]


def test_rows_of_another_program_do_not_fill_the_memory() -> None:
    agents = table()
    rows = (written(f"a{n}", None) for n in range(MAX_AGENTS + 3))

    agents.load(rows, now=0, wall=datetime.now(UTC))

    assert (len(agents), agents.refused) == (MAX_AGENTS, 3)


def test_what_an_agent_says_of_itself_is_kept_to_a_bound() -> None:
    agents = table()
    long = "x" * 3_000
    agents.beat(beat(name=long, group=long, version=long, status="error", error=long), now=0)

    view = agents.view("a1", now=0)
    assert (view.name, view.agent_group, view.version) == (long[:LABEL_CHARS],) * 3
    assert view.last_error == long[:ERROR_LIMIT]


def test_the_longest_id_there_may_be_is_whole() -> None:
    agents = table()
    event = beat("x" * 512)
    agents.beat(event, now=0)

    assert [view.id for view in agents.views(now=0)] == ["x" * 512]
    assert getattr(agents.sender_of(event), "agent", None) == "x" * 512
