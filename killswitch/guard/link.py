"""The daemon's line to its guard: what outlives the guard's runs."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import structlog

from ...protocol.trips import Stop, Trip
from ..readings import Copy
from .orders import Orders
from .orphans import marked
from .runs import Begun, Runs
from .settings import GuardSettings
from .unclean_ends import known_stop, slotted_stop, trip_for, write_for_guard

MARK_VARIABLE: Final = "ORCHESTRATOR_CHILD_OF"
"""In the environment of children: by it the guard finds those that left their process group."""
_DAMAGE: Final = f"damage:{Copy.GUARD}"


class GuardStatus(msgspec.Struct, frozen=True):
    """How the guard is."""

    pid: int | None = None
    """Its process; ``None`` if it does not run."""
    ready: bool = False
    """Whether it has read its orders."""
    replaced: int = 0
    """How often it died or fell silent."""
    bus: str = ""
    """Why it cannot deliver a stop to Redis."""
    disk: str = ""
    """Why the disk refuses its slots."""
    ignored: str = ""
    """What in the data directory is no trip file although it has the name of one."""


class GuardLink:
    """Knows which process groups the guard looks after and whether trading is halted.

    Args:
        redis_url: where the guard publishes.
        folder: the data directory.
        settings: section ``[guard]``.
        on_trip: called for each trip that the guard has engaged, again after its restart; must not
            block.
    """

    def __init__(
        self,
        *,
        redis_url: str,
        folder: Path,
        settings: GuardSettings,
        on_trip: Callable[[Trip], None],
    ) -> None:
        self.orders = Orders(
            redis_url=redis_url,
            folder=str(folder),
            on_silence=settings.on_silence,
            silence_s=settings.silence_s,
            hang_exit_s=settings.hang_exit_s,
            daemon_pid=os.getpid(),
            mark=f"{MARK_VARIABLE}={os.getpid()}-{secrets.token_hex(8)}",
            run="",
        )
        self.groups: set[int] = set()
        self.status = GuardStatus()
        """Kept by the actor."""
        self._on_trip = on_trip
        self._settings = settings
        self._folder = folder
        self._runs = Runs(folder)
        self._untaken: set[str] = set()
        self._mended: set[str] = set()
        self._latched = Stop()
        self._halted = False
        self._pipe: int | None = None
        self._log = structlog.get_logger(actor="guard")

    # -- the daemon's runs -------------------------------------------------------------------

    def begin(self) -> None:
        """At the daemon's start, before its first guard: engage for the end of the run before.

        The trip goes to the guard's slots: it is known before the first permit. Blocks for a disk's
        time; a second call does nothing.
        """
        if self.orders.run:
            return
        with suppress(OSError):  # a new guard has no other way to know what the latch holds
            self._untaken |= {trip.id for trip in slotted_stop(self._folder).trips}
        now_s = time.time()
        begun = self._runs.begin(now_s)
        self.orders = replace(self.orders, run=begun.run)
        if self._runs.trouble:
            self._log.error(self._runs.trouble)
        if begun.unclean is not None:
            self._log.warning("previous run ended uncleanly", recently=begun.ends)
            self._engage_for(begun, now_s)

    def end(self) -> None:
        """At the daemon's orderly end."""
        self.say("end")
        self._runs.end()
        if self._runs.trouble:
            self._log.error(self._runs.trouble)

    def _engage_for(self, begun: Begun, now_s: float) -> None:
        trip = trip_for(begun, self._settings, known_stop(self._folder), now_s)
        if trip is None:
            return
        self._log.critical("stop engaged after unclean ends", trip_id=trip.id, reason=trip.reason)
        try:
            write_for_guard(self._folder, trip)
        except OSError as error:
            self._log.critical("the stop is not on disk", trip_id=trip.id, reason=str(error))
        self.tripped(trip)

    # -- process groups ----------------------------------------------------------------------

    def child_environment(self, child: str) -> Mapping[str, str]:
        """What a child process needs in its environment to be found."""
        name, _, value = self._child_mark(child).partition("=")
        return {name: value}

    def stragglers(self, child: str) -> list[int]:
        """Processes below ``child`` that left its process group (Linux)."""
        return marked(self._child_mark(child))

    def _child_mark(self, child: str) -> str:
        return f"{self.orders.mark}/{child}/"

    def watch(self, group: int) -> None:
        """Have the guard end that process group when the daemon is gone."""
        self.groups.add(group)
        self.say(f"group {group}")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self.groups.discard(group)
        self.say(f"forget {group}")

    def abandon(self) -> None:
        """End all groups now, and the guard, for a process that is about to end itself."""
        for group in self.groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self.end()

    # -- the stop ----------------------------------------------------------------------------

    def set_halted(self, halted: bool) -> None:  # noqa: FBT001 a state
        """Whether halt/all is in force: then silence needs no further trip."""
        self._halted = halted
        self.say(f"halted {halted:d}")

    def tripped(self, trip: Trip) -> None:
        """The guard reports a trip; for the actor."""
        self._untaken.add(trip.id)
        self._on_trip(trip)
        self.settle(self._latched)

    def settle(self, latched: Stop) -> None:
        """The latch holds ``latched``: the guard need not keep these trips any longer."""
        self._latched = latched
        damage = {trip.id for trip in latched.trips if trip.triggered_by == _DAMAGE}
        self._untaken |= damage - self._mended  # has the guard rewrite all its slots
        self._mended |= damage
        held = {name for name in self._untaken if _holds(latched, name)}
        for name in held:
            if self.say(f"taken {name}"):
                self._untaken.discard(name)

    # -- the pipe ----------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a guard to talk to."""
        return self._pipe is not None

    def say(self, line: str) -> bool:
        """Send a line; never waits. ``False``: there is no guard, or it does not read."""
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except OSError:  # full or broken; lines are far shorter than what a pipe takes whole
            return False
        return True

    def connect(self, pipe: int) -> None:
        """Talk to a new guard; for the actor."""
        self._pipe = pipe
        os.set_blocking(pipe, False)
        os.write(pipe, self.orders.line())
        self.set_halted(self._halted)
        for group in self.groups:
            self.say(f"group {group}")

    def disconnect(self) -> None:
        """Close the pipe; for the actor."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)


def _holds(stop: Stop, trip_id: str) -> bool:
    return stop.find(trip_id) is not None or stop.released(trip_id) is not None
