"""The last drill, as the StateKeeper has it: for the killswitch's state, ``/ready``, metrics."""

import time
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from ...actors.messages.killswitch import DrillResult
from ...actors.messages.state_keeper import DRILL_KEY, GetState
from ...protocol.timestamps import unix_seconds
from ...runtime import Address, OrchestratorError
from ...sql.state import StateRow
from .schemas import Check

DUE_S: Final = 24 * 3600.0
"""After a day a drill is due: agents and networks change."""
_ASK_TIMEOUT_S: Final = 0.5


class DrillAnswer(msgspec.Struct, frozen=True):
    """``/risk/killswitch/drill``."""

    status: Literal["done"]
    timestamp: str
    drill: DrillResult


def last_drill(keeper: Address) -> DrillResult | None:
    """It; ``None``: there was none.

    Raises:
        OrchestratorError: It is not known.
    """
    return drill_in(keeper.ask(GetState(wait_s=0), timeout_s=_ASK_TIMEOUT_S))


def drill_if_known(keeper: Address) -> DrillResult | None:
    """It; ``None``: there was none, as far as is known."""
    try:
        return last_drill(keeper)
    except OrchestratorError:
        return None


def drill_in(rows: Iterable[StateRow]) -> DrillResult | None:
    """The last drill among the kept values; a value that others wrote counts as none."""
    for row in rows:
        if row.key == DRILL_KEY:
            try:
                return msgspec.json.decode(row.value, type=DrillResult)
            except msgspec.DecodeError:
                return None
    return None


def drilled_at(drill: DrillResult) -> float | None:
    """Unix seconds."""
    return unix_seconds(drill.at)


def drill_check(drill: DrillResult | None, now_s: float | None = None) -> Check:
    """Always good: a drill that is due, or that some missed, is a warning."""
    at = None if drill is None else drilled_at(drill)
    if drill is None or at is None:
        return Check(ok=True, message="never drilled", warning=True)
    age_s = max(0.0, (time.time() if now_s is None else now_s) - at)
    missed = f", {drill.missed} did not answer" if drill.missed else ""
    slowest = "" if drill.slowest is None else f", slowest {drill.slowest} {drill.slowest_ms:g} ms"
    return Check(
        ok=True,
        message=f"{drill.answered} agents answered {age_s / 3600:.1f} h ago{slowest}{missed}",
        latency_ms=drill.slowest_ms,
        warning=age_s > DUE_S or drill.missed > 0,
    )
