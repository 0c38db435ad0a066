"""Actors' tests: a migrated database, and a small real actor that keeps what it is told."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from orchestrator.runtime import Actor, Address, start_actor, stop_actor
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.schema.migrator import migrate
from pydantic import SecretStr
from quiet_clock import quiet_s


class Sink(Actor):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def on_receive(self, message: Any) -> None:
        self.messages.append(message)

    def of(self, kind: type) -> list[Any]:
        """The messages of one class."""
        return [message for message in self.messages if isinstance(message, kind)]


@pytest.fixture
def new_sink() -> Iterator[Callable[[str], Sink]]:
    """Starts sinks by name; their address is `sink.address`."""
    sinks = []

    def make(name: str) -> Sink:
        sink = Sink()
        start_actor(sink, Address(name))
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        stop_actor(sink)


@pytest.fixture
def database(pg_url: str) -> Iterator[Database]:
    """An open pool on a fresh database with our tables."""
    made = Database(PostgresSettings(url=SecretStr(pg_url)))
    connection = made.connect_writer("tests")
    migrate(connection)
    connection.close()
    made.open()
    yield made
    made.close()


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Waits for a condition to be true, asking every 5 ms; fails the test at the limit."""

    def wait(condition: Callable[[], object], *, limit_s: float = 10.0) -> None:
        end = quiet_s() + limit_s
        while not condition():
            assert quiet_s() < end, f"not within {limit_s:g} s"
            gevent.sleep(0.005)

    return wait
