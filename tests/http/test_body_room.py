import pytest
from orchestrator.http.body_room import PIECE_BYTES, BodyRoom
from orchestrator.http.errors import Unavailable


def test_the_first_piece_of_each_body_takes_no_room() -> None:
    room = BodyRoom(0)

    with room.held() as first, room.held() as second:
        first(PIECE_BYTES)
        second(PIECE_BYTES)

        assert room.held_bytes == 0


def test_bodies_share_the_room_and_leave_it() -> None:
    room = BodyRoom(100)
    with room.held() as first:
        first(PIECE_BYTES)
        first(60)
        with room.held() as second, pytest.raises(Unavailable, match="try again"):
            second(PIECE_BYTES + 41)
        assert room.held_bytes == 60

        with room.held() as third:
            third(PIECE_BYTES + 40)
            assert room.held_bytes == 100

    assert room.held_bytes == 0


def test_a_body_that_alone_is_larger_than_the_room_is_taken() -> None:
    room = BodyRoom(100)

    with room.held() as only:
        only(PIECE_BYTES + 500)

        assert room.held_bytes == 500
