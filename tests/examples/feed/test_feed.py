import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orchestrator.agents import Agent
from orchestrator.agents.testing import Bench

from ...conftest import wait_until


class Venue:
    """A feed that says what the test wants."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.options = {"port": self._listener.getsockname()[1], "retry_s": 0.01}
        self._client: socket.socket | None = None

    def accept(self) -> None:
        self._client = self._listener.accept()[0]

    def say(self, *lines: str) -> None:
        assert self._client is not None
        self._client.sendall("".join(f"{line}\n" for line in lines).encode())

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


@pytest.fixture
def venue() -> Iterator[Venue]:
    made = Venue()
    yield made
    made.close()


@pytest.fixture
def feed(bench: Bench, load: Any, venue: Venue) -> Iterator[Agent]:
    agent = bench.start(load("feed:Feed"), options=venue.options)
    venue.accept()
    yield agent
    bench.stop(agent)


def until(bench: Bench, condition: Callable[[], object]) -> None:
    """Let the feed read what has come; by the bench's clock no time passes."""
    wait_until(lambda: bench.advance(0) or condition())


def prices(bench: Bench) -> dict[str, float]:
    bench.advance(0.25)
    return {one.payload["symbol"]: one.payload["price"] for one in bench.published("data.*")}


def test_lines_become_quotes_and_of_each_symbol_the_last(
    bench: Bench, feed: Agent, venue: Venue
) -> None:
    venue.say("AAPL 190.25", "MSFT 420", "AAPL 190.5", "LAST 1")
    until(bench, lambda: "LAST" in feed.__dict__["_fresh"])

    assert prices(bench) == {"AAPL": 190.5, "MSFT": 420.0, "LAST": 1.0}
    assert bench.published("data.market.AAPL.1m", timeframe="1m", agent_id="feed-1")


def test_a_feed_that_hangs_up_is_an_error_until_it_is_back(
    bench: Bench, feed: Agent, venue: Venue
) -> None:
    venue.hang_up()
    until(bench, lambda: bench.heartbeat(feed)["status"] == "error")
    bench.advance(0.02)
    venue.accept()
    venue.say("AAPL 190.25")

    until(bench, lambda: bench.heartbeat(feed)["status"] == "active")
    assert prices(bench) == {"AAPL": 190.25}


def test_nonsense_is_an_error_with_its_words_and_no_quote(
    bench: Bench, feed: Agent, venue: Venue
) -> None:
    venue.say("AAPL much")

    until(bench, lambda: bench.heartbeat(feed)["status"] == "error")
    assert "could not convert string to float" in bench.heartbeat(feed)["last_error"]
    assert prices(bench) == {}
