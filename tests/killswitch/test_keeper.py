"""The Killswitch on a real disk, PostgreSQL and Valkey."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from orchestrator.actors.events import REJECTED, Event
from orchestrator.actors.messages.durable_stream import StreamProgress
from orchestrator.actors.messages.events import StopFound, StopHeard, Surveyed
from orchestrator.actors.messages.killswitch import (
    BeatsHeard,
    FileFound,
    GetEffective,
    Hearing,
    ResumeAgent,
    Sender,
    TakeTrip,
)
from orchestrator.actors.messages.state_keeper import ShowState
from orchestrator.actors.payloads import reject
from orchestrator.killswitch import redis_link
from orchestrator.killswitch.latch import GUARD_NAME, GUARD_SLOT_BYTES, Latch
from orchestrator.killswitch.redis_link import RedisLink
from orchestrator.killswitch.slots import SLOTS, SlotFile
from orchestrator.killswitch.state import FileStillThere, NotLatched, NotResumable, WrongTrip
from orchestrator.protocol.document import read_document, write_document
from orchestrator.protocol.heartbeat import GateBeat, GateState
from orchestrator.protocol.targets import Level, Target
from orchestrator.protocol.timestamps import utc_now
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.protocol.ulid import new_ulid
from orchestrator.protocol.ways import Way
from orchestrator.runtime import stop_actor
from orchestrator.sql.events.stream_position import STREAM, StreamPosition, entry_id_of

from .conftest import STOP_KEY, Desk

pytestmark = [pytest.mark.db, pytest.mark.redis]
Wait = Callable[..., None]


def latched(desk: Desk) -> Stop:
    stop = Stop()
    for data in Latch(desk.folder).read().documents:
        stop = stop.union(read_document(data).stop)
    return stop


@contextmanager
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Writes of the latch do not return before the end."""
    (reader, writer), write = os.pipe(), Latch.write

    def hang(*arguments: Any, **fields: Any) -> None:
        os.read(reader, 1)  # as a disk, not as a greenlet
        write(*arguments, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(Latch, "write", hang)
        try:
            yield
        finally:
            os.close(writer)


def newest_slot(desk: Desk) -> Stop:
    return read_document(Latch(desk.folder).read().documents[0]).stop


# -- the first start, and the lease ------------------------------------------------------------


def test_a_first_start_is_inactive_and_issues_a_permit(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)

    permit = desk.permit()
    assert permit is not None
    assert permit.generation == latched(desk).generation > 0
    assert (permit.halted, permit.releases) == ((), 0)
    assert desk.key()["enabled"] is False


def test_the_permit_is_renewed_and_short(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)
    first = desk.permit()

    with desk.redis as client:
        left_ms = client.pttl("orchestrator:permit")

    assert 0 < left_ms <= 3000
    wait_until(lambda: desk.permit() != first, limit_s=3)


def test_a_stop_deletes_the_permit_before_it_is_answered(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)

    desk.engage()

    assert desk.permit() is None
    gevent.sleep(1.2)
    assert desk.permit() is None


def test_a_scoped_stop_is_in_the_permit(desk: Desk, wait_until: Wait) -> None:
    target = Target(Level.REDUCE, "group:g")

    desk.engage(target=target)

    wait_until(lambda: desk.permit() is not None and desk.permit().halted == (target,))


def test_a_release_raises_generation_and_count(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)
    before = desk.permit()

    desk.release(desk.engage().trip.id)

    wait_until(lambda: desk.permit() is not None)
    assert desk.permit().generation > before.generation
    assert desk.permit().releases == 1


def test_a_start_raises_the_generation(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)
    before = desk.permit().generation

    desk.restart()

    wait_until(lambda: desk.permit() is not None and desk.permit().generation > before)


def test_an_orderly_end_takes_the_permit_along(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)

    desk.stop()

    assert desk.permit() is None


def test_a_start_under_a_stop_issues_none(desk: Desk, wait_until: Wait) -> None:
    desk.engage()

    desk.restart()

    assert desk.status == "active"
    wait_until(lambda: desk.link.connected)
    gevent.sleep(1.2)
    assert desk.permit() is None


def test_a_key_that_another_has_written_is_not_renewed_over(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)
    with desk.redis as client:
        client.set(STOP_KEY, '{"enabled": true, "reason": "by hand"}')

    wait_until(lambda: desk.reasons == ["by hand"], limit_s=3)
    wait_until(lambda: desk.permit() is None)
    wait_until(lambda: [trip["reason"] for trip in desk.key()["trips"]] == ["by hand"])


# -- the door in -------------------------------------------------------------------------------


def test_an_engaged_stop_is_in_every_copy_published_streamed_and_shown(
    desk: Desk, wait_until: Wait
) -> None:
    with desk.redis as bus, bus.pubsub() as subscription:
        subscription.subscribe("risk.killswitch")
        assert subscription.get_message(timeout=5)

        engaged = desk.engage("fat finger")

        message = subscription.get_message(timeout=5)
    assert (engaged.held, engaged.published_to) == (True, 1)  # by the latch, the stream or both
    assert engaged.already_active is False
    trip_id = engaged.trip.id
    wait_until(lambda: latched(desk).find(trip_id) is not None)
    wait_until(desk.streamed)
    assert json.loads(message["data"]) == desk.streamed()[0]
    assert desk.streamed()[0]["trip_id"] == trip_id
    assert desk.stored() == []
    assert [trip["trip_id"] for trip in desk.key()["trips"]] == [trip_id]
    wait_until(lambda: desk.row_value()["trip_id"] == trip_id)
    [(shown, data)] = desk.notices()
    assert (shown, data["reason"], data["enabled"]) == (True, "fat finger", True)


def test_a_second_stop_is_a_trip_of_its_own_with_its_own_release(desk: Desk) -> None:
    first, second = desk.engage("one"), desk.engage("two")

    assert second.already_active
    still = desk.release(first.trip.id)
    assert [trip.reason for trip in still.view.stop.trips] == ["two"]
    assert desk.release(second.trip.id).view.status == "inactive"


def test_nul_and_length_of_a_reason_do_not_keep_it_from_any_copy(
    desk: Desk, wait_until: Wait
) -> None:
    desk.engage("a\0b" + "x" * 1000)

    wait_until(lambda: desk.row_value()["enabled"])
    assert len(desk.row_value()["trips"][0]["reason"]) == 500


def test_it_is_engaged_while_redis_is_away_and_published_when_it_is_back(
    desk: Desk, redis_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.link.connected)
    redis_server.kill()
    wait_until(lambda: not desk.link.connected)

    engaged = desk.engage("no bus")

    assert (engaged.latched, engaged.streamed, engaged.published_to) == (True, False, None)
    assert [event["reason"] for event in desk.stored()] == ["no bus"]
    redis_server.start()
    wait_until(lambda: desk.link.connected)
    wait_until(lambda: [trip["reason"] for trip in desk.key()["trips"]] == ["no bus"])
    wait_until(lambda: desk.not_events)
    assert [event["reason"] for event in desk.stored()] == ["no bus"]


def test_permits_are_issued_again_once_redis_is_back_as_it_was(
    desk: Desk, redis_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.permit() is not None)
    generation = desk.memory.stop.generation
    redis_server.kill()
    wait_until(lambda: not desk.link.connected)
    redis_server.start()
    with desk.redis as client:
        client.delete("orchestrator:permit")

    wait_until(lambda: desk.permit() is not None)

    assert desk.memory.stop.generation == generation


def test_however_long_redis_is_away_permits_are_issued_again_and_stops_published(
    desk: Desk, redis_server: Any, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []
    connect = RedisLink._connect

    def counted(link: RedisLink, tell: Any) -> None:
        attempts.append(link)
        connect(link, tell)

    monkeypatch.setattr(RedisLink, "_connect", counted)
    monkeypatch.setattr(redis_link, "RETRY_S", 0.001)
    redis_server.kill()
    wait_until(lambda: len(attempts) > 250, limit_s=30)
    redis_server.start()

    wait_until(lambda: desk.link.connected and desk.permit() is not None, limit_s=20)
    desk.engage("after all")
    assert [trip["reason"] for trip in desk.key()["trips"]] == ["after all"]


def test_redis_that_breaks_during_the_engage_loses_no_event(
    desk: Desk, redis_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.link.connected)
    redis_server.kill()

    desk.engage("cut")

    wait_until(lambda: [event["reason"] for event in desk.stored()] == ["cut"])
    redis_server.start()


def test_it_is_engaged_while_postgresql_is_away_and_written_when_it_is_back(
    desk: Desk, postgres_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.row_value() is not None)
    postgres_server.kill()

    engaged = desk.engage("no rows")

    assert (engaged.latched, engaged.persisted) == (True, False)
    postgres_server.start()
    wait_until(lambda: desk.row.held.find(engaged.trip.id), limit_s=20)
    assert desk.row_value()["trip_id"] == engaged.trip.id


def test_a_latch_that_fails_is_retried(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, fails = Latch.write, [True]

    def failing(latch: Latch, stop: Stop, **fields: Any) -> None:
        if fails:
            raise OSError(28, "No space left on device")
        write(latch, stop, **fields)

    monkeypatch.setattr(Latch, "write", failing)

    engaged = desk.engage()
    assert (engaged.latched, engaged.held) == (False, True)
    fails.clear()

    wait_until(lambda: latched(desk).find(engaged.trip.id))


def test_without_any_copy_it_is_answered_after_two_seconds_and_in_force(
    desk: Desk,
    redis_server: Any,
    postgres_server: Any,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Latch, "write", _refuse)
    redis_server.kill()
    postgres_server.kill()
    wait_until(lambda: not desk.link.connected)

    engaged = desk.engage("nowhere")

    assert not engaged.held
    assert desk.reasons == ["nowhere"]
    redis_server.start()
    postgres_server.start()


def _refuse(_latch: Latch, _stop: Stop, **_fields: Any) -> None:
    raise OSError(28, "No space left on device")


# -- the door out ------------------------------------------------------------------------------


def test_only_a_trip_in_force_is_released(desk: Desk) -> None:
    with pytest.raises(WrongTrip, match="not active"):
        desk.release("x")
    engaged = desk.engage()
    with pytest.raises(WrongTrip, match=engaged.trip.id):
        desk.release("x")


def test_a_release_is_an_event_of_its_own(desk: Desk, wait_until: Wait) -> None:
    first, second = desk.engage("one"), desk.engage("two")

    desk.release(first.trip.id)

    wait_until(lambda: len(desk.streamed()) == 3)
    event = desk.streamed()[-1]
    assert event["released"] == {"trip_id": first.trip.id, "reason": "over", "by": "bob"}
    assert event["enabled"] is True
    assert [trip["trip_id"] for trip in event["trips"]] == [second.trip.id]
    shown, data = desk.notices()[-1]
    assert (shown, data["trip_id"], data["reason"]) == (False, first.trip.id, "over")


def test_a_release_that_the_latch_does_not_take_does_not_count(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    engaged = desk.engage()
    monkeypatch.setattr(Latch, "write", _refuse)

    with pytest.raises(NotLatched):
        desk.release(engaged.trip.id)

    assert desk.status == "active"
    assert desk.key()["releases"] == []


def test_a_release_that_was_given_up_in_time_never_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk hangs with what is written before it; so the release has not begun."""
    engaged = desk.engage()
    monkeypatch.setattr("orchestrator.killswitch.keeper.GIVE_UP_S", 0.2)
    with hanging_disk(monkeypatch):
        desk.engage("another")  # its write hangs

        with pytest.raises(NotLatched, match=r"does not answer$"):
            desk.release(engaged.trip.id)

    assert "why" in desk.reasons
    desk.release(engaged.trip.id)
    assert desk.reasons == ["another"]


def test_a_release_that_the_disk_takes_late_counts_and_was_said_to(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    engaged = desk.engage()
    wait_until(lambda: desk.latch.held == desk.memory.stop)
    monkeypatch.setattr("orchestrator.killswitch.keeper.GIVE_UP_S", 0.2)
    with hanging_disk(monkeypatch):
        with pytest.raises(NotLatched, match="it counts if that still takes it"):
            desk.release(engaged.trip.id)
        with pytest.raises(WrongTrip, match="is being released"):
            desk.release(engaged.trip.id)
        assert desk.reasons == ["why"]

    wait_until(lambda: desk.reasons == [])
    wait_until(lambda: len(desk.streamed()) == 2)
    assert desk.streamed()[-1]["released"]["by"] == "bob"


def test_a_permit_of_before_goes_once_it_is_clear_that_nothing_is_known(
    new_desk: Callable[[], Desk], postgres_server: Any, wait_until: Wait
) -> None:
    desk = new_desk()
    with desk.redis as client:
        client.set("orchestrator:permit", b"of before", px=60_000)
    postgres_server.kill()

    desk.start()

    with desk.redis as client:
        wait_until(lambda: client.get("orchestrator:permit") is None)
    assert desk.status == "unknown"
    postgres_server.start()


def test_a_file_made_by_hand_keeps_a_release(desk: Desk) -> None:
    engaged = desk.engage()
    desk.hand_made = ["TRIP"]

    with pytest.raises(FileStillThere, match="TRIP"):
        desk.release(engaged.trip.id)


def test_a_release_in_redis_counts_for_nothing(desk: Desk, wait_until: Wait) -> None:
    engaged = desk.engage()
    forged = latched(desk).with_release(engaged.trip.id, utc_now())
    with desk.redis as client:
        client.set(STOP_KEY, write_document(forged))

    wait_until(lambda: desk.key()["trips"], limit_s=4)

    assert desk.status == "active"
    desk.restart()
    assert desk.status == "active"


def test_an_empty_key_and_false_in_the_row_release_nothing(desk: Desk, wait_until: Wait) -> None:
    engaged = desk.engage()
    wait_until(lambda: desk.row.held.find(engaged.trip.id))
    with desk.redis as client:
        client.delete(STOP_KEY)
    desk.put_row('{"enabled": false}')

    wait_until(lambda: desk.key() is not None, limit_s=4)
    wait_until(lambda: desk.row_value()["enabled"], limit_s=4)

    assert desk.status == "active"


def test_a_release_survives_while_postgresql_is_away(
    desk: Desk, postgres_server: Any, wait_until: Wait
) -> None:
    engaged = desk.engage()
    wait_until(lambda: desk.row.held.find(engaged.trip.id))
    postgres_server.kill()

    desk.release(engaged.trip.id)

    assert desk.status == "inactive"
    postgres_server.start()
    wait_until(lambda: desk.row_value()["enabled"] is False, limit_s=20)
    assert desk.status == "inactive"


# -- restarts ----------------------------------------------------------------------------------


@pytest.fixture
def unread(desk: Desk) -> StreamPosition:
    """The daemon has been started; its stream holds an entry that it has not read yet."""
    desk.stop()
    with desk.redis as bus:
        end = bus.xadd(STREAM, {"channel": "risk.killswitch", "payload": "{}"})
    desk.reads_stream = False
    desk.start()
    ms, seq = entry_id_of(end.decode())
    return StreamPosition(ms=ms, seq=seq)


def test_no_permit_before_the_durable_stream_is_read(
    desk: Desk, unread: StreamPosition, wait_until: Wait
) -> None:
    wait_until(lambda: desk.status == "inactive")
    gevent.sleep(1.5)  # one renewal at least
    assert desk.permit() is None

    desk.address.tell(StreamProgress(unread, None))

    wait_until(lambda: desk.permit() is not None)


def test_no_permit_before_the_journal_is_read(desk: Desk, wait_until: Wait) -> None:
    desk.stop()
    desk.start()
    desk.address.tell(Surveyed(done=False), urgent=True)
    wait_until(lambda: desk.status == "inactive")
    gevent.sleep(1.5)  # one renewal at least
    assert desk.permit() is None

    desk.address.tell(Surveyed(done=True), urgent=True)

    wait_until(lambda: desk.permit() is not None)


@pytest.mark.usefixtures("unread")
def test_a_stream_that_is_not_read_delays_permits_for_a_while_only(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.killswitch.unheard.LIMIT_S", 0.5)

    wait_until(lambda: desk.permit() is not None)


def test_it_survives_a_restart_and_is_published_again_without_an_event(desk: Desk) -> None:
    desk.engage("still")
    with desk.redis as bus, bus.pubsub() as subscription:
        subscription.subscribe("risk.killswitch")
        assert subscription.get_message(timeout=5)

        desk.restart()

        message = subscription.get_message(timeout=5)
    told = json.loads(message["data"])
    assert (told["enabled"], told["reason"]) == (True, "still")
    assert "durable" not in told
    assert desk.not_events == [message["data"]]
    assert len(desk.streamed()) == 1


def test_it_survives_another_data_directory(
    desk: Desk, new_desk: Callable[[], Desk], wait_until: Wait
) -> None:
    engaged = desk.engage("moved")
    desk.stop()

    other = new_desk()
    other.start()

    wait_until(lambda: other.reasons == ["moved"])
    wait_until(lambda: latched(other).find(engaged.trip.id))
    assert other.permit() is None


def test_a_new_incarnation_knows_what_no_copy_holds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Latch, "write", _refuse)
    desk.engage("in memory")
    assert desk.actor is not None
    stop_actor(desk.actor)
    desk.start_actor()

    assert desk.reasons == ["in memory"]


def test_with_both_servers_away_a_start_is_unknown_until_one_answers(
    desk: Desk, redis_server: Any, postgres_server: Any, wait_until: Wait
) -> None:
    wait_until(lambda: desk.permit() is not None)
    desk.stop()
    redis_server.kill()
    postgres_server.kill()

    desk.start()

    assert desk.status == "unknown"
    redis_server.start()
    wait_until(lambda: desk.status == "inactive", limit_s=10)
    wait_until(lambda: desk.permit() is not None, limit_s=5)
    postgres_server.start()


def test_a_stop_engaged_while_unknown_is_latched(
    new_desk: Callable[[], Desk], redis_server: Any, postgres_server: Any
) -> None:
    desk = new_desk()
    redis_server.kill()
    postgres_server.kill()
    desk.start()
    assert desk.status == "unknown"

    engaged = desk.engage("anyway")

    assert engaged.latched
    desk.restart()
    assert desk.reasons == ["anyway"]
    redis_server.start()
    postgres_server.start()


def test_a_damaged_latch_is_a_trip_and_kept_aside(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.permit() is not None)
    desk.stop()
    path = desk.folder / "killswitch.latch"
    path.write_bytes(b"x" * path.stat().st_size)

    desk.start()

    assert desk.status == "active"
    [trip] = desk.view().stop.trips
    assert trip.triggered_by == "damage:latch"
    assert list(desk.folder.glob("killswitch.latch.*.damaged"))
    wait_until(lambda: desk.view().unknown is None)
    assert desk.release(trip.id).view.status == "inactive"
    desk.restart()
    wait_until(lambda: desk.status == "inactive")


# -- rows that others write --------------------------------------------------------------------


def test_a_row_that_says_enabled_engages_within_two_seconds(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.row_value() is not None)

    desk.put_row('{"enabled": true, "reason": "by SQL"}')

    wait_until(lambda: desk.reasons == ["by SQL"], limit_s=2)
    assert desk.permit() is None
    assert [event["reason"] for event in desk.streamed()] == ["by SQL"]


def test_such_a_row_of_before_the_start_engages_once_and_is_released_once(
    desk: Desk, wait_until: Wait
) -> None:
    desk.stop()
    desk.put_row('{"enabled": true, "reason": "while it was down"}')
    desk.start()
    wait_until(lambda: desk.reasons == ["while it was down"])

    desk.release(desk.view().stop.trips[0].id)
    wait_until(lambda: desk.row_value()["enabled"] is False)
    desk.restart()

    wait_until(lambda: desk.status == "inactive")


def test_the_release_of_a_row_that_is_written_again_says_so(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.row_value() is not None)
    answers = []

    for _ in range(2):
        desk.put_row('{"enabled": true, "reason": "by SQL"}')
        wait_until(lambda: desk.reasons == ["by SQL"])
        answers.append(desk.release(desk.view().stop.trips[0].id).written_again)
        wait_until(lambda: desk.row_value()["enabled"] is False)

    assert answers == [False, True]


def test_a_damaged_row_is_a_trip(desk: Desk, wait_until: Wait) -> None:
    wait_until(lambda: desk.row_value() is not None)

    desk.put_row('"nonsense"')

    wait_until(lambda: desk.status == "active", limit_s=3)
    assert desk.view().stop.trips[0].triggered_by == "damage:postgres"
    wait_until(lambda: desk.row_value() != "nonsense")


# -- the bus -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [b'{"enabled": true}', b'{"enabled": "false"}', b"{}", b"[]", b'"stop"', b'{"enabled": 0}'],
)
def test_the_bus_engages(desk: Desk, payload: bytes, wait_until: Wait) -> None:
    desk.hear(payload)

    wait_until(lambda: desk.status == "active")


def test_a_message_that_could_not_be_stored_engages(desk: Desk, wait_until: Wait) -> None:
    desk.hear(reject("risk.killswitch", b"\xff", "not UTF-8"), type=REJECTED)

    wait_until(lambda: desk.status == "active")


def test_another_rejected_message_engages_nothing(desk: Desk) -> None:
    desk.hear(reject("risk.other", b"\xff", "not UTF-8"), type=REJECTED)

    assert desk.status == "inactive"


def test_the_bus_never_releases_and_is_told_again(desk: Desk, wait_until: Wait) -> None:
    desk.engage("still")
    told = len(desk.not_events)

    for _ in range(20):
        desk.hear(b'{"enabled": false}')

    wait_until(lambda: len(desk.not_events) > told)
    assert desk.status == "active"
    gevent.sleep(0.3)
    assert len(desk.not_events) == told + 1


def test_our_own_announcement_comes_back_as_the_same_trip_and_never_again(desk: Desk) -> None:
    engaged = desk.engage()
    with desk.redis as client:
        [(_, fields)] = client.xrange("orchestrator:events")
    desk.hear(fields[b"payload"])
    assert len(desk.view().stop.trips) == 1

    desk.release(engaged.trip.id)
    desk.hear(fields[b"payload"])
    desk.address.tell(StopHeard(Event(0, "risk.killswitch", fields[b"payload"], utc_now(), None)))

    assert desk.status == "inactive"


def test_a_forged_message_with_our_released_id_is_a_new_trip(desk: Desk) -> None:
    engaged = desk.engage()
    desk.release(engaged.trip.id)

    desk.hear(json.dumps({"enabled": True, "trip_id": engaged.trip.id}).encode())

    assert desk.status == "active"


def test_an_alias_that_was_released_engages_again(desk: Desk) -> None:
    desk.hear(b'{"enabled": true, "trip_id": "mine"}')
    desk.hear(b'{"enabled": true, "trip_id": "mine"}')
    [trip] = desk.view().stop.trips
    desk.release(trip.id)

    desk.hear(b'{"enabled": true, "trip_id": "mine"}')

    assert desk.status == "active"


def test_an_alias_of_any_length_can_be_released(desk: Desk) -> None:
    desk.hear(json.dumps({"enabled": True, "trip_id": "x" * 5000}).encode())

    [trip] = desk.view().stop.trips
    assert desk.release(trip.id).view.status == "inactive"


def test_noise_evicts_nobody(desk: Desk) -> None:
    engaged = desk.engage("the operator's")

    for number in range(150):
        desk.hear(json.dumps({"enabled": True, "trip_id": str(number)}).encode())

    assert engaged.trip.id in [trip.id for trip in desk.view().stop.trips]
    assert len(desk.view().stop.trips) == 101


def test_an_event_shown_again_after_a_restart_engages_nothing(desk: Desk, wait_until: Wait) -> None:
    event = Event(7, "risk.killswitch", b'{"enabled": true}', utc_now(), None)
    desk.hear(event.payload, id=7, ts=event.ts)
    desk.release(desk.view().stop.trips[0].id)
    desk.restart()

    desk.hear(event.payload, id=7, ts=event.ts)
    desk.address.tell(StopFound(event))

    wait_until(lambda: desk.status == "inactive")


def test_a_stop_of_before_the_start_engages_although_newer_ones_were_heard(desk: Desk) -> None:
    desk.hear(b'{"enabled": true}', id=9)

    old = Event(3, "risk.killswitch", b'{"enabled": true, "reason": "old"}', utc_now(), None)
    desk.release(desk.view().stop.trips[0].id)
    desk.address.tell(StopFound(old))

    assert desk.reasons == ["old"]


def test_two_daemons_on_one_bus_have_the_same_trip(
    desk: Desk, new_desk: Callable[[], Desk], wait_until: Wait
) -> None:
    other = new_desk()
    other.start()
    wait_until(lambda: other.status == "inactive")
    engaged = desk.engage()
    with desk.redis as client:
        [(_, fields)] = client.xrange("orchestrator:events")

    other.hear(fields[b"payload"], source="orchestrator")
    wait_until(lambda: other.not_events)
    desk.hear(other.not_events[-1], source="orchestrator")

    assert [trip.id for trip in other.view().stop.trips] == [engaged.trip.id]
    assert [trip.id for trip in desk.view().stop.trips] == [engaged.trip.id]


def test_a_stop_by_the_bus_is_the_event_that_it_came_with(desk: Desk, wait_until: Wait) -> None:
    desk.hear(b'{"enabled": true}')

    wait_until(lambda: desk.not_events)
    assert (desk.stored(), desk.streamed()) == ([], [])


# -- other ways --------------------------------------------------------------------------------


def test_the_guards_trip_keeps_its_id_and_is_no_second_event(desk: Desk, wait_until: Wait) -> None:
    trip = Trip("01GUARD", "silence", "guard", utc_now(), way=Way.GUARD)

    desk.address.tell(TakeTrip(trip))
    desk.address.tell(TakeTrip(trip))

    assert [known.id for known in desk.view().stop.trips] == ["01GUARD"]
    wait_until(lambda: latched(desk).find("01GUARD"))
    wait_until(lambda: desk.not_events)
    assert (desk.stored(), desk.streamed()) == ([], [])


def test_a_trip_file_is_answered_once_the_latch_holds_it(desk: Desk) -> None:
    name = "TRIP.01J00000000000000000000000"

    assert desk.ask(FileFound(name, b"fire")) is True
    assert [trip.reason for trip in latched(desk).trips] == ["fire"]
    assert desk.ask(FileFound(name, b"fire")) is True
    assert desk.reasons == ["fire"]


def test_one_order_that_comes_by_several_ways_is_one_trip(desk: Desk) -> None:
    name = new_ulid()

    by_http = [desk.engage("halt", trip_id=name) for _ in range(2)]
    desk.hear(json.dumps({"enabled": True, "trip_id": name}).encode(), source="orchestrator")
    assert desk.ask(FileFound(f"TRIP.{name}", b"halt")) is True

    assert [engaged.trip.id for engaged in by_http] == [name, name]
    assert by_http[1].latched
    assert [known.id for known in desk.view().stop.trips] == [name]
    assert len(desk.stored() + desk.streamed()) == 1


def test_a_trip_says_by_which_way_it_came(desk: Desk) -> None:
    desk.engage("actor", target=Target(Level.HALT, "agent:a"))
    desk.hear(b'{"enabled": true, "reason": "bus", "scope": "agent:b"}')
    in_stream = b'{"enabled": true, "reason": "stream", "scope": "agent:c"}'
    desk.hear(in_stream, channel="orchestrator:events")
    desk.ask(FileFound("TRIP", b"file"))

    ways = {known.reason: known.way.value for known in desk.view().stop.trips}
    assert ways == {"actor": "process", "bus": "bus", "stream": "stream", "file": "file"}


# -- agents ------------------------------------------------------------------------------------


def beat(desk: Desk, sender: Sender, **fields: Any) -> None:
    desk.address.tell(BeatsHeard(((sender, GateBeat(**fields)),)))


AGENT = Sender("a", "execution", 5.0)


def test_receipts_are_counted_by_trip(desk: Desk) -> None:
    beat(desk, AGENT, status="active", gate=GateState.OPEN, generation=1)
    engaged = desk.engage()
    assert engaged.standing.pending == ("a",)

    beat(desk, AGENT, status="halted", gate=GateState.SHUT, trip_id=engaged.trip.id)
    assert desk.view().standing.acknowledged == ("a",)
    assert desk.view().standing.quiet == ()

    beat(desk, AGENT, status="halted", gate=GateState.SHUT, trip_id=engaged.trip.id, open_orders=0)
    assert desk.view().standing.quiet == ("a",)
    assert not desk.view().standing.complete


def test_it_is_complete_once_it_is_known_who_must(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.killswitch.receipts.KNOWN_AFTER_S", 0.1)
    desk.engage()
    desk.address.tell(Hearing(True))
    wait_until(lambda: desk.view().standing.complete)

    assert desk.actor is not None
    stop_actor(desk.actor)  # with an incarnation die receipts
    desk.start_actor()

    assert not desk.view().standing.known
    desk.address.tell(Hearing(True, (AGENT,)))
    wait_until(lambda: desk.view().standing.known)
    assert desk.view().standing.pending == ("a",)


def test_an_agent_without_a_gate_is_said_to_have_none(desk: Desk) -> None:
    beat(desk, Sender("free", "research"), status="active")

    assert desk.engage().standing.without_gate == ("free",)


def test_a_halted_beat_with_an_unknown_trip_engages_it(desk: Desk) -> None:
    generation = desk.memory.stop.generation

    beat(
        desk,
        AGENT,
        status="halted",
        gate=GateState.SHUT,
        generation=generation,
        trip_id="elsewhere",
    )

    assert desk.status == "active"


def test_what_an_agent_may_do_follows_level_and_scope(desk: Desk) -> None:
    beat(desk, AGENT, status="active", gate=GateState.OPEN)
    beat(desk, Sender("c", "research"), status="active")
    desk.engage(target=Target(Level.REDUCE, "group:execution"))
    desk.engage(target=Target(Level.HALT, "agent:b"))

    assert desk.ask(GetEffective("a")).permission == "reduce"
    assert desk.ask(GetEffective("b")).permission == "halt"
    assert desk.ask(GetEffective("c")).permission == "allowed"


def test_an_agent_with_a_gate_is_resumed_by_name(desk: Desk, wait_until: Wait) -> None:
    beat(desk, AGENT, status="halted", gate=GateState.SHUT)
    engaged = desk.engage()
    with pytest.raises(NotResumable, match="release it first"):
        desk.ask(ResumeAgent("a", "anna"))
    desk.release(engaged.trip.id)

    generation = desk.ask(ResumeAgent("a", "anna"))

    wait_until(lambda: desk.permit() and desk.permit().resumed_under("a") == generation)
    with pytest.raises(NotResumable, match="gate"):
        desk.ask(ResumeAgent("nobody", "anna"))


def test_a_resumed_agent_stays_resumed_over_a_restart_until_the_next_release(
    desk: Desk, wait_until: Wait
) -> None:
    beat(desk, AGENT, status="halted", gate=GateState.SHUT)
    desk.release(desk.engage().trip.id)
    generation = desk.ask(ResumeAgent("a", "anna"))
    wait_until(lambda: dict(latched(desk).resumed) == {"a": generation})

    desk.restart()

    wait_until(lambda: desk.permit() and desk.permit().generation > generation)
    assert desk.permit().resumed == {"a": generation}
    desk.release(desk.engage().trip.id)
    wait_until(lambda: desk.permit() and desk.permit().releases == 2)
    assert desk.permit().resumed == {}


def test_old_releases_are_forgotten_once_every_copy_holds_them_and_still_count(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    engaged = desk.engage()
    desk.release(engaged.trip.id)
    wait_until(lambda: len(desk.key()["releases"]) == len(desk.row_value()["releases"]) == 1)
    desk.stop()
    monkeypatch.setattr("orchestrator.killswitch.keeper.FORGET_S", 0.1)
    monkeypatch.setattr("orchestrator.protocol.trips.REMEMBERED_S", -1.0)

    desk.start()

    wait_until(lambda: newest_slot(desk).releases == ())
    wait_until(lambda: desk.key()["releases"] == desk.row_value()["releases"] == [])
    wait_until(lambda: desk.permit() is not None)
    assert desk.permit().releases == 1
    desk.restart()
    wait_until(lambda: desk.permit() is not None)
    assert (desk.permit().releases, desk.status) == (1, "inactive")


def test_a_release_is_kept_while_a_copy_may_bring_its_trip_back(
    desk: Desk, redis_server: Any, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    engaged = desk.engage()
    desk.release(engaged.trip.id)
    desk.stop()
    monkeypatch.setattr("orchestrator.killswitch.keeper.FORGET_S", 0.05)
    monkeypatch.setattr("orchestrator.protocol.trips.REMEMBERED_S", -1.0)
    guards = SlotFile(desk.folder / GUARD_NAME, GUARD_SLOT_BYTES)
    guards.write(write_document(Stop().with_trip(engaged.trip)))
    redis_server.kill()

    desk.start()

    gevent.sleep(0.3)
    assert len(latched(desk).releases) == 1
    redis_server.start()
    wait_until(lambda: desk.link.held == desk.memory.stop)
    gevent.sleep(0.3)
    assert len(latched(desk).releases) == 1
    for _ in range(SLOTS):
        guards.write(write_document(Stop()))
    wait_until(lambda: newest_slot(desk).releases == ())


def test_the_guard_is_told_whether_everything_is_stopped(desk: Desk) -> None:
    desk.engage(target=Target(Level.HALT, "agent:b"))
    assert desk.halted[-1] is False

    engaged = desk.engage()
    assert desk.halted[-1] is True

    desk.release(engaged.trip.id)
    assert desk.halted[-1] is False


def test_a_managed_agent_whose_gate_says_nothing_is_ended(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.killswitch.receipts.END_S", 0.2)
    desk.managed.add("a")
    beat(desk, AGENT, status="active", gate=GateState.OPEN, generation=1)

    desk.engage()

    wait_until(lambda: desk.silent == ["a"], limit_s=5)


def test_files_of_the_old_form_are_read_once(
    new_desk: Callable[[], Desk], wait_until: Wait
) -> None:
    desk = new_desk()
    desk.folder.mkdir()
    trip = {"trip_id": "01OLD", "reason": "old", "triggered_by": "anna", "at": utc_now()}
    old = {"enabled": True, "trip_id": "01OLD", "trips": [trip], "revision": 3}
    for name, fields in (
        ("latch", old),
        ("guard", trip | {"trip_id": "01GUARD", "reason": "silence"}),
    ):
        body = json.dumps(fields).encode()
        (desk.folder / f"killswitch.{name}").write_bytes(b"%08x\n" % zlib.crc32(body) + body)

    desk.start()

    assert sorted(desk.reasons) == ["old", "silence"]
    wait_until(lambda: desk.view().unknown is None)
    wait_until(lambda: latched(desk).find("01OLD") and latched(desk).find("01GUARD"))


# -- stops that come while a release is under way ----------------------------------------------


@pytest.mark.parametrize("name", ["", "desk-1"])
def test_a_stop_that_comes_while_another_is_released_does_not_end_with_it(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    desk.hear(json.dumps({"enabled": True, "reason": "first", "trip_id": name}).encode())
    wait_until(lambda: desk.reasons == ["first"])
    wait_until(lambda: desk.latch.held == desk.memory.stop)
    [first] = desk.view().stop.trips

    with hanging_disk(monkeypatch):
        releasing = gevent.spawn(desk.release, first.id)
        wait_until(lambda: desk.actor is not None and first.id in desk.actor._releases)
        desk.hear(json.dumps({"enabled": True, "reason": "second", "trip_id": name}).encode())
        wait_until(lambda: desk.reasons == ["first", "second"])
    releasing.get(timeout=20)

    assert desk.reasons == ["second"]
    assert desk.permit() is None


def test_a_trip_file_that_is_made_while_the_last_one_is_released_stays_in_force(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ask(FileFound("TRIP", b"first"))
    wait_until(lambda: desk.latch.held == desk.memory.stop)
    [first] = desk.view().stop.trips

    with hanging_disk(monkeypatch):
        releasing = gevent.spawn(desk.release, first.id)
        wait_until(lambda: desk.actor is not None and first.id in desk.actor._releases)
        desk.address.tell(FileFound("TRIP", b"second"))
        wait_until(lambda: desk.reasons == ["first", "second"])
    releasing.get(timeout=20)

    assert desk.reasons == ["second"]


def test_a_forged_generation_in_redis_does_not_keep_a_release_from_raising_it(
    desk: Desk, wait_until: Wait
) -> None:
    engaged = desk.engage()
    forged = write_document(Stop(generation=2**53 - 1))

    with desk.redis as client:
        client.set(STOP_KEY, forged)
    wait_until(lambda: desk.key()["enabled"] is True)
    before = desk.memory.stop.generation
    desk.release(engaged.trip.id)

    assert before < desk.memory.stop.generation < 2**53 - 1


def test_a_release_that_failed_is_not_found_on_the_disk_later(
    desk: Desk, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync fails once all is written: what a killed daemon leaves is read from the cache."""
    engaged = desk.engage()
    wait_until(lambda: desk.latch.held == desk.memory.stop)
    real, failures = os.fsync, iter([OSError(5, "Input/output error")])

    def fsync(descriptor: int) -> None:
        real(descriptor)
        for error in failures:
            raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(NotLatched, match="not released"):
        desk.release(engaged.trip.id)

    assert latched(desk).find(engaged.trip.id) is not None
    assert desk.reasons == ["why"]


def test_what_is_not_known_is_not_shown_as_allowed_among_the_values(
    new_desk: Callable[[], Desk], postgres_server: Any, wait_until: Wait
) -> None:
    desk = new_desk()
    postgres_server.kill()

    desk.start()
    wait_until(lambda: "PostgreSQL is away" in (desk.view().unknown or ""))
    shown = [json.loads(one.value) for one in desk.state_keeper.of(ShowState)]

    assert shown
    assert {(value["enabled"], value.get("status")) for value in shown} == {(True, "unknown")}
    desk.engage()
    shown = [json.loads(one.value) for one in desk.state_keeper.of(ShowState)]
    assert "status" not in shown[-1]
