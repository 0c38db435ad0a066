"""Section ``[guard]``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GuardSettings(BaseModel):
    """Section ``[guard]``: the process that acts when the daemon cannot."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on_silence: Literal["stop", "hold"] = "hold"
    """When the daemon falls silent or ends without saying so: ``hold`` lets the permit run out,
    agents with a gate go on once the daemon is back; ``stop`` engages the emergency stop, which an
    operator has to release: for desks with agents that have no gate."""
    silence_s: float = Field(default=6.0, ge=5.5, le=60)
    """How long the daemon may be silent under ``stop``. The supervisor ends a hang in Python after
    5 s: it comes first."""
    hang_exit_s: float = Field(default=10.0, ge=2, le=600)
    """How long its loop may hang before it is ended, to be started anew (a hang in Python is over
    sooner, see ``ActorHung``)."""
    unclean_ends: int = Field(default=0, ge=0, le=20)
    """So many ends within 15 minutes that were no orderly ones (``kill -9``, crashes, power cuts)
    engage the stop at the next start; 0: never."""
