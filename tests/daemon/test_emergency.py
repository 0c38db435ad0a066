from pathlib import Path
from typing import Any

from orchestrator.actors.latch import Latch
from orchestrator.actors.messages.state_keeper import EngageKillswitch, EngageTrip
from orchestrator.daemon.emergency import Emergency
from orchestrator.runtime import Address, Mailbox
from orchestrator.runtime.guard import GuardTrip
from orchestrator.settings import Settings


def made(folder: Path) -> tuple[Emergency, Address]:
    keeper = Address("state-keeper", Mailbox(10))
    emergency = Emergency(
        Settings(),
        redis_url="redis://127.0.0.1:1/0",
        folder=folder,
        latch=Latch(folder / "latch"),
        state_keeper=keeper,
    )
    return emergency, keeper


def received(keeper: Address) -> list[Any]:
    found = []
    while not keeper.mailbox.empty():
        found.append(keeper.mailbox.get().message)
    return found


def trip(triggered_by: str) -> GuardTrip:
    return GuardTrip("t1", "why", triggered_by, "2026-01-31T09:30:00.000Z")


def test_the_guard_gets_the_places_of_this_daemon(tmp_path: Path) -> None:
    emergency, _ = made(tmp_path)

    orders = emergency.guard.orders
    assert orders.trip_file == str(tmp_path / "TRIP")
    assert orders.permit_key == "orchestrator:permit"
    assert Path(orders.latch).parent == tmp_path


def test_without_a_guard_a_signal_engages_here_and_at_once(tmp_path: Path) -> None:
    emergency, keeper = made(tmp_path)

    emergency.signalled()

    reason = "SIGUSR1 was sent to the daemon"
    assert received(keeper) == [EngageKillswitch(reason, "signal")]


def test_what_the_guard_has_engaged_is_put_in_force(tmp_path: Path) -> None:
    emergency, keeper = made(tmp_path)

    emergency.guard.on_trip(trip("file"))

    [message] = received(keeper)
    assert isinstance(message, EngageTrip)
    assert (message.trip.trip_id, message.trip.triggered_by) == ("t1", "file")


def test_a_signal_that_the_guard_has_seen_too_is_one_trip(tmp_path: Path) -> None:
    emergency, keeper = made(tmp_path)

    emergency.guard.on_trip(trip("signal"))
    emergency.signalled()

    assert [type(message) for message in received(keeper)] == [EngageTrip]
