import json
from typing import Any

import pytest
from orchestrator.actors.broadcaster import frames
from orchestrator.actors.broadcaster.frames import EventFrames, sse_message, text_frame, text_of
from orchestrator.actors.events import Event
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader


def parse(data: bytes) -> list[dict[str, Any]]:
    """Every frame in ``data``, as the reference implementation reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while True:
        parser = Frame.parse(reader.read_exact, mask=False, max_size=None)
        try:
            next(parser)
        except StopIteration as stop:
            frame: Frame = stop.value
        except EOFError:
            return found
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        found.append(json.loads(bytes(frame.data)))


def event(number: int = 7, **fields: Any) -> Event:
    known: dict[str, Any] = {
        "type": "strategy.candidate",
        "payload": b'{"a": 1}',
        "ts": "2026-01-31T09:30:00.123Z",
        "source": "dev-1",
    }
    return Event(id=number, **(known | fields))


def test_an_event_frame_has_the_fields_of_the_contract() -> None:
    (frame,) = parse(EventFrames().build(event()))

    assert frame == {
        "type": "redis_event",
        "id": 7,
        "channel": "strategy.candidate",
        "eventType": "strategy.candidate",
        "data": {"a": 1},
        "source": "dev-1",
        "timestamp": "2026-01-31T09:30:00.123Z",
    }


def test_the_payload_is_in_the_frame_byte_for_byte() -> None:
    payload = b'{ "price":1.10,\n "n": 1e2, "\\u00e9": "\xc3\xa9" }'

    assert payload in EventFrames().build(event(payload=payload))


def test_the_channel_of_a_heartbeat_names_its_source() -> None:
    (frame,) = parse(EventFrames().build(event(type="heartbeat", source="q-1")))

    assert frame["channel"] == "heartbeat.q-1"
    assert frame["eventType"] == "heartbeat"


def test_a_replacing_frame_says_so() -> None:
    (frame,) = parse(EventFrames().build(event(type="bus.rejected"), replaces=True))

    assert frame["replaces"] is True


def test_an_event_without_source_has_null() -> None:
    (frame,) = parse(EventFrames().build(event(source=None)))

    assert frame["source"] is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1 << 20])
def test_frames_of_any_size_have_the_right_header(size: int) -> None:
    text = b'"' + b"x" * size + b'"'

    assert parse(text_frame(text)) == ["x" * size]


@pytest.mark.parametrize("size", [1, 70_000, 1 << 20])
def test_event_frames_of_any_size_have_the_right_header(size: int) -> None:
    (frame,) = parse(EventFrames().build(event(payload=b'"' + b"x" * size + b'"')))

    assert frame["data"] == "x" * size


def test_names_with_quotes_are_escaped() -> None:
    (frame,) = parse(EventFrames().build(event(type='strategy."x"', source="\\")))

    assert frame["eventType"] == 'strategy."x"'
    assert frame["source"] == "\\"


def test_the_cache_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_CACHE_LIMIT", 10)
    encoder = EventFrames()

    for number in range(100):
        encoder.build(event(type=f"strategy.{number}"))

    assert len(encoder._middles) <= 10


def test_the_other_frames_carry_their_fields() -> None:
    made = b"".join(
        [
            frames.connection_frame(instance="desk-a", env="paper", cursor=9),
            frames.subscribed_frame(("risk.*",)),
            frames.error_frame("bad", "do this"),
            frames.pong_frame(),
            frames.gap_frame(3, 9, 5),
            frames.killswitch_frame(engaged=True, data=b'{"reason":"x"}'),
            frames.killswitch_frame(engaged=False, data=b"{}"),
        ]
    )

    connection, subscribed, error, pong, gap, engaged, released = parse(made)

    assert connection["cursor"] == 9
    assert connection["status"] == "connected"
    assert subscribed["types"] == ["risk.*"]
    assert (error["error"], error["message"]) == ("bad", "do this")
    assert pong["timestamp"].endswith("Z")
    assert gap == {"type": "gap", "from": 3, "to": 9, "dropped": 5}
    assert (engaged["type"], engaged["data"]) == ("killswitch_activated", {"reason": "x"})
    assert released["type"] == "killswitch_released"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_frames_text_is_found_behind_its_header(size: int) -> None:
    assert text_of(text_frame(b"x" * size)) == b"x" * size


def test_a_message_carries_the_json_and_the_place_to_resume_from() -> None:
    assert sse_message(text_frame(b'{"a":1}'), 7) == b'id: 7\ndata: {"a":1}\n\n'
    assert sse_message(text_frame(b'{"a":1}'), None) == b'data: {"a":1}\n\n'


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n"])
def test_json_over_several_lines_stays_one_message(end: bytes) -> None:
    text = b'{"a":' + end + b"[1," + end + b"2]}"

    lines = sse_message(text_frame(text), 7).split(b"\n")

    assert lines[0] == b"id: 7"
    assert lines[-2:] == [b"", b""]
    data = lines[1:-2]
    assert all(line.startswith(b"data: ") and b"\r" not in line for line in data)
    joined = b"\n".join(line.removeprefix(b"data: ") for line in data)
    assert json.loads(joined) == {"a": [1, 2]}
