import zlib
from pathlib import Path

import pytest
from orchestrator.actors.journal.id_ranges import (
    IN_HAND,
    MAX_IN_HAND,
    RANGE_SIZE,
    IdRanges,
    decode_ids,
    encode_ids,
    read_ids,
    write_ids,
)


def test_ids_are_given_in_ascending_order_over_several_ranges() -> None:
    ids = IdRanges([(5, 7), (10, 20)])

    assert ids.take(2) == [(5, 6)]
    assert ids.take(3) == [(7, 7), (10, 11)]
    assert ids.left == 9
    assert ids.ranges == ((12, 20),)


def test_when_too_few_are_left_none_is_given() -> None:
    ids = IdRanges([(1, 3)])

    assert ids.take(4) is None
    assert ids.left == 3
    assert ids.take(3) == [(1, 3)]
    assert ids.take(1) is None
    assert ids.take(0) == []


def test_ids_that_are_not_above_those_in_hand_are_left_out() -> None:
    ids = IdRanges([(10, 20)])

    ids.add([(1, 5), (15, 25), (18, 19)])

    assert ids.ranges == ((10, 20), (21, 25))
    assert ids.highest == 25
    assert IdRanges().highest == 0


def test_a_range_of_one_id_is_a_range() -> None:
    ids = IdRanges([(7, 7)])

    ids.add([(7, 7), (8, 8)])

    assert (ids.ranges, ids.left) == (((7, 7), (8, 8)), 2)


def test_ids_that_were_used_are_forgotten_after_a_start() -> None:
    ids = IdRanges([(1, 5), (8, 10)])

    ids.discard_through(8)

    assert ids.ranges == ((9, 10),)
    assert ids.left == 2


def test_more_are_fetched_when_idle_and_while_busy_only_when_it_is_urgent() -> None:
    ids = IdRanges([(1, IN_HAND)])

    assert ids.wanted() == 0
    ids.take(RANGE_SIZE)
    assert ids.wanted() == RANGE_SIZE
    assert ids.wanted(idle=False) == 0
    ids.take(ids.left - RANGE_SIZE // 2)
    assert ids.wanted(idle=False) == RANGE_SIZE


def test_a_busy_daemon_keeps_more_in_hand() -> None:
    ids = IdRanges([(1, IN_HAND)])

    assert ids.wanted(rate_per_s=5000) == RANGE_SIZE
    assert IdRanges([(1, MAX_IN_HAND)]).wanted(rate_per_s=1e9) == 0


def test_the_file_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ids"

    assert read_ids(path) == ()
    write_ids(path, [(1, 5), (9, 2**62)])
    write_ids(path, [(3, 5), (9, 2**62)])

    assert read_ids(path) == ((3, 5), (9, 2**62))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", range(len(encode_ids([(1, 5)])) - 1))
def test_a_damaged_file_gives_no_ids(place: int) -> None:
    data = bytearray(encode_ids([(1, 5)]))
    data[place] ^= 4

    assert decode_ids(bytes(data)) is None


def test_a_file_of_something_else_gives_no_ids() -> None:
    line = b'{"ids": 1}'

    assert decode_ids(b"%b\n%08x\n" % (line, zlib.crc32(line))) is None
