import json
from collections.abc import Callable, Iterable

import pytest
from orchestrator.actors.broadcaster.clients import (
    ALL_TYPES,
    COMPARISON_MATCHES,
    MAX_WHERES,
    Client,
    Clients,
)
from orchestrator.actors.broadcaster.frames import gap_frame
from orchestrator.actors.events import Event
from orchestrator.actors.messages.events import EventReplaced, EventsJournalled
from processor import time_scale
from quiet_clock import quiet_s


def event(number: int, type_: str = "strategy.candidate", source: str | None = None) -> Event:
    return Event(number, type_, b"{}", "2026-01-31T09:30:00.123Z", source)


def frame(one: Event) -> bytes:
    return b"<%d>" % one.id


def client(types: tuple[str, ...] = ALL_TYPES, wake: Callable[[], None] = lambda: None) -> Client:
    return Client(1000, wake, types)


def taken(clients: Iterable[Client]) -> list[bytes]:
    return [one.buffer.take() for one in clients]


# -- the registry --------------------------------------------------------------------------------


def test_each_client_gets_what_its_patterns_match() -> None:
    registry = Clients()
    everything, risk = client(), client(("risk.*",))
    for one in (everything, risk):
        registry.attach(one)

    registry.publish([event(1, "risk.limit"), event(2, "data.market.AAPL.1m")], frame)
    registry.flush()

    assert taken([everything, risk]) == [b"<1><2>", b"<1>"]


def test_a_pattern_for_one_agents_heartbeats_matches_its_source() -> None:
    registry = Clients()
    one = client(("heartbeat.q-*",))
    registry.attach(one)

    registry.publish([event(1, "heartbeat", "q-1"), event(2, "heartbeat", "dev-1")], frame)
    registry.flush()

    assert one.buffer.take() == b"<1>"


def test_the_pattern_for_all_heartbeats_matches_one_without_a_source_too() -> None:
    registry = Clients()
    one = client(("heartbeat.*",))
    registry.attach(one)

    registry.publish([event(1, "heartbeat"), event(2, "heartbeat", "dev-1")], frame)
    registry.flush()

    assert one.buffer.take() == b"<1><2>"


def test_a_frame_is_built_once_whatever_the_number_of_clients() -> None:
    registry = Clients()
    built = []
    for types in (ALL_TYPES, ALL_TYPES, ("risk.*",), ("risk.limit",)):
        registry.attach(client(types))

    registry.publish([event(1, "risk.limit")], lambda one: built.append(one.id) or frame(one))

    assert built == [1]
    assert registry.frames_sent == 4


def test_without_clients_nothing_is_built() -> None:
    registry = Clients()

    def build(_event: Event) -> bytes:
        raise AssertionError

    registry.publish([event(1)], build)


def test_nothing_is_built_that_nobody_wants() -> None:
    registry = Clients()
    registry.attach(client(("risk.*",)))

    def build(_event: Event) -> bytes:
        raise AssertionError

    registry.publish([event(1)], build)


def test_clients_of_one_filter_share_the_joined_bytes() -> None:
    registry = Clients()
    clients = [client() for _ in range(3)]
    for one in clients:
        registry.attach(one)

    registry.publish([event(1), event(2)], frame)
    registry.flush()

    chunks = [one.buffer._chunks[0].data for one in clients]
    assert chunks[0] == b"<1><2>"
    assert all(data is chunks[0] for data in chunks)


def test_a_client_gets_nothing_from_before_it_was_attached() -> None:
    registry = Clients()
    early, late = client(), client()
    registry.attach(early)
    registry.publish([event(1)], frame)

    registry.attach(late)
    registry.publish([event(2)], frame)
    registry.flush()

    assert taken([early, late]) == [b"<1><2>", b"<2>"]


def test_what_was_meant_for_a_client_before_it_changed_its_filter_still_comes() -> None:
    registry = Clients()
    one = client()
    registry.attach(one)
    registry.publish([event(1)], frame)

    registry.subscribe(one, ("risk.*",))
    registry.publish([event(2), event(3, "risk.limit")], frame)
    registry.flush()

    assert one.buffer.take() == b"<1><3>"
    assert one.types == ("risk.*",)


def test_a_detached_client_gets_nothing_more_and_its_group_goes() -> None:
    registry = Clients()
    one = client()
    registry.attach(one)

    registry.forget(one, 1000)
    registry.forget(one, 1000)
    registry.publish([event(1)], frame)

    assert not one.buffer
    assert len(registry) == 0
    assert not registry._groups
    assert registry.closed[1000] == 2


def test_only_clients_for_whom_something_waits_are_woken() -> None:
    registry = Clients()
    woken = []
    registry.attach(client(ALL_TYPES, lambda: woken.append("all")))
    registry.attach(client(("risk.*",), lambda: woken.append("risk")))

    registry.publish([event(1)], frame)
    registry.flush()

    assert woken == ["all"]


def test_an_urgent_frame_passes_filters_and_queues() -> None:
    registry = Clients()
    woken = []
    clients = [client(("none",), lambda: woken.append(1)), client()]
    for one in clients:
        registry.attach(one)
    registry.publish([event(1)], frame)

    registry.urge(b"stop")
    registry.flush()

    assert taken(clients) == [b"stop", b"stop<1>"]
    assert woken


def test_a_long_batch_is_cut_into_chunks() -> None:
    registry = Clients()
    one = Client(10_000_000, lambda: None)
    registry.attach(one)

    registry.publish([event(n) for n in range(1, 31)], lambda _event: b"x" * 10_000)
    registry.flush()

    assert max(len(part.data) for part in one.buffer._chunks) <= 70_000
    assert len(one.buffer._chunks) == 5


def test_places_are_limited() -> None:
    registry = Clients(max_clients=2)

    assert [registry.reserve() for _ in range(3)] == [True, True, False]
    registry.free()
    assert registry.reserve()


def test_the_newest_id_only_rises() -> None:
    registry = Clients()
    registry.saw(5)
    registry.saw(3)

    assert registry.newest_id == 5


def test_what_the_broadcasters_mailbox_gave_up_is_told_as_a_gap() -> None:
    registry = Clients()
    everything, risk, other = client(), client(("risk.*",)), client(("news.*",))
    for one in (everything, risk, other):
        registry.attach(one)

    registry.missed(EventsJournalled((event(4), event(5, "risk.limit"))))

    expected = [gap_frame(4, 5, 2), gap_frame(4, 5, 1), b""]
    assert taken([everything, risk, other]) == expected
    assert registry.dropped == 3


def test_a_replacement_that_was_given_up_is_counted_and_told_as_a_gap() -> None:
    registry = Clients()
    everything, other = client(), client(("news.*",))
    for one in (everything, other):
        registry.attach(one)

    registry.missed(EventReplaced(event(4)))

    assert registry.replaced == 1
    assert taken([everything, other]) == [gap_frame(4, 4, 1), b""]


def test_what_the_mailbox_gave_up_is_told_behind_what_was_shown_before() -> None:
    registry = Clients()
    one = client()
    registry.attach(one)
    registry.publish([event(1)], frame)

    registry.missed(EventsJournalled((event(2), event(3))))
    registry.publish([event(4)], frame)
    registry.flush()

    assert one.buffer.take() == b"<1>" + gap_frame(2, 3, 2) + b"<4>"


def test_drops_of_clients_that_have_gone_stay_counted() -> None:
    registry = Clients()
    one = client()
    registry.attach(one)
    one.buffer.note_gap(1, 2, 2)

    registry.forget(one, 1013)

    assert registry.dropped == 2
    assert list(registry) == []


# -- those that resume ---------------------------------------------------------------------------


def attached(registry: Clients, one: Client, *, after: int) -> Client:
    registry.leave_behind(one, after)
    registry.attach(one, after=after)
    return one


@pytest.mark.parametrize("after", range(11))
def test_a_client_attached_behind_any_event_gets_exactly_those_above_it(after: int) -> None:
    registry = Clients()
    registry.publish([event(1), event(2)], frame)
    registry.saw(2)
    one = attached(registry, client(), after=after) if after >= 2 else client()
    if after < 2:
        registry.attach(one, after=after)

    for part in ([event(n) for n in (3, 4, 6)], [event(7)], [event(8), event(9), event(10)]):
        registry.publish(part, frame)
        registry.saw(part[-1].id)
    registry.flush()

    wanted = [n for n in (3, 4, 6, 7, 8, 9, 10) if n > after]
    assert one.buffer.take() == b"".join(b"<%d>" % n for n in wanted)


def test_clients_late_at_different_places_join_in_the_midst_of_one_batch() -> None:
    registry = Clients()
    registry.saw(1)
    clients = [attached(registry, client(), after=after) for after in (5, 2, 9, 3)]

    registry.publish([event(n) for n in range(2, 8)], frame)
    registry.saw(7)
    registry.publish([event(n) for n in range(8, 11)], frame)
    registry.flush()

    assert taken(clients) == [
        b"".join(b"<%d>" % n for n in range(after + 1, 11)) for after in (5, 2, 9, 3)
    ]


def test_a_client_behind_or_late_is_one_of_the_clients() -> None:
    registry = Clients()
    behind, late = client(("none",)), client(("none",))
    registry.leave_behind(behind, 1)
    attached(registry, late, after=5)

    registry.urge(b"stop")
    registry.show_status("a", b"[a]")

    assert len(registry) == 2
    assert set(registry) == {behind, late}
    assert taken([behind, late]) == [b"stop[a]", b"stop[a]"]
    for one in (behind, late):
        registry.forget(one, 1000)
    assert len(registry) == 0


def test_a_client_that_is_behind_is_shown_nothing_of_what_comes() -> None:
    registry = Clients()
    one = client()
    registry.leave_behind(one, 1)

    registry.publish([event(2)], frame)
    registry.missed(EventsJournalled((event(3),)))
    registry.flush()

    assert not one.buffer


def test_a_late_client_is_told_of_what_was_given_up_above_its_place() -> None:
    registry = Clients()
    one = attached(registry, client(), after=5)

    registry.missed(EventsJournalled((event(4), event(5))))
    registry.missed(EventsJournalled((event(5), event(6), event(8))))
    registry.publish([event(9)], frame)
    registry.flush()

    assert one.buffer.take() == gap_frame(6, 8, 2) + b"<9>"


def test_a_late_client_can_change_its_filter() -> None:
    registry = Clients()
    one = attached(registry, client(), after=5)

    registry.subscribe(one, ("risk.*",))
    registry.publish([event(6), event(7, "risk.limit")], frame)
    registry.flush()

    assert one.buffer.take() == b"<7>"


def test_a_client_that_is_behind_can_change_its_filter() -> None:
    registry = Clients()
    one = client()
    registry.leave_behind(one, 1)

    registry.subscribe(one, ("risk.*",))
    registry.attach(one, after=5)
    registry.publish([event(6), event(7, "risk.limit")], frame)
    registry.flush()

    assert one.buffer.take() == b"<7>"


# -- replaced events -----------------------------------------------------------------------------


def test_a_correction_reaches_everybody_who_has_seen_the_event() -> None:
    registry = Clients()
    live, late, behind, other = client(), client(), client(), client(("news.*",))
    for one in (live, other):
        registry.attach(one)
    attached(registry, late, after=9)
    registry.leave_behind(behind, 7)

    registry.correct(event(7), b"<7!>")
    registry.flush()

    assert taken([live, late, behind, other]) == [b"<7!>", b"<7!>", b"<7!>", b""]
    assert registry.replaced == 1


def test_a_correction_of_what_is_still_to_be_read_is_not_shown() -> None:
    registry = Clients()
    one = client()
    behind = registry.leave_behind(one, 6)

    registry.correct(event(7), b"<7!>")

    assert not one.buffer
    assert behind.reach(10) == []


def test_a_correction_of_what_is_being_read_follows_it() -> None:
    registry = Clients()
    one = client()
    behind = registry.leave_behind(one, 6)
    behind.begin()

    for number in (7, 12):
        registry.correct(event(number), b"<%d!>" % number)

    assert [chunk.data for chunk in behind.reach(10)] == [b"<7!>"]
    assert not one.buffer
    registry.correct(event(11), b"<11!>")
    assert behind.reach(20) == []


# -- other wires ---------------------------------------------------------------------------------


def test_each_wire_has_its_own_form_of_the_same_frames() -> None:
    def told(frame: bytes, event_id: int | None) -> bytes:
        return b"%s:%r;" % (str(event_id).encode(), frame)

    registry = Clients()
    plain, other = client(), Client(1000, lambda: None, ALL_TYPES, told)
    for one in (plain, other):
        registry.attach(one)

    registry.publish([event(1)], frame)
    registry.correct(event(1), b"<1!>")
    registry.urge(b"stop")
    registry.show_status("a", b"up")
    registry.flush()

    assert plain.buffer.take() == b"stop<1><1!>up"
    assert other.buffer.take() == b"None:b'stop';1:b'<1>';None:b'<1!>';None:b'up';"


# -- filters ---------------------------------------------------------------------------------------


def test_clients_get_what_their_filters_want_and_a_payload_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []

    def once(item: object) -> object:
        read.append(item)
        return json.loads(item) if isinstance(item, bytes) else item

    monkeypatch.setattr("orchestrator.actors.event_query._read_level", once)
    registry = Clients()
    many = [Client(1000, lambda: None, where=f"data.n >= {n}") for n in range(4)]
    for one in many:
        registry.attach(one)

    events = [Event(n, "a", b'{"n": %d}' % n, "", None) for n in range(1, 4)]
    registry.publish(events, frame)
    registry.flush()

    assert taken(many) == [b"<1><2><3>", b"<1><2><3>", b"<2><3>", b"<3>"]
    assert read == [item for one in events for item in (one.payload, one.id)]


def test_there_is_room_for_so_many_different_filters() -> None:
    registry = Clients()
    many = [Client(1000, lambda: None, where=f"data.n == {n}") for n in range(MAX_WHERES)]
    for one in many:
        assert registry.may_filter_by(one.where)
        registry.attach(one)

    assert registry.may_filter_by("data.n == 1")
    assert registry.may_filter_by(None)
    assert not registry.may_filter_by("data.n == -1")
    registry.forget(many[0], 1000)
    assert registry.may_filter_by("data.n == -1")


def nested(inner: bytes) -> bytes:
    return b'{"n": 1, "a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": %b}}}}}}}}' % inner


@pytest.mark.timing
@pytest.mark.parametrize(
    ("inner", "events"),
    [
        (b"1", 100),
        (b"{" + b",".join(b'"%d":1' % n for n in range(25_000)) + b"}", 1),
        (b"[" * 300 + b"[[]]," * 50_000 + b"[]" + b"]" * 300, 1),
        (b"[" + b",".join([b"0." + b"123456789" * 90] * 300) + b"]", 1),
        (b"1" * 250_000, 1),
    ],
    ids=["small", "many keys", "lists", "fractions", "digits"],
)
def test_the_most_filters_cost_a_bounded_time_per_event(inner: bytes, events: int) -> None:
    registry = Clients()
    hardest = " and ".join(["data.a.b.c.d.e.f.g.h != null"] * 15)
    for n in range(MAX_WHERES):
        registry.attach(Client(1000, lambda: None, where=f"{hardest} and data.n == {-n - 1}"))
    made = [Event(n, "a", nested(inner), "", None) for n in range(1, events + 1)]

    begun = quiet_s()
    registry.publish(made, frame)

    assert quiet_s() - begun < 1.5 * time_scale()


def test_a_filter_counts_for_the_turns_of_the_loop() -> None:
    registry = Clients()
    registry.attach(client(("risk.*",)))
    registry.attach(Client(1000, lambda: None, where="data.a > 1 and data.b > 2"))

    assert registry.matches_per_event == 2 + 2 * COMPARISON_MATCHES
