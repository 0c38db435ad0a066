"""How live and stored events become one run, with a scripted link; the real one: commands/."""

from collections.abc import Iterator
from typing import Any

import pytest
from orchestrator.cli.client.event_stream import Feed, Link, LinkLost, Start, event_of
from orchestrator.cli.client.pages import Event, Pages
from orchestrator.cli.client.rest import Client
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.filters import Filter

from ..conftest import Double

Frame = dict[str, Any]


def live(event_id: int, name: str = "x", **more: Any) -> Frame:
    fields = {"eventType": name, "data": {}, "timestamp": "t", "source": None}
    return {"type": "redis_event", "id": event_id, **fields, **more}


class ScriptedLink(Link):
    """Gives its frames, then is lost or silent."""

    def __init__(self, cursor: int, frames: list[Frame], *, lost: bool = False) -> None:
        self.cursor = cursor
        self.frames = frames
        self.lost = lost
        self.closed = False

    def frame(self, timeout_s: float | None) -> Frame | None:
        del timeout_s
        if self.frames:
            return self.frames.pop(0)
        if self.lost:
            raise LinkLost("1006")
        return None

    def close(self) -> None:
        self.closed = True


class StoredPages(Pages):
    """Ids that are stored, and what was asked for."""

    def __init__(self) -> None:
        super().__init__(Client("http://nowhere", timeout_s=1), note=print)
        self.asked: list[tuple[int, int | None]] = []

    def between(self, after: int, up_to: int | None, wanted: Filter) -> Iterator[Event]:
        del wanted
        self.asked.append((after, up_to))
        assert up_to is not None
        yield from ({"id": at, "type": "stored"} for at in range(after + 1, up_to + 1))

    def latest(self, count: int, wanted: Filter, *, up_to: int | None = None) -> list[Event]:
        del wanted
        assert up_to is not None
        return [{"id": at, "type": "stored"} for at in range(up_to - count + 1, up_to + 1)]


class ScriptedFeed(Feed):
    def __init__(self, *links: ScriptedLink | Failure, wanted: Filter | None = None) -> None:
        self.links = list(links)
        self.notes: list[str] = []
        self.stops: list[Frame] = []
        super().__init__(
            Client("http://nowhere", timeout_s=1),
            wanted or Filter(),
            timeout_s=1,
            note=self.notes.append,
            on_stop=self.stops.append,
        )
        self.stored = StoredPages()
        self._pages = self.stored

    def _opened(self) -> Link:
        link = self.links.pop(0)
        if isinstance(link, Failure):
            raise link
        self._link = link
        return link

    def ids(self, start: Start | None = None) -> list[int]:
        return [event["id"] for event in self.events(start or Start(), idle_s=0.0)]


def test_the_latest_come_first_and_then_what_is_live() -> None:
    feed = ScriptedFeed(ScriptedLink(10, [live(11), live(12)]))

    assert feed.ids(Start(last=3)) == [8, 9, 10, 11, 12]


def test_all_since_an_id_and_then_what_is_live_none_twice() -> None:
    feed = ScriptedFeed(ScriptedLink(10, [live(9), live(10), live(11)]))

    assert feed.ids(Start(after=7)) == [8, 9, 10, 11]
    assert feed.stored.asked == [(7, 10)]


def test_since_a_time_begins_at_the_very_first_page() -> None:
    feed = ScriptedFeed(ScriptedLink(3, []))

    assert feed.ids(Start(from_begin=True)) == [1, 2, 3]


def test_an_id_of_the_future_waits_for_it() -> None:
    feed = ScriptedFeed(ScriptedLink(10, [live(11), live(21)]))

    assert feed.ids(Start(after=20))[-1] == 21


def test_what_the_daemon_left_out_is_fetched() -> None:
    gap = {"type": "gap", "from": 12, "to": 15, "dropped": 4}
    feed = ScriptedFeed(ScriptedLink(10, [live(11), gap, live(16)]))

    assert feed.ids() == [11, 12, 13, 14, 15, 16]
    assert feed.notes == ["behind the live stream: fetching 4 events"]


def test_a_replaced_event_comes_again_and_says_so() -> None:
    again = live(11, "bus.rejected", replaces=True)
    feed = ScriptedFeed(ScriptedLink(10, [live(11), live(12), again, live(13)]))

    assert feed.ids() == [11, 12, 11, 13]


def test_after_a_lost_link_what_was_missed_is_fetched() -> None:
    feed = ScriptedFeed(ScriptedLink(10, [live(11)], lost=True), ScriptedLink(14, [live(15)]))

    assert feed.ids() == [11, 12, 13, 14, 15]
    assert feed.notes == ["connection lost (1006): reconnecting", "reconnected"]


def test_a_daemon_that_restarts_is_waited_for() -> None:
    away = Failure("away", code="unreachable", exit_code=ExitCode.UNREACHABLE)
    feed = ScriptedFeed(ScriptedLink(10, [], lost=True), away, ScriptedLink(11, []))

    assert feed.ids() == [11]


def test_a_refusal_after_a_lost_link_ends_it() -> None:
    refused = Failure("no", code="unauthorized", exit_code=ExitCode.FORBIDDEN)
    feed = ScriptedFeed(ScriptedLink(10, [], lost=True), refused)

    with pytest.raises(Failure) as caught:
        feed.ids()
    assert caught.value is refused


def test_stops_are_told_past_every_filter() -> None:
    frame = {"type": "killswitch_activated", "data": {"reason": "x"}}
    feed = ScriptedFeed(ScriptedLink(1, [frame, live(2, "b")]), wanted=Filter(("a",)))

    assert feed.ids() == [2]
    assert feed.stops == [frame]


def test_errors_of_the_daemon_are_noted_and_unknown_frames_are_not() -> None:
    frames = [{"type": "error", "message": "bad"}, {"type": "agent_status"}, {}]
    feed = ScriptedFeed(ScriptedLink(1, frames))

    assert feed.ids() == []
    assert feed.notes == ["the daemon says: bad"]


def test_the_link_is_closed_when_nobody_reads_on() -> None:
    link = ScriptedLink(1, [live(2), live(3)])
    events = ScriptedFeed(link).events(Start())

    assert isinstance(events, Iterator)
    next(events)
    events.close()  # type: ignore[attr-defined]

    assert link.closed


def test_a_frame_has_the_shape_that_rest_gives() -> None:
    assert event_of(live(1, "x", replaces=True)) == {
        "id": 1,
        "type": "x",
        "payload": {},
        "ts": "t",
        "source": None,
        "replaces": True,
    }


def test_a_refused_handshake_is_the_refusal(double: Double) -> None:
    double.answers["/ws"] = (401, {"error": "Unauthorized", "message": "a token"})

    with pytest.raises(Failure) as caught:
        Link(Client(double.url, timeout_s=5), Filter(), 5)

    assert (caught.value.code, caught.value.exit_code) == ("unauthorized", ExitCode.FORBIDDEN)


def test_a_server_without_a_live_stream_is_unreachable(double: Double) -> None:
    double.answers["/ws"] = (200, {})

    with pytest.raises(Failure) as caught:
        Link(Client(double.url, timeout_s=5), Filter(), 5)

    assert caught.value.exit_code == ExitCode.UNREACHABLE
