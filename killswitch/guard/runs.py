"""Runs of the daemon, on disk: which of them ended without saying so.

``<data>/runs`` says that a run has begun until its orderly end is written, so that a power cut
leaves a trace as well. The file is of preallocated slots: it works on a full disk.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...protocol.json_object import read_object, text_in
from ...protocol.ulid import new_ulid
from ..slots import SlotFile

RUNS_NAME: Final = "runs"
SLOT_BYTES: Final = 4096
WINDOW_S: Final = 900.0
"""Unclean ends count for 15 minutes, from the start that found them."""
MAX_ENDS: Final = 100


@dataclass(frozen=True, slots=True)
class Begun:
    """What was found at the begin of a run."""

    run: str
    """The new run's id."""
    unclean: str | None
    """The id of the run before, if it ended without saying so (a new one if it cannot be read)."""
    ends: int
    """Unclean ends within the window, that one included."""


class Runs:
    """The record of one data directory. Calls block for a disk's time.

    Args:
        folder: the data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._file = SlotFile(folder / RUNS_NAME, SLOT_BYTES)
        self._ends: list[float] = []
        self.trouble = ""
        """Why the last write failed, if it did."""

    def begin(self, unix_s: float) -> Begun:
        """Count the end of the run before, and note that a new one has begun.

        Never fails: where the disk refuses, this run leaves no trace.
        """
        before = self._last()
        self._ends = _within(before.get("ends"), unix_s)
        unclean = text_in(before, "run")
        if unclean is not None:
            self._ends = [*self._ends, unix_s][-MAX_ENDS:]
        run = new_ulid(unix_s)
        self._write(run)
        return Begun(run, unclean, len(self._ends))

    def end(self) -> None:
        """Note the orderly end."""
        self._write(None)

    def _last(self) -> Mapping[str, Any]:
        slots = self._file.read()
        last = read_object(slots.bodies[0]) if slots.bodies else None
        if not slots.exists:
            return {}
        if slots.torn or last is None:  # cut off while it was written, or damaged
            last = dict(last or {})
            last["run"] = text_in(last, "run") or new_ulid()
        return last

    def _write(self, run: str | None) -> None:
        try:
            self._file.write(json.dumps({"run": run, "ends": self._ends}).encode())
        except OSError as error:
            self.trouble = f"the run is not noted: {error}"
        else:
            self.trouble = ""


def _within(ends: object, unix_s: float) -> list[float]:
    """Those in the window; a clock that was set back makes none of them last longer."""
    known = ends if isinstance(ends, list) else []
    times = [float(end) for end in known if isinstance(end, int | float)]
    return [min(end, unix_s) for end in times if unix_s - end <= WINDOW_S]
