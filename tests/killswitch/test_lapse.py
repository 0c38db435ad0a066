"""A permit that has lapsed: the copies are asked before there is another one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gevent.event import Event as Signal
from orchestrator.killswitch.lease import Lease
from orchestrator.protocol.permit import KEY
from orchestrator.protocol.trips import Stop
from orchestrator.sql.stop_row import StopRow, StopText

from .conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.redis]
Wait = Callable[..., None]


def lapse(desk: Desk) -> None:
    """As after a freeze of ten seconds."""
    assert desk.link._turned_at is not None
    desk.link._turned_at -= 10


class HeldRow:
    """Answers of the row that are on their way for as long as ``held``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.arrived = Signal()
        read = StopRow.read

        def late(row: StopRow) -> StopText:
            text = read(row)
            self.waiting += 1
            self.arrived.wait()
            self.waiting -= 1
            return text

        monkeypatch.setattr(StopRow, "read", late)


@pytest.fixture
def held_row(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldRow]:
    held = HeldRow(monkeypatch)
    yield held
    held.arrived.set()


def test_after_a_lapse_no_permit_until_the_row_has_said_what_it_holds(
    desk: Desk, held_row: HeldRow, wait_until: Wait
) -> None:
    wait_until(lambda: desk.permit() is not None)
    wait_until(lambda: held_row.waiting)
    generation = desk.memory.stop.generation
    lapse(desk)

    wait_until(lambda: desk.status == "unknown")
    assert desk.copies.lease.permit() is None

    held_row.arrived.set()
    wait_until(lambda: desk.status == "inactive")
    with desk.redis as client:
        client.delete(KEY)
    wait_until(lambda: desk.permit() is not None)
    assert desk.memory.stop.generation == generation  # nothing was released


def test_an_answer_from_before_the_lapse_does_not_count(
    desk: Desk, held_row: HeldRow, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: desk.permit() is not None)
    wait_until(lambda: held_row.waiting)
    desk.put_row('{"enabled": true, "reason": "by SQL"}')
    lapse(desk)
    wait_until(lambda: desk.status == "unknown")
    allowed: list[Stop] = []
    monkeypatch.setattr(Lease, "allow", lambda _lease, stop: allowed.append(stop))

    held_row.arrived.set()

    wait_until(lambda: desk.status != "unknown")
    assert (desk.status, desk.reasons, allowed) == ("active", ["by SQL"], [])


def test_after_a_lapse_permits_go_on_while_postgresql_is_away(
    desk: Desk, postgres_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.permit() is not None)
    postgres_server.stop()
    try:
        wait_until(lambda: desk.row.error is not None)
        lapse(desk)
        wait_until(lambda: desk.link._turned_at is None or desk.status == "unknown")
        with desk.redis as client:
            client.delete(KEY)

        wait_until(lambda: desk.permit() is not None, limit_s=20)
    finally:
        postgres_server.start()


def test_a_permit_that_somebody_has_deleted_is_issued_after_the_row_was_asked(
    desk: Desk, held_row: HeldRow, wait_until: Wait
) -> None:
    wait_until(lambda: desk.permit() is not None)
    with desk.redis as client:
        client.delete(KEY)

    wait_until(lambda: desk.status == "unknown")
    assert desk.permit() is None

    held_row.arrived.set()
    wait_until(lambda: desk.permit() is not None)
