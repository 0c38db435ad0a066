import random
from collections.abc import Iterator

import pytest
from orchestrator.http.stream.frame_reader import (
    Control,
    FrameReader,
    Message,
    Violation,
    close_code_of,
)
from websockets.frames import Frame, Opcode

SIZE = 65536
MASK = b"\x01\x02\x03\x04"


def masked(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def reading(
    *pieces: bytes, max_message_bytes: int = SIZE, max_fragments: int = 4
) -> Iterator[Message | Control]:
    reader = FrameReader(max_message_bytes=max_message_bytes, max_fragments=max_fragments)
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next_event()) is not None:
            yield event


def code(*pieces: bytes, **limits: int) -> int:
    """The code of the violation that these pieces are, all of them together or before."""
    with pytest.raises(Violation) as caught:
        list(reading(*pieces, **limits))
    return int(caught.value.code)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65535, 65536])
def test_messages_of_every_form_of_length_are_read(length: int) -> None:
    data = random.Random(length).randbytes(length)

    assert list(reading(masked(2, data))) == [Message(data, is_text=False)]


def test_frames_read_byte_by_byte_are_the_same() -> None:
    sent = (
        masked(1, b"Sm\xc3", fin=False)
        + masked(9, b"are you there")
        + masked(0, b"\xb6r", fin=False)
        + masked(0, b"")
        + masked(2, b"\xff" * 200)
        + masked(8, b"\x03\xe8bye")
    )
    expected = [
        Control(9, b"are you there"),
        Message("Smör".encode(), is_text=True),
        Message(b"\xff" * 200, is_text=False),
        Control(8, b"\x03\xe8bye"),
    ]

    assert list(reading(sent)) == expected
    assert list(reading(*(bytes([one]) for one in sent))) == expected


def test_frames_cut_anywhere_are_the_same() -> None:
    chance = random.Random(1)
    messages = [chance.randbytes(chance.randrange(300)) for _ in range(100)]
    sent = b"".join(masked(2, message) for message in messages)
    cuts = sorted(chance.sample(range(len(sent)), 300))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    assert [event.data for event in reading(*pieces)] == messages


@pytest.mark.parametrize(
    "begin",
    [
        b"\x83",  # opcodes without a meaning
        b"\x8b",
        b"\xc1",  # reserved bits
        b"\xa1",
        b"\x91",
        b"\x09",  # a control frame in fragments
        b"\x80",  # nothing to continue
        b"\x81\x05",  # not masked
        b"\x89\xfe",  # a control frame with a long length
        b"\x81\xfe\x00\x7d",  # lengths that fit a shorter form
        b"\x81\xff" + (65535).to_bytes(8, "big"),
        b"\x81\xff\x80" + bytes(7),  # a negative length
        b"\x01\x80" + MASK + b"\x81",  # a message inside a message
    ],
)
def test_what_is_forbidden_is_found_at_the_first_byte_that_shows_it(begin: bytes) -> None:
    assert list(reading(begin[:-1])) == []
    assert code(begin) == 1002


@pytest.mark.parametrize("megabytes", [1, 4, 16, 400, 1 << 30])
def test_a_length_over_the_limit_is_found_before_the_payload(megabytes: int) -> None:
    assert code(b"\x82\xff" + (megabytes << 20).to_bytes(8, "big")) == 1009


def test_the_limit_holds_for_all_fragments_together() -> None:
    first, second = masked(2, bytes(40_000), fin=False), masked(0, bytes(SIZE - 40_000), fin=False)

    assert len(list(reading(first, second, masked(0, b"")))) == 1
    assert code(first, second, b"\x80\x81") == 1009


def test_a_message_has_at_most_so_many_fragments() -> None:
    more = masked(0, b"", fin=False)
    begun = masked(2, b"", fin=False) + more + more

    assert len(list(reading(begun + masked(0, b"end")))) == 1
    assert code(begun + more[:2]) == 1008


@pytest.mark.parametrize(
    "wrong",
    [b"\xff", b"\xc0", b"\xf5", b"\x80", b"ok \xed\xa0", b"\xe0\x80", b"\xf4\x90", b"\xc3("],
)
def test_wrong_text_is_found_at_its_first_wrong_byte(wrong: bytes) -> None:
    head = b"\x01" + bytes([0x80 | 100]) + bytes(4)  # a mask of zeros changes nothing

    assert list(reading(head + wrong[:-1])) == []
    assert code(head + wrong) == 1007


def test_text_that_ends_inside_a_character_is_wrong() -> None:
    assert code(masked(1, b"\xe2\x82")) == 1007
    assert code(masked(1, b"\xe2\x82", fin=False), masked(0, b"")) == 1007
    assert [one.data for one in reading(masked(2, b"\xe2\x82"))] == [b"\xe2\x82"]


@pytest.mark.parametrize("data", [b"", b"\x03\xe8", b"\x03\xe8" + "grüß".encode(), b"\x0b\xb8"])
def test_close_codes_that_may_be_sent(data: bytes) -> None:
    assert close_code_of(data) == (int.from_bytes(data[:2], "big") if data else 1005)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x00\x00", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_close_codes_that_may_not(data: bytes, expected: int) -> None:
    with pytest.raises(Violation) as caught:
        close_code_of(data)

    assert caught.value.code == expected
