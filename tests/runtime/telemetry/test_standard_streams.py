import os
import socket
import sys
from collections.abc import Iterator

import pytest
from orchestrator.runtime.telemetry.standard_streams import StandardStreams, WrittenStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that reads and writes without waiting."""
    out, into = os.pipe()
    yield out, into
    os.close(out)
    os.close(into)


def test_text_arrives_in_order_and_what_utf_8_cannot_say_is_escaped(pipe: tuple[int, int]) -> None:
    stream = WrittenStream(pipe[1])

    print("one", "→ two", file=stream)
    stream.write("lone \ud800\n")
    stream.finish(5)

    assert os.read(pipe[0], 1000).decode() == "one → two\nlone \\ud800\n"
    assert stream.lost == 0


def test_writes_to_a_reader_that_is_gone_are_counted() -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.shutdown(socket.SHUT_RDWR)
        stream = WrittenStream(writer.fileno())

        assert stream.write("one\n") == 4
        stream.flush()
        stream.finish(5)

    assert stream.lost == 1


def test_writes_to_a_descriptor_that_cannot_be_written_are_counted() -> None:
    with open(os.devnull) as closed:  # noqa: PTH123 its descriptor counts
        stream = WrittenStream(closed.fileno())
        stream.write("one\n")
        stream.finish(5)

    assert stream.lost == 1


def test_a_reader_that_is_asleep_delays_neither_writes_nor_the_end(pipe: tuple[int, int]) -> None:
    stream = WrittenStream(pipe[1])

    for _ in range(20_000):
        stream.write("x" * 100)
    stream.finish(0.05)

    assert stream.lost > 0
    os.read(pipe[0], 1)
    stream.write("after the end")
    os.set_blocking(pipe[0], False)
    while True:  # frees the thread
        try:
            os.read(pipe[0], 1 << 20)
        except BlockingIOError:
            break


def test_a_stream_is_what_programs_expect_of_one(pipe: tuple[int, int]) -> None:
    stream = WrittenStream(pipe[1])

    assert (stream.writable(), stream.isatty(), stream.fileno()) == (True, False, pipe[1])
    assert stream.encoding == "utf-8"
    stream.finish(1)


def test_both_streams_are_ours_meanwhile_and_the_former_ones_after() -> None:
    former = sys.stdout, sys.stderr

    with StandardStreams().installed() as streams:
        assert (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
        assert streams.lost() == [(("stdout",), 0.0), (("stderr",), 0.0)]

    assert (sys.stdout, sys.stderr) == former
