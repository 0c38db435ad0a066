"""Progress of a long command on stderr: a bar on a terminal, a line every 5 s in a pipe."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .. import formatting
from ..output import Screen

BAR_CHARS: Final = 30
TERMINAL_EVERY_S: Final = 0.1
PIPE_EVERY_S: Final = 5.0


@dataclass
class Progress:
    """Counts items and shows the count, rate-limited.

    Args:
        screen: its `quiet` suppresses the output.
        what: what is counted, in the plural.
    """

    screen: Screen
    what: str
    clock: Callable[[], float] = time.monotonic
    done: int = field(default=0, init=False)
    """Items so far."""

    def __post_init__(self) -> None:
        self._began = self._shown_at = self.clock()
        self._terminal = sys.stderr.isatty()
        self._shown = False

    def advance(self, count: int, part: float | None) -> None:
        """Add `count` items; `part` of the work, 0 to 1, is complete (None: unknown)."""
        self.done += count
        every_s = TERMINAL_EVERY_S if self._terminal else PIPE_EVERY_S
        if self.clock() - self._shown_at >= every_s and not self.screen.quiet:
            self._shown_at = self.clock()
            self._show(part)

    def end(self) -> str:
        """Remove the bar. Returns count and duration, for the last line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        took_s = self.clock() - self._began
        return f"{self._counted()} in {formatting.duration(took_s)}"

    def _show(self, part: float | None) -> None:
        text = bar_text(part, self._counted(), self._rate(), bar=self._terminal)
        if self._terminal:
            self._shown = True
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            self.screen.note(text)

    def _counted(self) -> str:
        return f"{formatting.number(self.done, thin=self._terminal)} {self.what}"

    def _rate(self) -> str:
        per_s = self.done / max(self.clock() - self._began, 1e-3)
        return f"{formatting.number(round(per_s), thin=self._terminal)}/s"


def bar_text(part: float | None, counted: str, rate: str, *, bar: bool) -> str:
    """`[#####.....]  52 %  1 200 events  300/s`, without the bar in a pipe."""
    if part is None:
        return f"{counted}  {rate}"
    part = min(max(part, 0.0), 1.0)
    filled = round(part * BAR_CHARS)
    drawn = f"[{'#' * filled}{'.' * (BAR_CHARS - filled)}]  " if bar else ""
    return f"{drawn}{part * 100:3.0f} %  {counted}  {rate}"
