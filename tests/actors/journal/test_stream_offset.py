from pathlib import Path

from orchestrator.actors.journal.stream_offset import OffsetFile, decode_position, encode_position
from orchestrator.sql.events.stream_position import StreamPosition

FIRST = StreamPosition(0, 1_700_000_000_000, 1, 7, 1_700_000_000_100)
SECOND = StreamPosition(0, 1_700_000_000_000, 2, -1, 1_700_000_000_200)


def reopened(path: Path) -> StreamPosition | None:
    file = OffsetFile(path)
    found = file.open()
    file.close()
    return found


def test_a_position_survives_encoding_and_nothing_else_is_taken_for_one() -> None:
    assert decode_position(encode_position(SECOND)) == SECOND
    assert decode_position(b"") is None
    assert decode_position((7).to_bytes(8)) is None


def test_a_new_file_knows_nothing_and_an_old_one_its_last_position(tmp_path: Path) -> None:
    file = OffsetFile(tmp_path / "stream")
    assert file.open() is None
    file.write(FIRST)
    file.write(SECOND)
    file.close()

    assert reopened(tmp_path / "stream") == SECOND


def test_a_torn_write_costs_one_note_not_both(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    file = OffsetFile(path)
    file.open()
    file.write(FIRST)
    file.write(SECOND)
    file.close()
    data = bytearray(path.read_bytes())
    data[520] ^= 1
    path.write_bytes(data)

    assert reopened(path) == FIRST


def test_the_older_note_is_overwritten_after_opening_anew(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    third = StreamPosition(1, 0, 0, 0, 1)
    for position in (FIRST, SECOND, third):
        file = OffsetFile(path)
        file.open()
        file.write(position)
        file.close()

    assert reopened(path) == third
    assert path.stat().st_size == 1024
