"""What systemd is told."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
from orchestrator.runtime.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(5)
        yield server


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_without_a_socket_nothing_is_done() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "1000"})

    notifier.ready("serving")
    with notifier.watched(lambda _: True):
        notifier.stopping("bye")


def test_ready_and_stopping_come_with_a_status(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))

    notifier.ready("serving")
    notifier.stopping("draining")

    assert manager.recv(100) == b"READY=1\nSTATUS=serving"
    assert manager.recv(100) == b"STOPPING=1\nSTATUS=draining"


def test_a_name_with_an_at_sign_is_abstract() -> None:
    name = f"orchestrator-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        server.settimeout(5)

        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready("x")

        assert server.recv(100).startswith(b"READY=1")


def test_signs_of_life_come_only_while_it_turns(manager: socket.socket) -> None:
    turns = True
    asked: list[float] = []

    def answer(limit_s: float) -> bool:
        asked.append(limit_s)
        return turns

    with Notifier(environment(manager, WATCHDOG_USEC="200000")).watched(answer):
        assert manager.recv(100) == b"WATCHDOG=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        turns = False
        count = len(asked)
        while len(asked) < count + 3:
            gevent.sleep(0.01)
    manager.setblocking(False)
    with suppress(BlockingIOError):  # one may have been on its way
        manager.recv(100)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    assert asked[0] == pytest.approx(0.05)


def test_a_watchdog_for_another_process_is_not_ours(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager, WATCHDOG_USEC="1000", WATCHDOG_PID="1"))

    assert notifier.watchdog_s == 0


def test_a_manager_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready("serving")
