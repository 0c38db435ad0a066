"""Where a message of the durable stream ends."""

from orchestrator.actors.messages.durable_stream import PersistStream, StreamItem
from orchestrator.sql.events.stream_position import StreamPosition

START = StreamPosition(1, 5, 0, 1, 0)
NEXT = StreamPosition(1, 6, 0, 2, 0)


def test_a_message_ends_with_its_last_entry() -> None:
    assert PersistStream(START, "", (StreamItem(START), StreamItem(NEXT))).end == NEXT


def test_a_message_without_a_position_of_its_own_ends_where_it_began() -> None:
    assert PersistStream(START, "", ()).end == START
    assert PersistStream(START, "", (StreamItem(None),)).end == START
