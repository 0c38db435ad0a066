import pytest
from orchestrator.agents.killswitch import Announcement, read_message
from orchestrator.protocol.targets import STOP_ALL, Level, Target


def test_a_stop_engages_and_comes_with_its_fields() -> None:
    fields = {"enabled": True, "reason": "x", "trip_id": "T1", "scope": "group:a"}

    heard = read_message(b'{"enabled": true, "reason": "x", "trip_id": "T1", "scope": "group:a"}')

    target = Target(Level.HALT, "group:a")
    assert heard == Announcement(
        engaged=True, fields=fields, targets=(target,), trip_id="T1", reason="x"
    )


def test_an_exact_false_is_news_and_stops_nobody() -> None:
    heard = read_message(b'{"enabled": false}')

    assert (heard.engaged, heard.fields, heard.targets) == (False, {"enabled": False}, ())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"stop!",
        b"[]",
        b"null",
        b"{}",
        b'{"enabled": 0}',
        b'{"enabled": "false"}',
        b'{"enabled": false, "enabled": true}',
        b'{"enabled": true, "level": "reduce", "scope": "everyone"}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_anything_else_stops_all(data: bytes) -> None:
    heard = read_message(data)

    assert heard.engaged
    assert heard.targets == (STOP_ALL,)


def test_the_other_trips_in_force_count_too() -> None:
    heard = read_message(
        b'{"enabled": true, "level": "reduce", "trips": [{"scope": "agent:a"}, 7, {"scope": 7}]}'
    )

    assert heard.targets == (Target(Level.REDUCE), Target(scope="agent:a"), STOP_ALL)


def test_what_is_not_an_object_is_passed_on_as_text() -> None:
    assert read_message(b"stop \xff" + b"x" * 5000).fields["raw"].startswith("stop \ufffdxxx")
    assert len(read_message(b"x" * 5000).fields["raw"]) == 4096


def test_names_are_cut_and_blank_ones_are_none() -> None:
    heard = read_message(b'{"enabled": true, "trip_id": " ", "reason": "' + b"r" * 600 + b'"}')

    assert (heard.trip_id, len(heard.reason or "")) == (None, 500)
