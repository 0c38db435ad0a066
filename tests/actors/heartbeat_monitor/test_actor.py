"""The registry's keeper, on a real PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import msgspec
import pytest
from orchestrator.actors.events import HEARTBEAT, Event
from orchestrator.actors.heartbeat_monitor.actor import HeartbeatMonitor
from orchestrator.actors.heartbeat_monitor.agent_table import AgentTable, RegistrySettings
from orchestrator.actors.messages.broadcaster import AgentStatusChanged
from orchestrator.actors.messages.event_persister import PersistEvents
from orchestrator.actors.messages.events import EventsJournalled
from orchestrator.actors.messages.heartbeat_monitor import (
    Canary,
    GetAgent,
    GetAgents,
    GetVisibility,
    SetBusVisible,
)
from orchestrator.actors.messages.killswitch import BeatsHeard, Hearing, Sender
from orchestrator.actors.messages.state_keeper import SetState
from orchestrator.actors.unread import NotRead
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.sql.database import Database
from orchestrator.sql.registry import AgentRegistry

pytestmark = pytest.mark.db


class Ward:
    """A monitor with its peers, which can be restarted."""

    def __init__(self, registry: AgentRegistry, new_sink: Callable[[str], Any]) -> None:
        self.registry = registry
        self.persister = new_sink("persister")
        self.screens = new_sink("broadcaster")
        self.keeper = new_sink("keeper")
        self.killswitch = new_sink("killswitch")
        self.address = Address("monitor")
        self.monitor: HeartbeatMonitor | None = None

    def start(self, timeout_s: float = 300) -> None:
        self.address = Address("monitor")
        self.monitor = HeartbeatMonitor(
            table=AgentTable(RegistrySettings(timeout_s=timeout_s), {"a1": "process"}),
            registry=self.registry,
            persister=self.persister.address,
            broadcaster=self.screens.address,
            state_keeper=self.keeper.address,
            killswitch=self.killswitch.address,
        )
        start_actor(self.monitor, self.address)
        self.address.tell(SetBusVisible(visible=True))

    def stop(self) -> None:
        if self.monitor is not None:
            stop_actor(self.monitor)

    def beat(self, agent_id: str, **fields: Any) -> None:
        payload = msgspec.json.encode({"agent_id": agent_id, **fields})
        event = Event(1, HEARTBEAT, payload, utc_now(), agent_id, channel=f"heartbeat.{agent_id}")
        self.address.tell(EventsJournalled((event,)))

    def agents(self, **filters: Any) -> Any:
        return self.address.ask(GetAgents(**filters), timeout_s=3)

    def visibility(self) -> Any:
        return self.address.ask(GetVisibility(), timeout_s=3)

    def event_types(self) -> list[str]:
        return [m.events[0].type for m in self.persister.of(PersistEvents)]


@pytest.fixture
def ward(database: Database, new_sink: Callable[[str], Any]) -> Iterator[Ward]:
    ward = Ward(AgentRegistry(database), new_sink)
    ward.start()
    yield ward
    ward.stop()


def test_a_beat_registers_shows_and_announces_the_agent(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    ward.beat("a1", name="One", group="g")

    agents = ward.agents()
    assert (agents.total, agents.active, agents.rows[0].kind) == (1, 1, "process")
    wait_until(lambda: ward.event_types() == ["agent.online"])
    wait_until(lambda: ward.screens.of(AgentStatusChanged))


def test_an_agent_that_flaps_is_shown_each_time_and_stored_three_times(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    for number in range(8):
        ward.beat("flapper", status="stopped" if number % 2 else "active")
    ward.agents()

    shown = [v.status for m in ward.screens.of(AgentStatusChanged) for v in m.agents]
    assert len([status for status in shown if status in ("active", "inactive")]) == 8
    wait_until(lambda: len(ward.event_types()) >= 3)
    payloads = [msgspec.json.decode(m.events[0].payload) for m in ward.persister.of(PersistEvents)]
    assert [one["count"] for one in payloads] == [1, 1, 1]
    assert ward.event_types() == ["agent.online", "agent.offline", "agent.online"]


def test_filters_choose_agents(ward: Ward) -> None:
    ward.beat("a1", group="g")
    ward.beat("a2", group="h", status="offline")

    assert [row.id for row in ward.agents(group="g").rows] == ["a1"]
    assert [row.id for row in ward.agents(status="inactive").rows] == ["a2"]
    assert [row.id for row in ward.agents(alive=False).rows] == ["a2"]
    assert ward.agents(alive=True).active == 1


def test_one_agent_is_asked_for_by_its_id(ward: Ward) -> None:
    ward.beat("a1")

    assert ward.address.ask(GetAgent("a1"), timeout_s=3).id == "a1"
    assert ward.address.ask(GetAgent("nobody"), timeout_s=3) is None


def test_the_registry_is_written_and_read_by_the_next_run(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    ward.beat("a1", name="One", group="g")
    ward.agents()
    ward.stop()

    assert [row.name for row in ward.registry.load()] == ["One"]
    ward.start()

    wait_until(lambda: ward.agents().total == 1)
    assert ward.agents().rows[0].name == "One"


def test_beats_are_written_in_batches(ward: Ward, wait_until: Callable[..., None]) -> None:
    for number in range(500):
        ward.beat(f"a{number}")

    wait_until(lambda: len(ward.registry.load()) == 500)


def test_a_silent_agent_goes_offline(ward: Ward, wait_until: Callable[..., None]) -> None:
    ward.stop()
    ward.start(timeout_s=0.2)
    ward.beat("a1")

    wait_until(lambda: ward.event_types()[-2:] == ["agent.online", "agent.offline"])
    wait_until(lambda: [row.status for row in ward.registry.load()] == ["inactive"])


def test_the_count_of_active_agents_goes_to_the_state(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    ward.beat("a1")

    wait_until(lambda: any(b'"count":1' in m.value for m in ward.keeper.of(SetState)))


def test_the_registry_lives_in_memory_while_postgresql_is_away(
    ward: Ward, database: Database
) -> None:
    assert ward.agents().total == 0
    database.close()

    ward.beat("a1")

    assert ward.agents().total == 1


def test_what_is_in_the_registry_is_unknown_while_it_was_never_read(
    ward: Ward, database: Database
) -> None:
    ward.stop()
    database.close()
    ward.start()
    ward.beat("a1")

    with pytest.raises(NotRead, match="no connection to PostgreSQL"):
        ward.agents(wait_s=0.01)

    assert ward.address.ask(GetAgent("a1"), timeout_s=3).id == "a1"
    assert ward.keeper.of(SetState) == []


def test_without_canaries_nobody_is_declared_gone_and_liveness_is_unknown(
    ward: Ward, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.heartbeat_monitor.actor.LOST_AFTER_S", 0.3)
    ward.stop()
    ward.start(timeout_s=1)
    ward.address.tell(SetBusVisible(True, canaries=("control",)))
    ward.beat("a1")
    assert ward.agents().rows[0].liveness == "unknown"
    assert not ward.visibility().visible

    ward.address.tell(Canary("control", time.monotonic()))
    assert ward.agents().rows[0].liveness == "up"
    assert ward.visibility().canary_rtt_s < 1

    wait_until(lambda: not ward.visibility().visible)  # none comes any more
    gevent.sleep(1.6)
    assert ward.agents().rows[0].liveness == "unknown"
    assert "agent.offline" not in ward.event_types()


def test_a_canary_of_another_connection_proves_nothing(ward: Ward) -> None:
    ward.address.tell(SetBusVisible(True, canaries=("control",)))
    ward.address.tell(Canary("data", time.monotonic()))

    assert not ward.visibility().visible


def test_heartbeats_go_to_the_killswitch_with_their_sender(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    ward.beat("a1", group="execution", interval_s=2, gate="shut", status="halted", trip_id="T1")

    wait_until(lambda: ward.killswitch.of(BeatsHeard))
    [heard] = ward.killswitch.of(BeatsHeard)
    assert heard.beats == (
        (Sender("a1", "execution", 2.0), GateBeat("halted", GateState.SHUT, trip_id="T1")),
    )


def test_the_killswitch_is_told_of_execution_agents_once_the_registry_is_read_and_beats_are_heard(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    def last() -> Hearing:
        heard: Hearing = ward.killswitch.of(Hearing)[-1]
        return heard

    ward.beat("trader", group="execution", interval_s=2)
    ward.beat("feed", group="ingestion")
    ward.beat("gone", group="execution", status="offline")
    wait_until(lambda: ward.killswitch.of(Hearing) and last().hears)

    wait_until(lambda: last().expected == (Sender("trader", "execution", 2.0),))
    ward.address.tell(SetBusVisible(visible=False))
    wait_until(lambda: last() == Hearing(False))


def test_after_a_restart_the_registry_says_who_is_expected(
    ward: Ward, wait_until: Callable[..., None]
) -> None:
    ward.beat("trader", group="execution")
    ward.agents()
    ward.stop()
    before = len(ward.killswitch.of(Hearing))

    ward.start()

    wait_until(lambda: any(one.expected for one in ward.killswitch.of(Hearing)[before:]))
    [*_, last] = ward.killswitch.of(Hearing)
    assert [sender.agent for sender in last.expected] == ["trader"]
