import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.actors.journal.record_format import (
    MAGIC,
    SLOT_BYTES,
    Damage,
    Head,
    Record,
    RecordKind,
    decode,
    decode_assigned,
    decode_head,
    encode,
    encode_assigned,
    encode_head,
    scan,
)
from orchestrator.actors.sources import Run


def record(number: int, rows: int = 3) -> Record:
    body = b"".join(b"t\ts\tnow\t%d.%d\n" % (number, row) for row in range(rows))
    ranges = ((number * 10, number * 10 + rows - 1),)
    return Record(number, RecordKind.EVENTS, rows, body, ranges, 1_700_000_000_000 + number)


def segment(*numbers: int) -> bytes:
    return b"".join(b"".join(encode(record(number))) for number in numbers)


def found_in(data: bytes) -> list[Record | Damage]:
    return [found for _end, found in scan(data)]


def numbers_in(data: bytes) -> list[int]:
    return [found.number for found in found_in(data) if isinstance(found, Record)]


@given(
    st.builds(
        Record,
        number=st.integers(1, 2**64 - 1),
        kind=st.sampled_from(RecordKind),
        rows=st.integers(0, 2**32 - 1),
        body=st.binary(max_size=1000),
        ranges=st.lists(st.tuples(st.integers(1, 2**63), st.integers(1, 2**63))).map(tuple),
        at_ms=st.integers(0, 2**64 - 1),
        stream_offset=st.binary(max_size=40),
        rows_before=st.integers(0, 2**64 - 1),
    )
)
def test_what_was_encoded_is_decoded(original: Record) -> None:
    data = b"".join(encode(original))

    assert decode(data, 0) == (original, len(data))


def test_records_without_ids_have_no_last_id() -> None:
    assert record(1).last_id == 12
    assert Record(1, RecordKind.EVENTS, 0, b"").last_id == 0


def test_a_segment_is_read_in_order_with_the_ends_of_its_records() -> None:
    data = segment(1, 2, 3)

    assert numbers_in(data) == [1, 2, 3]
    assert [end for end, _found in scan(data)][-1] == len(data)
    assert numbers_in(data + segment(4)) == [1, 2, 3, 4]
    assert found_in(b"") == []


def test_every_truncation_costs_only_the_records_it_cuts() -> None:
    data = segment(*range(1, 40))
    ends = [end for end, _found in scan(data)]

    for size in range(max(0, len(data) - 4096), len(data)):
        whole = sum(end <= size for end in ends)
        found = found_in(data[:size])
        assert found[:whole] == found_in(data)[:whole]
        assert len(found) == whole + (size not in ends)


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_bit_costs_one_record_and_is_seen(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(segment(*range(1, 20)))
    place = chance.randrange(len(data))
    ends = [end for end, _found in scan(bytes(data))]
    hit = sum(end <= place for end in ends) + 1
    data[place] ^= 1 << chance.randrange(8)

    assert numbers_in(bytes(data)) == [number for number in range(1, 20) if number != hit]
    damages = [found for found in found_in(bytes(data)) if isinstance(found, Damage)]
    assert len(damages) == 1
    assert damages[0].offset == ([0, *ends])[hit - 1]


def test_magic_inside_damage_does_not_make_a_record() -> None:
    data = b"junk" + MAGIC + b"more junk" + MAGIC + segment(5)

    assert numbers_in(data) == [5]
    first = found_in(data)[0]
    assert isinstance(first, Damage)
    assert first.reason == "no magic"


def test_an_impossible_length_is_damage() -> None:
    data = MAGIC + (2**31).to_bytes(4, "little") + bytes(100)

    assert decode(data, 0) == "impossible length"


@pytest.mark.parametrize("place", [0, 1])
def test_a_record_of_a_later_version_is_not_guessed_at(place: int) -> None:
    front, body = encode(record(1))
    content = bytearray(front[16:] + body)
    content[place] = 77
    data = front[:12] + zlib.crc32(content).to_bytes(4, "little") + content

    answer = decode(data, 0)
    assert isinstance(answer, str)
    assert "another version" in answer


def test_assignments_keep_all_ranges_of_a_number() -> None:
    assigned = {3: ((10, 12), (15, 15)), 4: ((16, 20),)}

    assert decode_assigned(encode_assigned(assigned)) == assigned


def test_of_two_slots_the_newest_whole_one_counts() -> None:
    file = bytearray(2 * SLOT_BYTES)
    for sequence in (4, 5):
        offset, slot = encode_head(Head(sequence, last_number=sequence))
        file[offset : offset + len(slot)] = slot

    assert decode_head(bytes(file)) == Head(5, last_number=5)
    file[SLOT_BYTES + 9] ^= 1
    assert decode_head(bytes(file)) == Head(4, last_number=4)
    file[9] ^= 1
    assert decode_head(bytes(file)) is None
    assert decode_head(b"") is None


def test_a_head_of_something_else_is_none() -> None:
    _offset, slot = encode_head(Head())

    assert decode_head(b"JUNK" + slot[4:]) is None


def test_no_utf8_text_contains_the_magic() -> None:
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode()
    assert MAGIC[0] == 0xFF


def test_runs_are_kept_beside_the_stream_offset() -> None:
    original = Record(
        1, RecordKind.EVENTS, 3, b"x\n", stream_offset=b"9-1", runs=(Run("stream", 3, 1),)
    )

    ((_end, found),) = scan(b"".join(encode(original)))

    assert found == original
