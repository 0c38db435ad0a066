from collections.abc import Callable, Iterable

from orchestrator.actors.clients import ALL_TYPES, Chunk, Client, ClientRegistry, SendBuffer
from orchestrator.actors.events import Event, EventReplaced, EventsJournalled
from orchestrator.actors.frames import gap_frame


def chunk(first: int, last: int, size: int = 100) -> Chunk:
    return Chunk(b"%d" % (first % 10) * size, first, last, last - first + 1)


def event(number: int, type_: str = "strategy.candidate", source: str | None = None) -> Event:
    return Event(number, type_, b"{}", "2026-01-31T09:30:00.123Z", source)


def frame(one: Event) -> bytes:
    return b"<%d>" % one.id


def client(types: tuple[str, ...] = ALL_TYPES, wake: Callable[[], None] = lambda: None) -> Client:
    return Client(1000, wake, types)


def taken(clients: Iterable[Client]) -> list[bytes]:
    return [one.buffer.take() for one in clients]


# -- the buffer ----------------------------------------------------------------------------------


def test_all_that_waits_is_taken_in_one_piece() -> None:
    buffer = SendBuffer(1000)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2))

    assert buffer.take() == b"1" * 100 + b"2" * 100
    assert not buffer
    assert buffer.size_bytes == 0


def test_an_empty_buffer_has_nothing_to_take() -> None:
    assert SendBuffer(1000).take() == b""


def test_urgent_frames_go_first() -> None:
    buffer = SendBuffer(1000)
    buffer.add(chunk(1, 1))
    buffer.add_urgent(b"stop")

    assert buffer.take().startswith(b"stop")


def test_when_events_do_not_fit_the_oldest_go_and_the_range_is_told_first() -> None:
    buffer = SendBuffer(250)
    for first in (1, 11, 21, 31):
        buffer.add(chunk(first, first + 9))

    assert buffer.take() == gap_frame(1, 20, 20) + b"1" * 200
    assert buffer.dropped == 20


def test_a_gap_is_told_once() -> None:
    buffer = SendBuffer(100)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2))
    buffer.take()

    assert buffer.take() == b""
    assert not buffer


def test_the_buffer_never_holds_more_than_its_limit() -> None:
    buffer = SendBuffer(1000)

    for first in range(1000):
        buffer.add(chunk(first, first))
        assert buffer.size_bytes <= 1000


def test_a_chunk_larger_than_the_limit_waits_alone() -> None:
    buffer = SendBuffer(100)
    buffer.add(chunk(1, 1))
    buffer.add(chunk(2, 2, size=500))

    assert buffer.take() == gap_frame(1, 1, 1) + b"2" * 500


def test_one_take_is_limited_so_that_urgent_frames_need_not_wait_long() -> None:
    buffer = SendBuffer(1000)
    for first in range(5):
        buffer.add(chunk(first, first))

    assert len(buffer.take(limit_bytes=250)) == 200
    buffer.add_urgent(b"stop")
    assert buffer.take(limit_bytes=250).startswith(b"stop")


def test_of_an_agents_state_only_the_newest_waits() -> None:
    buffer = SendBuffer(1000)
    buffer.add_status("a", b"[a late]")
    buffer.add_status("b", b"[b up]")
    buffer.add_status("a", b"[a up]")

    assert buffer.take() == b"[b up][a up]"


def test_states_of_agents_that_wait_are_bounded() -> None:
    buffer = SendBuffer(1000)

    for number in range(2000):
        buffer.add_status(f"a{number}", b"x")

    assert len(buffer.take()) == 1000


# -- the registry --------------------------------------------------------------------------------


def test_each_client_gets_what_its_patterns_match() -> None:
    registry = ClientRegistry()
    everything, risk = client(), client(("risk.*",))
    for one in (everything, risk):
        registry.attach(one)

    registry.publish([event(1, "risk.limit"), event(2, "data.market.AAPL.1m")], frame)
    registry.flush()

    assert taken([everything, risk]) == [b"<1><2>", b"<1>"]


def test_a_pattern_for_one_agents_heartbeats_matches_its_source() -> None:
    registry = ClientRegistry()
    one = client(("heartbeat.q-*",))
    registry.attach(one)

    registry.publish([event(1, "heartbeat", "q-1"), event(2, "heartbeat", "dev-1")], frame)
    registry.flush()

    assert one.buffer.take() == b"<1>"


def test_a_frame_is_built_once_whatever_the_number_of_clients() -> None:
    registry = ClientRegistry()
    built = []
    for types in (ALL_TYPES, ALL_TYPES, ("risk.*",), ("risk.limit",)):
        registry.attach(client(types))

    registry.publish([event(1, "risk.limit")], lambda one: built.append(one.id) or frame(one))

    assert built == [1]
    assert registry.frames_sent == 4


def test_without_clients_nothing_is_built() -> None:
    registry = ClientRegistry()

    def build(_event: Event) -> bytes:
        raise AssertionError

    registry.publish([event(1)], build)


def test_nothing_is_built_that_nobody_wants() -> None:
    registry = ClientRegistry()
    registry.attach(client(("risk.*",)))

    def build(_event: Event) -> bytes:
        raise AssertionError

    registry.publish([event(1)], build)


def test_clients_of_one_filter_share_the_joined_bytes() -> None:
    registry = ClientRegistry()
    clients = [client() for _ in range(3)]
    for one in clients:
        registry.attach(one)

    registry.publish([event(1), event(2)], frame)
    registry.flush()

    chunks = [one.buffer._chunks[0].data for one in clients]
    assert chunks[0] == b"<1><2>"
    assert all(data is chunks[0] for data in chunks)


def test_a_client_gets_nothing_from_before_it_was_attached() -> None:
    registry = ClientRegistry()
    early, late = client(), client()
    registry.attach(early)
    registry.publish([event(1)], frame)

    registry.attach(late)
    registry.publish([event(2)], frame)
    registry.flush()

    assert taken([early, late]) == [b"<1><2>", b"<2>"]


def test_what_was_meant_for_a_client_before_it_changed_its_filter_still_comes() -> None:
    registry = ClientRegistry()
    one = client()
    registry.attach(one)
    registry.publish([event(1)], frame)

    registry.subscribe(one, ("risk.*",))
    registry.publish([event(2), event(3, "risk.limit")], frame)
    registry.flush()

    assert one.buffer.take() == b"<1><3>"
    assert one.types == ("risk.*",)


def test_a_detached_client_gets_nothing_more_and_its_group_goes() -> None:
    registry = ClientRegistry()
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
    registry = ClientRegistry()
    woken = []
    registry.attach(client(ALL_TYPES, lambda: woken.append("all")))
    registry.attach(client(("risk.*",), lambda: woken.append("risk")))

    registry.publish([event(1)], frame)
    registry.flush()

    assert woken == ["all"]


def test_an_urgent_frame_passes_filters_and_queues() -> None:
    registry = ClientRegistry()
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
    registry = ClientRegistry()
    one = Client(10_000_000, lambda: None)
    registry.attach(one)

    registry.publish([event(n) for n in range(1, 31)], lambda _event: b"x" * 10_000)
    registry.flush()

    assert max(len(part.data) for part in one.buffer._chunks) <= 70_000
    assert len(one.buffer._chunks) == 5


def test_places_are_limited() -> None:
    registry = ClientRegistry(max_clients=2)

    assert [registry.reserve() for _ in range(3)] == [True, True, False]
    registry.free()
    assert registry.reserve()


def test_the_newest_id_only_rises() -> None:
    registry = ClientRegistry()
    registry.saw(5)
    registry.saw(3)

    assert registry.newest_id == 5


def test_what_the_broadcasters_mailbox_gave_up_is_told_as_a_gap() -> None:
    registry = ClientRegistry()
    everything, risk, other = client(), client(("risk.*",)), client(("news.*",))
    for one in (everything, risk, other):
        registry.attach(one)

    registry.missed(EventsJournalled((event(4), event(5, "risk.limit"))))

    expected = [gap_frame(4, 5, 2), gap_frame(4, 5, 1), b""]
    assert taken([everything, risk, other]) == expected
    assert registry.dropped == 3


def test_a_replacement_that_was_given_up_is_still_counted() -> None:
    registry = ClientRegistry()

    registry.missed(EventReplaced(event(4)))

    assert registry.replaced == 1


def test_drops_of_clients_that_have_gone_stay_counted() -> None:
    registry = ClientRegistry()
    one = client()
    registry.attach(one)
    one.buffer.note_gap(1, 2, 2)

    registry.forget(one, 1013)

    assert registry.dropped == 2
    assert list(registry) == []
