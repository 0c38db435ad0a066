import logging
from collections.abc import Callable
from typing import Any

import pytest
from orchestrator.agents import Agent, Event, on_event
from orchestrator.agents.unstored import MAX_CHANNELS, Unstored


def test_a_subscriber_but_oneself_may_store_it(caplog: pytest.LogCaptureFixture) -> None:
    unstored = Unstored(lambda _channel: 1, logging.getLogger("agent.x"))

    unstored.note("a", 2)
    assert caplog.records == []

    unstored.note("a", 1)
    unstored.note("a", 1)
    assert "no daemon stores what is published on a:" in caplog.text
    assert len(caplog.records) == 1


def test_channels_without_end_are_not_named_without_end(caplog: pytest.LogCaptureFixture) -> None:
    unstored = Unstored(lambda _channel: 0, logging.getLogger("agent.x"))

    for number in range(2 * MAX_CHANNELS):
        unstored.note(f"my.{number}", 0)

    assert len(caplog.records) == MAX_CHANNELS


class Chatty(Agent):
    """Listens to what it publishes itself, by two patterns."""

    agent_id = "chatty"

    @on_event("my.*")
    @on_event("my.own.*")
    def on_own(self, event: Event) -> None:
        """Nothing to do."""


@pytest.mark.redis
def test_its_own_copies_do_not_store_it(
    redis_url: str, running: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    agent = Chatty(redis_url=redis_url)
    running(agent)

    assert agent.publish("my.own.x", {}) == 2
    assert agent.publish("my.y", {}) == 1

    assert "published on my.own.x" in caplog.text
    assert "published on my.y" in caplog.text
