"""When a rule looks: days of the week, from and to, by the clock of a zone. Pure.

A session begins on one of the days at ``from`` and ends at ``to``, on the next day if that is not
later. Of a time that the zone's clock shows twice ``from`` is the first and ``to`` the second; one
that it skips is as much later as it skips.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK: Final = tuple(Day)


def zone_of(name: str) -> tzinfo:
    """The zone with that IANA name.

    Raises:
        ValueError: there is none, or this machine does not know it.
    """
    if name == "UTC":  # also where a machine knows no zones
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # the last: a folder of the zones' files
        raise ValueError(
            "expected the IANA name of a zone that this machine knows (package tzdata), such as "
            "Europe/Berlin"
        ) from None


@dataclass(frozen=True, slots=True)
class Hours:
    """Some days' hours."""

    days: Collection[Day]
    """On which a session begins."""
    begin_min: int
    """Minutes of the day, 0 to 1,439."""
    end_min: int
    """Minutes of the day, to 1,440; of the next day if it is not later than the beginning."""
    zone: tzinfo
    """Whose clock counts."""

    def open_since(self, at: datetime, back_to: datetime) -> datetime | None:
        """Since when it has been open without a break; ``None`` if it is closed.

        Args:
            at: the moment (UTC).
            back_to: whether it was open before that is not looked at; at most some days ago.
        """
        today = at.astimezone(self.zone).date()
        for day in (today - _DAY, today):
            if self._begins_on(day) and self._begin(day) <= at < self._end(day):
                return self._without_break(day, back_to)
        return None

    def _without_break(self, day: date, back_to: datetime) -> datetime:
        begin = self._begin(day)
        while begin > back_to and self._begins_on(before := day - _DAY):
            if self._end(before) < begin:
                break
            day, begin = before, self._begin(before)
        return begin

    def _begins_on(self, day: date) -> bool:
        return WEEK[day.weekday()] in self.days

    def _begin(self, day: date) -> datetime:
        return self._moment(day, self.begin_min, fold=0)

    def _end(self, day: date) -> datetime:
        if self.end_min <= self.begin_min:
            day += _DAY
        # Of a skipped time the second reading is the earlier one.
        return max(self._moment(day, self.end_min, fold=fold) for fold in (0, 1))

    def _moment(self, day: date, minutes: int, *, fold: int) -> datetime:
        days, rest = divmod(minutes, 24 * 60)
        day += days * _DAY
        local = datetime(day.year, day.month, day.day, rest // 60, rest % 60, fold=fold)  # noqa: DTZ001 the zone follows
        return local.replace(tzinfo=self.zone).astimezone(UTC)
