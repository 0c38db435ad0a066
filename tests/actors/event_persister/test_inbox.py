from typing import Any

import msgspec
import pytest
from orchestrator.actors.event_persister.batch import Request
from orchestrator.actors.event_persister.inbox import Inbox
from orchestrator.actors.event_persister.ingest import Ingest
from orchestrator.actors.events import NewEvent
from orchestrator.actors.messages.event_persister import PersistEvents, PersistReplies
from orchestrator.actors.payloads import Envelope
from orchestrator.actors.sources import Run

TS = "2026-01-31T09:30:00.123Z"


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine would end a turn early."""
    monkeypatch.setattr("orchestrator.actors.event_persister.inbox.MAX_TURN_S", 60.0)


def replies(connection: str, *names: str, payload: bytes = b"{}") -> PersistReplies:
    made = [[b"pmessage", b"t.*", f"t.{name}".encode(), payload] for name in names]
    return PersistReplies(connection, TS, made)


def own(*names: str, publish: bool = False) -> PersistEvents:
    return PersistEvents(tuple(NewEvent(f"t.{name}", b"{}") for name in names), publish=publish)


def inbox_of(*messages: PersistReplies | PersistEvents) -> Inbox:
    inbox = Inbox()
    for message in messages:
        inbox.put(message)
    return inbox


def turn(inbox: Inbox, max_events: int = 100) -> tuple[list[str], list[Request]]:
    draft = inbox.take(Ingest(["t.*"]), max_events=max_events, now=0.0)
    return [name.removeprefix("t.") for name in draft.types], draft.requests


def test_control_and_what_is_published_go_before_data() -> None:
    inbox = inbox_of(
        replies("data", "a", "b"), own("gap"), replies("control", "stop"), own("k", publish=True)
    )

    types, taken = turn(inbox)

    assert types == ["stop", "k", "a", "b", "gap"]
    assert [part.start for part in taken] == [1, 4]
    assert inbox.received == {"data": 2, "control": 1, "daemon": 2}
    assert not inbox
    assert inbox.events == 0


def test_a_long_message_is_taken_in_several_turns() -> None:
    inbox = inbox_of(replies("data", *map(str, range(250))))
    seen: list[str] = []
    while inbox:
        types, _taken = turn(inbox, max_events=99)
        assert len(types) <= 99
        seen += types

    assert seen == [str(n) for n in range(250)]


def test_events_of_one_message_stay_together() -> None:
    inbox = inbox_of(replies("data", "a"), own("x", "y", "z"))

    assert turn(inbox, max_events=3)[0] == ["a"]
    assert turn(inbox, max_events=1)[0] == ["x", "y", "z"]


def test_a_large_payload_waits_until_it_was_examined_in_turns() -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    inbox = inbox_of(replies("data", *"ab", payload=large), replies("control", "stop"))
    ingest = Ingest(["t.*"])
    turns: list[None] = []
    seen: list[list[str]] = []
    while inbox:
        seen.append(inbox.take(ingest, max_events=100, now=0.0).types)
        inbox.examine_next(ingest, lambda: turns.append(None))

    assert seen == [["t.stop"], ["t.a"], ["t.b"]]
    assert len(turns) == 2


def test_a_large_payload_that_was_examined_when_it_was_posted_does_not_wait() -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    event = NewEvent("t.posted", large, envelope=Envelope(None, None))

    assert turn(inbox_of(PersistEvents((event,), publish=True)))[0] == ["posted"]


def test_a_slice_holds_few_payloads_where_these_are_not_small() -> None:
    inbox = inbox_of(replies("data", *"abcdef", payload=b'"' + b"x" * 15_000 + b'"'))

    assert turn(inbox)[0] == [*"abcdef"]
    assert inbox.received == {"data": 6}


def test_what_became_of_each_message_is_noted_by_source() -> None:
    bad = [b"pmessage", b"t.*", b"t.bad", b"{"]
    copy = [b"pmessage", b"other.*", b"t.a", b"{}"]
    good = [b"pmessage", b"t.*", b"t.a", b"{}"]
    inbox = inbox_of(PersistReplies("data", TS, [good, bad, copy, good]), own("gap"))
    ingest = Ingest(["t.*"])
    draft = inbox.take(ingest, max_events=100, now=0.0)

    assert draft.runs == [Run("data", 3, 1), Run("daemon", 1, 0)]
    assert ingest.copies == {"data": 1}
    assert inbox.received == {"data": 4, "daemon": 1}


def test_one_reply_that_is_no_message_costs_nothing_else() -> None:
    message = replies("data", "a", "b", "c")
    message.replies[1] = [b"odd"]
    inbox = inbox_of(message)

    draft = inbox.take(Ingest(["t.*"]), max_events=10, now=0.0)

    assert draft.types == ["t.a", "bus.rejected", "t.c"]
    said: Any = msgspec.json.decode(draft.payloads[1])
    assert said["reason"] == "not a message of the bus"
    assert draft.runs == [Run("data", 3, 1)]


def test_after_its_time_a_turn_takes_no_further_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.inbox.MAX_TURN_S", 0.0)
    inbox = inbox_of(replies("data", *"abcdef", payload=b'"' + b"x" * 15_000 + b'"'))

    first = turn(inbox)[0]
    assert 0 < len(first) < 6
    rest: list[str] = []
    while inbox:
        rest += turn(inbox)[0]
    assert first + rest == [*"abcdef"]
