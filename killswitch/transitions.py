"""The stop's transitions, for the audit trail."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from ..actors.messages.killswitch import Asker, Drill, DrillResult, Standing
from ..actors.messages.state_keeper import DRILL_KEY, SetState
from ..protocol.announcement import Ended
from ..protocol.trips import Trip
from .intake import Decision, Verdict
from .receipts import ALERT_S, Receipt, Receipts
from .state import Memory, Neighbours

MAX_AGENTS: Final = 200
"""Agents named in a row; the others are counted."""


class Transitions:
    """Notes what becomes of the stop.

    Args:
        memory: What is in force.
        to: The neighbours; without an audit trail nothing is noted.
        receipts: Who has halted.
        after: Calls a function after a delay in seconds, in the actor.
    """

    def __init__(
        self,
        memory: Memory,
        to: Neighbours,
        receipts: Receipts,
        after: Callable[[float, Callable[[], object]], object],
    ) -> None:
        self._memory = memory
        self._trail = to.audit
        self._state_keeper = to.state_keeper
        self._receipts = receipts
        self._after = after

    def engaged(self, trip: Trip, how: str, asker: Asker, request_id: str | None) -> None:
        """A trip is in force; who has halted is noted when the others are late."""
        self._after(ALERT_S, lambda: self._acknowledged(trip))
        others = [one for one in self._memory.stop.trips if one.id != trip.id]
        self._note(
            "killswitch.engage", trip, asker, was=state(others), detail=how, request_id=request_id
        )

    def decided(self, decision: Decision, how: str, by: str | None) -> None:
        """A message has joined a trip in force, or would have released what only a call may.

        Args:
            decision: what became of it.
            how: it came.
            by: who sent it, as it says.
        """
        if self._trail is None:
            return
        now = state(self._memory.stop.trips)
        if decision.verdict is Verdict.JOINS and decision.trip is not None:
            self._trail.note_often(
                "killswitch.join",
                actor=by,
                trip_id=decision.trip.id,
                was=now,
                became=now,
                detail=how,
            )
        elif decision.verdict is Verdict.FALSE and self._memory.stop.in_force:
            why = f"{how}: only an authorised call releases"
            self._trail.note_often("killswitch.release", outcome="refused", actor=by, detail=why)

    def released(self, ended: Ended, asker: Asker, request_id: str | None) -> None:
        """A release counts; to be called while its receipts are known."""
        before = (*self._memory.stop.trips, ended.trip)
        self._note(
            "killswitch.release",
            ended.trip,
            asker,
            actor=asker.name or ended.by,
            reason=ended.reason,
            was=state(before),
            request_id=request_id,
            receipts=_named(self._receipts.receipts(ended.trip.id)),
        )

    def drilled(self, asked: Drill, result: DrillResult) -> None:
        """A drill is over; its result is kept."""
        self._state_keeper.offer(SetState(DRILL_KEY, msgspec.json.encode(result)))
        if self._trail is not None:
            self._trail.note(
                "killswitch.drill",
                actor=asked.asker.name or asked.by,
                role=asked.asker.role,
                address=asked.asker.address,
                detail=f"{result.answered} answered, {result.missed} did not",
                receipts={"answers_ms": result.answers, "missing": [*result.missing]},
                request_id=asked.request_id,
            )

    def _acknowledged(self, trip: Trip) -> None:
        standing = self._receipts.standing((trip,), time.monotonic())
        missing = _missing(standing)
        if answers := _named(self._receipts.receipts(trip.id)) | missing:
            self._note("killswitch.receipts", trip, Asker(), actor=None, receipts=answers)

    def _note(self, action: str, trip: Trip, asker: Asker, **fields: Any) -> None:
        if self._trail is None:
            return
        about: dict[str, Any] = {
            "actor": asker.name or trip.triggered_by,
            "role": asker.role,
            "address": asker.address,
            "target": f"{trip.target.level} {trip.target.scope}",
            "reason": trip.reason,
            "became": state(self._memory.stop.trips),
            "trip_id": trip.id,
        }
        self._trail.note(action, **(about | fields))


def state(trips: Iterable[Trip]) -> str:
    """What is in force in words: ``allowed``, or level and scope of each trip."""
    targets = sorted({f"{trip.target.level} {trip.target.scope}" for trip in trips})
    return ", ".join(targets) or "allowed"


def _missing(standing: Standing) -> dict[str, Any]:
    kinds = {
        "pending": standing.pending,
        "unreachable": standing.unreachable,
        "without_gate": standing.without_gate,
    }
    return {kind: list(names[:MAX_AGENTS]) for kind, names in kinds.items() if names}


def _named(receipts: Iterable[Receipt]) -> dict[str, Any]:
    rows = [*receipts]
    if not rows:
        return {}
    halted = {one.agent: round(one.halted_s, 3) for one in rows[:MAX_AGENTS]}
    quiet = {
        one.agent: round(one.quiet_s, 3) for one in rows[:MAX_AGENTS] if one.quiet_s is not None
    }
    return {"halted_s": halted, "quiet_s": quiet, "count": len(rows)}
