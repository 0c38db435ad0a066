import msgspec
from orchestrator.actors.events import Event
from orchestrator.http.api.event_shape import shape_of
from orchestrator.sql.events.event_reader import EventRow

TS = "2026-01-31T09:30:00.123Z"


def test_an_event_in_memory_and_its_row_look_alike() -> None:
    event = Event(7, "strategy.a", b'{"x": 1.10}', TS, "me", processed=True)
    row = EventRow(7, "strategy.a", msgspec.Raw(b'{"x": 1.10}'), TS, "me", True)

    assert msgspec.json.encode(shape_of(event)) == msgspec.json.encode(shape_of(row))
    assert shape_of(row).timestamp == shape_of(row).ts == TS


def test_an_event_without_a_time_has_none() -> None:
    shape = shape_of(Event(7, "a", b"{}", "", None))

    assert (shape.ts, shape.timestamp) == (None, None)
