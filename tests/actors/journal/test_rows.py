import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.actors.events import Event
from orchestrator.actors.journal.rows import ids_of, join_rows, parse_rows, row_prefix, with_ids
from orchestrator.sql.events.copy_text import copy_row
from processor import time_scale

TS = "2026-01-31T09:30:00.123Z"
names = st.text(min_size=1, max_size=20).filter(lambda name: "\x00" not in name)
events = st.builds(Event, st.just(0), names, st.binary(max_size=50), st.just(TS), st.none() | names)


def body_of(batch: list[Event]) -> bytes:
    prefixes = [row_prefix(event.type, event.source, event.ts) for event in batch]
    return join_rows(prefixes, [event.payload for event in batch])


@given(st.lists(events, min_size=1, max_size=10))
def test_rows_are_what_copy_takes_and_can_be_read_back(batch: list[Event]) -> None:
    ranges = [(5, 5 + len(batch) - 1)]
    body = body_of(batch)

    expected = [
        copy_row(event_id, event.type, event.source, event.ts, event.payload)
        for event_id, event in zip(ids_of(ranges), batch, strict=True)
    ]
    assert with_ids(body, ranges) == b"".join(expected)
    parsed = parse_rows(body, ranges)
    assert [(e.type, e.payload, e.ts, e.source) for e in parsed] == [
        (e.type, e.payload, e.ts, e.source) for e in batch
    ]


ESCAPES = st.lists(st.sampled_from([b"\\", b"n", b"t", b"r", b"\n", b"\t", b"\r", b"\xff"]))


@given(ESCAPES)
def test_whatever_is_escaped_comes_back(parts: list[bytes]) -> None:
    payload = b"".join(parts)

    (event,) = parse_rows(body_of([Event(0, "t", payload, TS, None)]), [(1, 1)])

    assert event.payload == payload


@pytest.mark.timing
def test_a_megabyte_of_escapes_is_read_back_in_no_time() -> None:
    body = body_of([Event(0, "t", b'"' + b"\\" * 1_000_000 + b'"', TS, None)])
    began = time.thread_time()

    (event,) = parse_rows(body, [(1, 1)])

    assert len(event.payload) == 1_000_002
    assert time.thread_time() - began < 0.05 * time_scale()


@pytest.mark.parametrize("payload", [b'{"a": "\\"\\n"}', b'{\n\t"a": 1\r\n}', b"\\.", b"\\N"])
def test_the_bytes_of_a_payload_survive(payload: bytes) -> None:
    batch = [Event(0, "t", payload, TS, None), Event(0, "t", b"{}", TS, "\\N")]

    first, second = parse_rows(body_of(batch), [(1, 2)])

    assert first.payload == payload
    assert first.source is None
    assert second.source == "\\N"


def test_no_rows_are_no_bytes() -> None:
    assert with_ids(b"", ()) == b""


def test_ids_and_rows_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        with_ids(body_of([Event(0, "t", b"{}", TS, None)]), [(1, 2)])
