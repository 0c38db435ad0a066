import json

import pytest
from orchestrator.actors.broadcaster.frames import text_frame, text_of
from orchestrator.actors.broadcaster.sse import message, retry


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_frames_text_is_found_behind_its_header(size: int) -> None:
    assert text_of(text_frame(b"x" * size)) == b"x" * size


def test_a_message_carries_the_json_and_the_place_to_resume_from() -> None:
    assert message(text_frame(b'{"a":1}'), 7) == b'id: 7\ndata: {"a":1}\n\n'
    assert message(text_frame(b'{"a":1}'), None) == b'data: {"a":1}\n\n'


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n"])
def test_json_over_several_lines_stays_one_message(end: bytes) -> None:
    text = b'{"a":' + end + b"[1," + end + b"2]}"

    lines = message(text_frame(text), 7).split(b"\n")

    assert lines[0] == b"id: 7"
    assert lines[-2:] == [b"", b""]
    data = lines[1:-2]
    assert all(line.startswith(b"data: ") and b"\r" not in line for line in data)
    joined = b"\n".join(line.removeprefix(b"data: ") for line in data)
    assert json.loads(joined) == {"a": [1, 2]}


def test_the_time_to_wait_is_said_in_milliseconds() -> None:
    assert retry(3000) == b"retry: 3000\n\n"
