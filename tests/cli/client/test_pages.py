from typing import Any

import pytest
from orchestrator.cli.client.pages import SAY_EVERY_S, Event, Pages, channel_of
from orchestrator.cli.client.rest import Client
from orchestrator.cli.errors import Failure
from orchestrator.cli.filters import Filter

from ..conftest import Double


def test_a_heartbeat_has_its_agent_in_the_channel() -> None:
    assert channel_of({"type": "heartbeat", "source": "a-1"}) == "heartbeat.a-1"
    assert channel_of({"type": "risk.x", "source": "a-1"}) == "risk.x"


class Book(Pages):
    """Pages of events 1 to `count`, as the daemon gives them, from memory."""

    def __init__(self, count: int) -> None:
        super().__init__(Client("http://nowhere", timeout_s=1), note=print)
        self.events = [
            {"id": at, "type": "even" if at % 2 == 0 else "odd"} for at in range(1, count + 1)
        ]
        self.asked = 0

    def page(self, query: dict[str, object]) -> dict[str, Any]:
        self.asked += 1
        limit = int(str(query["limit"]))
        if "after" in query:
            fitting = [event for event in self.events if event["id"] > query["after"]]  # type: ignore[operator]
            found = fitting[:limit]
            cursor = found[-1]["id"] if len(fitting) > limit else self.events[-1]["id"]
            return {"events": found, "has_more": len(fitting) > limit, "cursor": cursor}
        before = query.get("before")
        fitting = [event for event in self.events if before is None or event["id"] < before]  # type: ignore[operator]
        found = fitting[::-1][:limit]
        return {"events": found, "has_more": len(fitting) > limit, "cursor": 0}


def ids(events: list[Event]) -> list[int]:
    return [event["id"] for event in events]


def test_all_pages_between_two_ids_make_one_run() -> None:
    book = Book(1_000)

    assert ids(list(book.between(10, 900, Filter()))) == list(range(11, 901))
    assert book.asked == 5


def test_without_an_end_it_goes_to_the_newest() -> None:
    assert ids(list(Book(450).between(0, None, Filter()))) == list(range(1, 451))


def test_nothing_is_asked_when_there_is_nothing_between() -> None:
    book = Book(10)

    assert list(book.between(5, 5, Filter())) == []
    assert book.asked == 0


def test_the_latest_come_in_ascending_order_over_several_pages() -> None:
    assert ids(Book(1_000).latest(450, Filter(), up_to=900)) == list(range(451, 901))


def test_the_latest_of_few_are_all() -> None:
    assert ids(Book(3).latest(10, Filter())) == [1, 2, 3]


class ShortPages(Pages):
    """A daemon that finds one event in each thousand examined, and says how far it looked."""

    def page(self, query: dict[str, object]) -> dict[str, Any]:
        forward = "after" in query
        if forward:
            to = int(str(query["after"])) + 1_000
        else:
            to = int(str(query["before"] or 10_001)) - 1_000
        events = [{"id": to}] if to % 3_000 == 1 else []
        more = to < 9_000 if forward else to > 1
        found = {"events": events, "has_more": more, "looked_to": to if more else None}
        return found | {"cursor": to if forward else 0}


def test_a_search_goes_on_from_where_the_daemon_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1_000, int(SAY_EVERY_S)))
    monkeypatch.setattr("orchestrator.cli.client.pages.time.monotonic", lambda: next(clock))
    notes: list[str] = []
    pages = ShortPages(Client("http://nowhere", timeout_s=1), notes.append)

    assert ids(pages.latest(2, Filter(where="data.x == 1"))) == [6_001, 9_001]
    assert ids(list(pages.between(1, None, Filter(where="data.x == 1")))) == [3_001, 6_001, 9_001]
    assert notes[0] == "searched as far as #9001; Ctrl-C ends it"


def test_a_rate_limit_is_waited_for(double: Double) -> None:
    double.answers["/bus/events"] = (429, {"error": "Too many requests"})
    double.headers["Retry-After"] = "2"
    notes: list[str] = []

    def sleep(seconds: float) -> None:
        assert seconds == 2
        double.answers["/bus/events"] = (200, {"events": [], "has_more": False, "cursor": 0})

    with Client(double.url, timeout_s=5) as client:
        assert Pages(client, notes.append, sleep).latest(5, Filter()) == []
    assert notes == ["rate limited by the daemon: continuing in 2 s"]


def test_a_wait_that_is_too_long_fails(double: Double) -> None:
    double.answers["/bus/events"] = (429, {"error": "Too many requests"})
    double.headers["Retry-After"] = "3600"

    with Client(double.url, timeout_s=5) as client, pytest.raises(Failure) as caught:
        Pages(client, print).latest(5, Filter())

    assert caught.value.code == "rate_limited"
