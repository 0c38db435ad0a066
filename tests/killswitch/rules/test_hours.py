from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.killswitch.rules.hours import WEEK, Day, Hours, zone_of

WEEKDAYS = WEEK[:5]
BERLIN, NEW_YORK = zone_of("Europe/Berlin"), zone_of("America/New_York")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def hours(begin: str, end: str, *, days: tuple[Day, ...] = WEEK, zone: Any = BERLIN) -> Hours:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (begin, end)]
    return Hours(days, minutes[0], minutes[1], zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def since(of: Hours, at: str, back_to: datetime | None = None) -> str | None:
    """When it opened, so that it is open at that moment (all UTC)."""
    opened = of.open_since(utc(at), back_to or utc(at) - timedelta(minutes=1))
    return None if opened is None else opened.strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("at", "opened"),
    [
        ("2026-01-30 08:29:59", None),  # a Friday; 09:30 there is 08:30
        ("2026-01-30 08:30", "2026-01-30 08:30"),
        ("2026-01-30 14:59:59", "2026-01-30 08:30"),
        ("2026-01-30 15:00", None),
        ("2026-01-31 10:00", None),  # Saturday
        ("2026-07-31 07:30", "2026-07-31 07:30"),  # summer
    ],
)
def test_a_day_s_hours_are_those_of_its_zone(at: str, opened: str | None) -> None:
    assert since(hours("09:30", "16:00", days=WEEKDAYS), at) == opened


@pytest.mark.parametrize(
    ("at", "opened"),
    [
        ("2026-01-30 21:00", "2026-01-30 21:00"),  # Friday, 22:00 there
        ("2026-01-31 04:59", "2026-01-30 21:00"),  # Saturday's morning is Friday's night
        ("2026-01-31 05:00", None),
        ("2026-01-31 21:00", None),  # Saturday's night
        ("2026-02-02 04:59", None),  # Sunday's
    ],
)
def test_hours_over_midnight_are_of_the_day_on_which_they_begin(
    at: str, opened: str | None
) -> None:
    assert since(hours("22:00", "06:00", days=WEEKDAYS), at) == opened


def test_hours_that_adjoin_are_open_without_a_break() -> None:
    week = hours("17:00", "17:00", days=(Day.SUN, *WEEKDAYS[:4]), zone=NEW_YORK)

    assert since(week, "2026-01-28 12:00", LONG_AGO) == "2026-01-25 22:00"  # since Sunday
    assert since(week, "2026-01-30 21:59", LONG_AGO) == "2026-01-25 22:00"
    assert since(week, "2026-01-30 22:00", LONG_AGO) is None  # Friday's evening


def test_it_is_looked_back_no_further_than_asked() -> None:
    always = hours("00:00", "24:00", zone=UTC)

    assert since(always, "2026-01-30 12:00", utc("2026-01-28 12:00")) == "2026-01-28 00:00"


@pytest.mark.parametrize(
    ("begin", "end", "at", "opened"),
    [
        # On 2026-03-29 the clock goes from 02:00 to 03:00 (01:00 UTC).
        ("02:30", "05:00", "2026-03-29 01:29", None),
        ("02:30", "05:00", "2026-03-29 01:30", "2026-03-29 01:30"),  # 03:30 there
        ("01:00", "02:30", "2026-03-29 01:29", "2026-03-29 00:00"),
        ("01:00", "02:30", "2026-03-29 01:30", None),
        # On 2026-10-25 it goes from 03:00 back to 02:00 (01:00 UTC).
        ("02:30", "05:00", "2026-10-25 00:29", None),
        ("02:30", "05:00", "2026-10-25 01:15", "2026-10-25 00:30"),  # 02:15 again
        ("01:00", "02:30", "2026-10-25 00:45", "2026-10-24 23:00"),  # 02:45, the first time
        ("01:00", "02:30", "2026-10-25 01:29", "2026-10-24 23:00"),
        ("01:00", "02:30", "2026-10-25 01:30", None),
    ],
)
def test_skipped_and_repeated_times(begin: str, end: str, at: str, opened: str | None) -> None:
    assert since(hours(begin, end), at) == opened


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_day_of_23_or_25_hours_is_open_all_the_time(day: str) -> None:
    always = hours("00:00", "24:00")
    start = utc(f"{day} 00:00") - timedelta(hours=6)

    for quarter in range(4 * 36):
        at = start + timedelta(minutes=15 * quarter)
        opened = always.open_since(at, at - timedelta(hours=30))
        assert opened is not None
        assert opened <= at - timedelta(hours=30)


@settings(deadline=None)
@given(
    st.tuples(st.integers(0, 1439), st.integers(1, 1440)),
    st.sets(st.sampled_from(WEEK), min_size=1),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.integers(0, 2 * 365 * 24 * 60),
    st.integers(0, 5 * 24 * 60),
)
def test_whatever_the_hours_it_was_open_from_then_to_now(
    minutes: tuple[int, int], days: set[Day], zone: str, minute: int, back_min: int
) -> None:
    of = Hours(days, *minutes, zone_of(zone))
    at = utc("2026-01-01 00:00") + timedelta(minutes=minute)
    back_to = at - timedelta(minutes=back_min)

    opened = of.open_since(at, back_to)

    if opened is None:
        return
    assert opened <= at
    local = opened.astimezone(zone_of(zone))
    assert WEEK[local.weekday()] in days
    assert of.open_since(opened, opened) == opened
    if opened > back_to:
        assert of.open_since(opened - timedelta(seconds=1), back_to) is None


@settings(deadline=None)
@given(st.integers(0, 2 * 365 * 24 * 60), st.sets(st.sampled_from(WEEK), min_size=1))
def test_where_no_clock_jumps_it_is_what_the_clock_shows(minute: int, days: set[Day]) -> None:
    of = Hours(days, 9 * 60, 17 * 60, zone_of("Asia/Kolkata"))
    at = utc("2026-01-01 00:00") + timedelta(minutes=minute)

    local = at.astimezone(zone_of("Asia/Kolkata"))
    is_open = WEEK[local.weekday()] in days and 9 <= local.hour < 17
    assert (of.open_since(at, at) is not None) is is_open
