"""Agents inside the daemon, on a real bus."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orchestrator.actors.agent_host.actor import AgentHost, AgentLeft
from orchestrator.agents import Agent, Event, on_event
from orchestrator.runtime import ActorFailed, Address, ExitKind, ping, start_actor, stop_actor
from quiet_clock import quiet_s

from .conftest import Bus, until

pytestmark = pytest.mark.redis


class Probe(Agent):
    """Repeats what it hears, and does what it is told."""

    agent_id = "probe"
    interval_s = 0.1

    @on_event("strategy.order")
    def on_order(self, event: Event) -> None:
        order = event.payload["order"]
        if order == "leave":
            sys.exit(3)
        if order == "stop":
            self.stop()
        if order == "hang":
            time.sleep(30)
        self.publish("strategy.done", {"order": order})


class Broken(Agent):
    """Does not start."""

    def on_start(self) -> None:
        raise RuntimeError("no licence")


Start = Callable[..., AgentHost]


@pytest.fixture
def host(bus: Bus) -> Iterator[Start]:
    """Starts an agent's host; in the end all are stopped."""
    hosts: list[AgentHost] = []

    def start(agent: type[Agent], **options: Any) -> AgentHost:
        actor = AgentHost(lambda: agent(redis_url=bus.url), **options)
        start_actor(actor, Address(agent.__name__))
        hosts.append(actor)
        return actor

    yield start
    for actor in hosts:
        stop_actor(actor)


def test_an_agent_inside_publishes_like_any_other(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe", status="active")

    bus.order("anything")

    assert bus.wait_for("strategy.done", order="anything")["agent_id"] == "probe"
    ping(actor.address, timeout_s=1)


def test_its_jobs_are_greenlets_of_the_actor(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe")

    names = sorted(greenlet.name for greenlet in actor.linked)

    assert names == ["Probe-handlers", "Probe-heart", "Probe-host", "Probe-reader"]


def test_a_stop_ends_it_with_a_last_heartbeat(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe")

    stop_actor(actor)

    assert actor.exit_kind is ExitKind.NORMAL
    assert not actor.linked
    bus.wait_for("heartbeat.probe", status="stopped")


def test_a_handler_that_waits_for_ever_is_killed_at_the_limit(bus: Bus, host: Start) -> None:
    actor = host(Probe, stop_timeout_s=0.2)
    bus.wait_for("heartbeat.probe")
    bus.order("hang")
    until(lambda: actor._agent and actor._agent.engine.health._running)

    began = quiet_s()
    stop_actor(actor)

    assert quiet_s() - began < 2
    assert actor.ended


def test_a_start_that_fails_is_the_actors_failure_and_is_told(bus: Bus, host: Start) -> None:
    actor = host(Broken)

    until(lambda: actor.ended)

    assert "RuntimeError: no licence" in str(actor.exit_error)
    bus.wait_for(
        "heartbeat.broken", status="error", last_error="on_start: RuntimeError: no licence"
    )


def test_code_that_ends_the_process_ends_the_actor_only(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe")

    bus.order("leave")
    until(lambda: actor.ended)

    cause = actor.exit_error.__cause__ if actor.exit_error else None
    assert isinstance(cause, AgentLeft)
    assert str(cause) == "agent probe raised SystemExit: 3"


def test_an_agent_that_stops_itself_ends_its_actor_normally(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe")

    bus.order("stop")

    until(lambda: actor.ended)
    assert actor.exit_kind is ExitKind.NORMAL


def test_a_killed_actor_leaves_no_job_behind(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    bus.wait_for("heartbeat.probe")

    actor.kill(ActorFailed("Probe", "test"))

    until(lambda: actor.ended)
    assert all(job.dead for job in actor._jobs)


def test_a_stop_before_the_agent_is_there_is_fine(host: Start) -> None:
    actor = host(Probe)

    stop_actor(actor)

    assert actor.exit_kind is ExitKind.NORMAL


def test_a_message_to_an_agents_actor_does_no_harm(bus: Bus, host: Start) -> None:
    actor = host(Probe)
    actor.address.tell("hello")
    bus.wait_for("heartbeat.probe")

    ping(actor.address, timeout_s=1)
