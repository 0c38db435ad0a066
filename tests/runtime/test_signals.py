"""What signals do in a process of its own kind: this one."""

import os
import signal
from collections.abc import Callable

import gevent
import structlog
from orchestrator.runtime.signals import log_stacks, running_signals, stop_signals
from quiet_clock import quiet_s


def until(condition: Callable[[], object], limit_s: float = 5.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not in time"
        gevent.sleep(0.01)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_the_first_asks_to_stop_and_the_second_to_force_the_stop() -> None:
    with stop_signals() as signals:
        send(signal.SIGTERM)
        until(signals.stop.is_set)
        assert not signals.force.is_set()

        send(signal.SIGINT)

        until(signals.force.is_set)


def test_a_third_is_as_the_second() -> None:
    with stop_signals() as signals:
        for _ in range(3):
            signals.ask_to_stop()

        assert signals.stop.is_set()
        assert signals.force.is_set()


def test_each_signal_has_its_own_meaning() -> None:
    done: list[str] = []
    with (
        structlog.testing.capture_logs() as logs,
        running_signals(
            reload=lambda: done.append("reload"), emergency=lambda: done.append("emergency")
        ),
    ):
        send(signal.SIGHUP)
        until(lambda: done == ["reload"])
        send(signal.SIGUSR1)
        until(lambda: done == ["reload", "emergency"])
        send(signal.SIGUSR2)
        until(lambda: any(log["event"] == "stacks of all greenlets" for log in logs))


def test_a_reload_that_fails_ends_nobody() -> None:
    def fail() -> None:
        raise ValueError("broken")

    hub = gevent.get_hub()
    told: list[object] = []
    former, hub.handle_error = hub.handle_error, lambda *error: told.append(error)
    try:
        with running_signals(reload=fail, emergency=fail):
            send(signal.SIGHUP)
            until(lambda: len(told) == 1)
            send(signal.SIGUSR1)
            until(lambda: len(told) == 2)
    finally:
        hub.handle_error = former


def test_the_stacks_name_each_greenlet_and_where_it_waits() -> None:
    sleeper = gevent.spawn(gevent.sleep, 30)
    sleeper.name = "a-sleeper"
    gevent.sleep(0)
    with structlog.testing.capture_logs() as logs:
        log_stacks()

    stacks = {log["greenlet"]: log["stack"] for log in logs if log["event"] == "stack"}
    assert "a-sleeper" in stacks
    assert any("sleep" in frame for frame in stacks["a-sleeper"])
    sleeper.kill()
