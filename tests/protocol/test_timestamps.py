import time

import pytest
from orchestrator.protocol.timestamps import timestamp, unix_seconds, utc_now


def test_a_time_has_milliseconds_and_z() -> None:
    assert timestamp(1769851800.1239) == "2026-01-31T09:30:00.123Z"


def test_now_is_the_systems_clock() -> None:
    assert unix_seconds(utc_now()) == pytest.approx(time.time(), abs=5)


def test_a_time_is_read_back() -> None:
    assert unix_seconds(timestamp(1769851800.123)) == pytest.approx(1769851800.123)


def test_an_offset_is_understood() -> None:
    assert unix_seconds("2026-01-31T10:30:00+01:00") == 1769851800.0


@pytest.mark.parametrize("text", ["", "unknown", "2026-01-31T09:30:00", "yesterday"])
def test_what_names_no_moment_is_none(text: str) -> None:
    assert unix_seconds(text) is None
