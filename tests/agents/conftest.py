"""A bus to listen on, and agents that are stopped at the end of their test."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from bus_peers import Bus, Daemon
from orchestrator.agents import Agent
from quiet_clock import quiet_s


@pytest.fixture
def bus(redis_url: str) -> Iterator[Bus]:
    made = Bus(redis_url)
    yield made
    made.close()


@pytest.fixture
def daemon(redis_url: str) -> Iterator[Daemon]:
    """Issues no permit yet."""
    made = Daemon(redis_url)
    yield made
    made.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Waits for a condition, 10 s at most."""

    def wait(condition: Callable[[], object], limit_s: float = 10.0) -> None:
        end = quiet_s() + limit_s
        while not condition():
            assert quiet_s() < end, "not in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def running() -> Iterator[Callable[[Agent], threading.Thread]]:
    """Runs an agent beside the test, once it is subscribed; fails if one does not stop."""
    started: list[tuple[Agent, threading.Thread]] = []

    def run(agent: Agent, *, subscribed: bool = True) -> threading.Thread:
        thread = threading.Thread(target=agent.run, name=agent.agent_id, daemon=True)
        started.append((agent, thread))
        thread.start()
        while agent.engine.subscriber is None:
            time.sleep(0.001)
        assert not subscribed or agent.engine.subscriber.connected.wait(10)
        return thread

    yield run
    for agent, thread in started:
        agent.stop()
        thread.join(5)
        assert not thread.is_alive(), f"{agent.agent_id} does not stop"


@pytest.fixture
def mute_server() -> Iterator[str]:
    """Accepts every connection and never says a word, as behind a broken network."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])

    thread = threading.Thread(target=accept, name="mute-server", daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    listener.close()
    for connection in accepted:
        connection.close()
