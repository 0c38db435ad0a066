"""The timers of an agent: what is due, and how long until the next. Pure."""

from collections.abc import Callable, Iterable

from .routing import TimerSpec


class Timer:
    """One function to be called again and again."""

    def __init__(self, function: Callable[[], object], *, seconds: float, due: float) -> None:
        if not seconds > 0:
            raise ValueError(f"a timer needs more than 0 seconds, not {seconds}")
        self.function = function
        """What to call."""
        self.seconds = seconds
        """From one due time to the next."""
        self.due = due
        """The next call, on the schedule's clock."""


class Schedule:
    """Timers in the order they were added. The caller brings the clock.

    Args:
        wanted: what to `add`.
    """

    def __init__(self, wanted: Iterable[tuple[Callable[[], object], TimerSpec]] = ()) -> None:
        self._timers: list[Timer] = []
        self._wanted = list(wanted)

    def add(self, function: Callable[[], object], spec: TimerSpec) -> None:
        """Have a timer, which runs once it was set up."""
        self._wanted.append((function, spec))

    def set_up(self, now: float) -> None:
        """Let the timers run that were added since: an interval counts from here."""
        wanted, self._wanted = self._wanted, []
        for function, spec in wanted:
            due = now + (0.0 if spec.at_start else spec.seconds)
            self._timers.append(Timer(function, seconds=spec.seconds, due=due))

    def take_due(self, now: float) -> list[Timer]:
        """The timers that are due, each already set to its next time.

        A timer keeps its beat; times missed altogether are left out.
        """
        due = [timer for timer in self._timers if timer.due <= now]
        for timer in due:
            missed = int((now - timer.due) / timer.seconds)
            timer.due += (missed + 1) * timer.seconds
        return due

    def wait_s(self, now: float, longest_s: float) -> float:
        """Seconds until the next timer is due, ``longest_s`` at most, 0 if one is."""
        return max(0.0, min([longest_s, *(timer.due - now for timer in self._timers)]))
