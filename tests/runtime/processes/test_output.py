from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.runtime.processes.output import (
    LINES_PER_S,
    MAX_FIELDS,
    LineSplitter,
    OutputLine,
    ProcessOutput,
    level_of,
    read_line,
)


def line(text: str, at: float = 0.0) -> OutputLine:
    return OutputLine(at, "stdout", text)


def test_lines_come_out_when_they_are_complete() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\r\n\n") == ["two", ""]
    assert splitter.finish() == []


def test_a_last_line_without_an_end_is_a_line() -> None:
    splitter = LineSplitter()
    splitter.feed(b"last words")

    assert splitter.finish() == ["last words"]
    assert splitter.finish() == []


def test_a_line_that_is_too_long_is_cut_and_says_so() -> None:
    splitter = LineSplitter(max_line_bytes=4)

    assert splitter.feed(b"abc") == []
    assert splitter.feed(b"defgh\nnext\n") == ["abcd … [4 bytes more]", "next"]


def test_an_endless_line_takes_no_memory() -> None:
    splitter = LineSplitter(max_line_bytes=4)
    for _ in range(100):
        splitter.feed(b"x" * 1000)

    assert len(splitter._begun) == 4
    assert splitter.finish() == ["xxxx … [99996 bytes more]"]


def test_what_is_no_utf8_is_shown_as_well_as_can_be() -> None:
    assert LineSplitter().feed(b"caf\xe9\n") == ["caf\ufffd"]


@given(st.binary(), st.integers(1, 7))
def test_pieces_make_no_difference(data: bytes, size: int) -> None:
    whole, pieces = LineSplitter(), LineSplitter()

    expected = whole.feed(data) + whole.finish()
    got = [text for at in range(0, len(data), size) for text in pieces.feed(data[at : at + size])]

    assert got + pieces.finish() == expected


def test_the_last_lines_are_kept() -> None:
    output = ProcessOutput(capacity=3)
    for number in range(5):
        output.add(line(str(number)))

    assert [kept.text for kept in output.last()] == ["2", "3", "4"]
    assert [kept.text for kept in output.last(1)] == ["4"]
    assert output.last(0) == ()
    assert output.total == 5


def test_a_flood_is_kept_out_of_the_log_until_the_next_second() -> None:
    output = ProcessOutput()
    loggable = [output.add(line("x", at=1.5)) for _ in range(LINES_PER_S + 2)]

    assert loggable.count(False) == output.unlogged == 2
    assert output.add(line("x", at=2.0))


def test_the_level_of_a_log_line_is_read() -> None:
    assert level_of("2026-01-31 09:30:00,123 ERROR agent.x broke") == "error"
    assert level_of("[WARNING] careful") == "warning"
    assert level_of("CRITICAL: down") == "error"


def test_words_of_ordinary_text_are_no_level() -> None:
    assert level_of("an error came") == "info"
    assert level_of("this is far too late for ERROR") == "info"
    assert level_of("") == "info"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"level":"warning","event":"slow","ms":7}', ("warning", "slow", {"ms": 7})),
        ('{"level":50,"time":1,"msg":"lost"}', ("error", "lost", {"time": 1})),
        ('{"level":20,"msg":"detail"}', ("debug", "detail", {})),
        ('{"severity":"CRITICAL","message":"down","at":{"deep":1}}', ("error", "down", {})),
        ('{"level":true,"msg":"x"}', ("info", "x", {})),
        ('{"n":1}', ("info", '{"n":1}', {})),
        ("{broken ERROR", ("error", "{broken ERROR", {})),
        ("[1] ERROR x", ("error", "[1] ERROR x", {})),
    ],
)
def test_a_line_of_json_keeps_its_level_and_fields(text: str, read: tuple[Any, ...]) -> None:
    assert tuple(read_line(text)) == read


def test_a_line_of_json_brings_a_bounded_number_of_fields() -> None:
    fields = ",".join(f'"f{at}":{at}' for at in range(100))

    assert len(read_line(f'{{"msg":"x",{fields}}}').fields) == MAX_FIELDS
