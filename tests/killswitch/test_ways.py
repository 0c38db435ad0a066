"""Trip files on a real disk, SIGUSR1, the guard's reports."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from orchestrator.actors.messages.killswitch import Engage, FileFound, TakeTrip
from orchestrator.killswitch import ways as module
from orchestrator.killswitch.ways import TripFiles, Ways
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.trips import Trip
from orchestrator.protocol.ways import Way
from orchestrator.runtime import Actor, Address, Mailbox, OrchestratorError, start_actor, stop_actor

NAME = "TRIP.01J00000000000000000000000"


class Guard:
    """Whether there is one."""

    connected = False


class Keeper(Actor):
    """Answers trip files, once the latch works."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bytes]] = []
        self.latches = True

    def on_receive(self, message: FileFound) -> bool:
        self.found.append((message.name, message.data))
        if not self.latches:
            raise OrchestratorError("no disk")
        return True


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    start_actor(keeper, Address("killswitch"))
    yield keeper
    stop_actor(keeper)


@pytest.fixture
def files(tmp_path: Path, keeper: Keeper) -> Iterator[TripFiles]:
    files: Any = TripFiles(tmp_path, keeper.address, Guard())  # type: ignore[arg-type]
    greenlet = gevent.spawn(files.run)
    yield files
    greenlet.kill()
    files.close()


Wait = Callable[..., None]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["TRIP", "killswitch"])
def test_a_file_made_by_hand_is_found_once_and_stays(
    name: str, keeper: Keeper, tmp_path: Path, wait_until: Wait
) -> None:
    (tmp_path / name).write_text("fire")

    wait_until(lambda: keeper.found)
    gevent.sleep(3 * module.LOOK_S)

    assert keeper.found == [(name, b"fire")]
    assert (tmp_path / name).exists()


@pytest.mark.usefixtures("files")
def test_a_file_with_an_id_is_renamed_once_it_is_latched(
    keeper: Keeper, tmp_path: Path, wait_until: Wait
) -> None:
    (tmp_path / NAME).write_text("{}")

    wait_until((tmp_path / f"{NAME}.taken").exists)

    assert keeper.found == [(NAME, b"{}")]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "name", ["TRIP.x", "TRIP.txt", "trip", f"{NAME}.taken", "killswitch.latch"]
)
def test_other_files_are_none(name: str, keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")

    gevent.sleep(2 * module.LOOK_S)

    assert keeper.found == []


def test_links_and_fifos_are_none_and_hold_nothing_up(
    files: TripFiles, keeper: Keeper, tmp_path: Path, wait_until: Wait
) -> None:
    os.mkfifo(tmp_path / "TRIP")
    (tmp_path / "killswitch").symlink_to("/etc/hostname")
    (tmp_path / NAME).write_text("real")

    wait_until(lambda: keeper.found)

    assert [name for name, _ in keeper.found] == [NAME]
    assert files.hand_made() == []


@pytest.mark.usefixtures("files")
def test_only_4_kib_are_read(keeper: Keeper, tmp_path: Path, wait_until: Wait) -> None:
    (tmp_path / "TRIP").write_bytes(b"x" * 1_000_000)

    wait_until(lambda: keeper.found)

    assert len(keeper.found[0][1]) == 4096


def test_what_keeps_a_release_is_named(files: TripFiles, tmp_path: Path) -> None:
    (tmp_path / "TRIP").touch()
    (tmp_path / NAME).touch()

    assert files.hand_made() == ["TRIP"]


def test_a_guard_that_lives_goes_first(
    tmp_path: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr(Guard, "connected", True)
    files: Any = TripFiles(tmp_path, keeper.address, Guard())  # type: ignore[arg-type]
    greenlet = gevent.spawn(files.run)
    (tmp_path / "TRIP").touch()
    try:
        gevent.sleep(2 * module.LOOK_S)
        assert keeper.found == []
        wait_until(lambda: keeper.found, limit_s=3)
    finally:
        greenlet.kill()
        files.close()


def received(address: Address) -> list[Any]:
    found = []
    while not address.mailbox.empty():
        found.append(address.mailbox.get().message)
    return found


def guard_trip(way: Way, **fields: Any) -> Trip:
    return Trip("t1", "why", way, "2026-01-31T09:30:00.000Z", way=way, **fields)


def test_without_a_guard_a_signal_engages_at_once() -> None:
    address = Address("killswitch", Mailbox(10))

    Ways(address).signalled(Guard())  # type: ignore[arg-type]

    reason = "SIGUSR1 was sent to the daemon"
    assert received(address) == [Engage(reason, "signal", way=Way.SIGNAL)]


def test_a_signal_that_the_guard_has_seen_too_is_one_trip() -> None:
    address = Address("killswitch", Mailbox(10))
    ways = Ways(address)

    ways.guard_tripped(guard_trip(Way.SIGNAL))
    ways.signalled(Guard())  # type: ignore[arg-type]

    [message] = received(address)
    assert isinstance(message, TakeTrip)
    assert (message.trip.id, message.trip.way) == ("t1", Way.SIGNAL)


def test_the_guards_trip_is_taken_whole() -> None:
    address = Address("killswitch", Mailbox(10))
    trip = guard_trip(Way.FILE, target=Target(Level.REDUCE), alias="file:TRIP", identity="x")

    Ways(address).guard_tripped(trip)

    assert received(address) == [TakeTrip(trip)]
