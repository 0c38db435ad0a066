"""What silence means. Pure; all times are monotonic seconds."""

from enum import Enum
from typing import Final

LATE_S: Final = 0.5
"""A look that comes so late: the observer itself was held up (a laptop's sleep, a paused machine,
a loop that was blocked)."""


class Finding(Enum):
    """What a look at the daemon has found."""

    SILENT = "silent"
    HUNG = "hung"


class Quiet:
    """How long the other side has been quiet; time in which we did not look does not count."""

    def __init__(self, now: float) -> None:
        self._heard = self._looked = now

    def heard(self, now: float) -> None:
        """A sign of life."""
        self._heard = now

    def look(self, now: float) -> float:
        """Seconds of silence."""
        late = now - self._looked
        self._looked = now
        if late > LATE_S:
            self._heard = min(now, self._heard + late)
        return now - self._heard


class Silence:
    """What the daemon's silence means to its guard.

    Time in which the daemon is stopped (SIGSTOP, a debugger) is silence but no hang: a process that
    was stopped may be continued.

    Args:
        silence_s: from the last beat to `Finding.SILENT`.
        hang_exit_s: from the last beat to `Finding.HUNG`.
        now: the time.
    """

    def __init__(self, silence_s: float, hang_exit_s: float, now: float) -> None:
        self._limits = {Finding.HUNG: hang_exit_s, Finding.SILENT: silence_s}
        self._beats = {Finding.HUNG: Quiet(now), Finding.SILENT: Quiet(now)}
        self._found: set[Finding] = set()

    def beat(self, now: float) -> bool:
        """The daemon gave a sign of life; returns whether a silence has ended."""
        for quiet in self._beats.values():
            quiet.heard(now)
        ended = bool(self._found)
        self._found.clear()
        return ended

    def look(self, now: float, *, stopped: bool) -> Finding | None:
        """The finding, each once a silence."""
        if stopped:
            self._beats[Finding.HUNG].heard(now)
        quiet_s = {finding: quiet.look(now) for finding, quiet in self._beats.items()}
        for finding, limit_s in self._limits.items():
            if quiet_s[finding] > limit_s:
                return self._once(finding)
        return None

    def _once(self, finding: Finding) -> Finding | None:
        if finding in self._found:
            return None
        self._found.add(finding)
        return finding
