"""Who has halted after a stop, as the daemon hears it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import Failure
from .rest import Client

WAIT_S: Final = 4.0
"""A permit ends after 3 s, and a gate reads it each 0.25 s: by then every gate is shut."""
POLL_S: Final = 0.2
NOT_KNOWN: Final = (
    "Not known yet who must halt: the daemon has not listened for a whole heartbeat. Look again."
)
_KINDS: Final = ("acknowledged", "quiet", "pending", "unreachable", "without_gate")


def names(state: Mapping[str, Any], kind: str) -> list[str]:
    """Ids of the agents of one kind in an answer of ``GET /risk/killswitch``."""
    return [str(name) for name in (state.get("agents") or {}).get(kind) or ()]


def is_complete(state: Mapping[str, Any]) -> bool:
    """Whether all have halted that must; False where the daemon cannot know."""
    missing = names(state, "pending") or names(state, "unreachable")
    return state.get("status") == "active" and state.get("complete") is True and not missing


def is_unknown_who(state: Mapping[str, Any]) -> bool:
    """Whether the daemon does not know yet who must halt (one of before does not say)."""
    return state.get("agents_known") is False


def follow(client: Client, *, limit_s: float = WAIT_S) -> Iterator[dict[str, Any]]:
    """The state each time that something of it changes, until all have halted or the limit.

    Ends early, too, when the daemon does not answer any more.
    """
    end, before = time.monotonic() + limit_s, None
    while True:
        try:
            state = client.get("/risk/killswitch")
        except Failure:
            return
        standing = [state.get("complete"), *(names(state, kind) for kind in _KINDS)]
        if standing != before:
            yield state
            before = standing
        if is_complete(state) or time.monotonic() + POLL_S > end:
            return
        time.sleep(POLL_S)
