from datetime import UTC, datetime, timedelta

import pytest
from orchestrator.cli import formatting
from orchestrator.protocol.printable import printable

NOW = datetime(2026, 1, 31, 9, 30, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (-3, "0 ms"),
        (0.031, "31 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (7.44, "7.4 s"),
        (9.96, "10 s"),
        (41.2, "41 s"),
        (99.4, "99 s"),
        (240, "4 m"),
        (5_969, "99 m"),
        (10_800, "3 h"),
        (172_800, "2 d"),
        (86_400 * 400, "400 d"),
    ],
)
def test_a_duration_has_one_unit_and_three_digits_at_most(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12, "12 s"), (15_120, "04:12"), (3 * 86_400 + 15_120, "3d 04:12")],
)
def test_uptime_is_days_and_a_clock(seconds: float, text: str) -> None:
    assert formatting.uptime(seconds) == text


def test_large_numbers_have_thin_spaces_for_eyes_and_none_for_programs() -> None:
    assert formatting.number(18_442_907, thin=True) == "18\u2009442\u2009907"
    assert formatting.number(18_442_907, thin=False) == "18442907"
    assert formatting.number(1204.5, thin=False) == "1204.5"


def test_what_could_move_the_cursor_is_made_visible() -> None:
    assert printable("a\x1b[2Jb\n\u202ec") == "a\\x1b[2Jb\\x0a\\x202ec"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("15m", 900),
        ("1h30m", 5_400),
        ("2 d", 172_800),
        ("1w", 604_800),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert formatting.read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "15", "15x", "m15", "1h later"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert formatting.read_duration(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("15m", NOW - timedelta(minutes=15)),
        ("09:30", NOW.replace(microsecond=0)),
        ("09:31:05", datetime(2026, 1, 30, 9, 31, 5, tzinfo=UTC)),
        ("2026-01-30T10:00:00Z", datetime(2026, 1, 30, 10, tzinfo=UTC)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
        ("2026-01-30T10:00:00+02:00", datetime(2026, 1, 30, 8, tzinfo=UTC)),
    ],
)
def test_moments_are_read(text: str, moment: datetime) -> None:
    assert formatting.read_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["25:00", "yesterday", ""])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert formatting.read_moment(text, NOW) is None


def test_only_texts_are_read_as_iso() -> None:
    assert formatting.read_iso(None) is None
    assert formatting.read_iso(12) is None


def test_another_day_shows_its_date() -> None:
    assert formatting.clock_time(NOW, NOW) == "09:30:00.123"
    assert formatting.clock_time(NOW - timedelta(days=1), NOW) == "2026-01-30 09:30:00.123"


def test_plurals() -> None:
    assert formatting.plural(1, "event") == "1 event"
    assert formatting.plural(0, "event") == "0 events"


def test_the_telling_fields_come_first_without_their_names() -> None:
    payload = {"agent_id": "dev-1", "score": 0.91, "symbol": "AAPL", "strategy": "momentum"}

    assert formatting.event_summary("strategy.candidate", payload) == "AAPL momentum score=0.91"


def test_text_with_blanks_is_quoted() -> None:
    assert formatting.event_summary("x", {"note": "two words"}) == 'note="two words"'


def test_a_stop_says_who_and_why() -> None:
    engaged = {"enabled": True, "reason": "fat finger", "triggered_by": "anna"}

    assert formatting.event_summary("risk.killswitch", engaged) == "HALT by anna: fat finger"


def test_a_release_is_told_from_a_stop() -> None:
    assert (
        formatting.event_summary("risk.killswitch", {"enabled": False})
        == "RELEASED: no reason given"
    )


def test_anything_odd_on_the_killswitch_channel_reads_as_a_stop() -> None:
    assert formatting.event_summary("risk.killswitch", "stop!") == "HALT: no reason given"


def test_a_payload_that_is_no_object_is_shown_as_json() -> None:
    assert formatting.event_summary("x", [1, 2]) == "[1, 2]"
    assert formatting.event_summary("x", None) == "null"


def test_a_summary_is_short_and_cannot_move_the_cursor() -> None:
    text = formatting.event_summary("x", {"note": "\x1b[2J" + "a" * 1_000})

    assert len(text) == formatting.SUMMARY_CHARS
    assert "\x1b" not in text
