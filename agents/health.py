"""How an agent is doing, in the words of a heartbeat. Pure: the caller brings the clock.

A handler that failed makes the status ``error`` until the same handler has
succeeded again, but at least until one heartbeat has said so. A handler that has
been running for longer than its limit makes it ``error`` too: the heartbeat comes
from a thread of its own, so it would otherwise go on saying that all is well.
"""

import threading
from typing import Any

import msgspec

REPORTED = "report_error"
"""The name under which errors that the author reports are kept."""


class _Trouble(msgspec.Struct):
    text: str
    number: int
    healed: bool = False


class Health:
    """What the handlers' thread notes and the heartbeat's thread reads.

    Args:
        now: monotonic seconds.
        handler_limit_s: a handler that runs for longer counts as hanging.
    """

    def __init__(self, now: float, handler_limit_s: float) -> None:
        self._lock = threading.Lock()
        self._started = now
        self._handler_limit_s = handler_limit_s
        self._running: tuple[str, float] | None = None
        self._last_handled: float | None = None
        self._troubles: dict[str, _Trouble] = {}
        self._errors = 0
        self._handled = 0
        self._unpublished = 0
        self._undecodable = 0
        self._withheld = 0

    def begin(self, handler: str, now: float) -> None:
        """A handler begins."""
        self._running = (handler, now)

    def succeed(self, handler: str, now: float) -> None:
        """The handler has returned."""
        with self._lock:
            self._end(now)
            self._heal(handler)

    def fail(self, handler: str, error: BaseException, now: float) -> bool:
        """The handler has raised. Returns whether the status was good until now."""
        with self._lock:
            self._end(now)
            return self._add(handler, f"{handler}: {describe(error)}")

    def report(self, error: BaseException | str) -> bool:
        """The author says that something is wrong. Returns as `fail` does."""
        with self._lock:
            return self._add(REPORTED, error if isinstance(error, str) else describe(error))

    def clear_report(self) -> None:
        """What the author reported is over."""
        with self._lock:
            self._heal(REPORTED)

    def unpublished(self, now: float) -> None:
        """A handler gave up because Redis was away: counted, no fault of the agent's."""
        with self._lock:
            self._end(now)
            self._unpublished += 1

    def withheld(self, now: float) -> None:
        """A handler did not act because the agent may not: counted, no fault of the agent's."""
        with self._lock:
            self._end(now)
            self._withheld += 1

    def runs_since_before(self, moment: float) -> bool:
        """Whether the handler that runs now had begun by ``moment`` (monotonic seconds)."""
        running = self._running
        return running is not None and running[1] <= moment

    def undecodable(self) -> None:
        """A message was no JSON and was left out."""
        self._undecodable += 1

    def beat(self, now: float) -> tuple[dict[str, Any], int]:
        """The fields for a heartbeat, and what to give `reported` once it is out.

        Fields: status (str), last_error (str, only with status error), uptime_s,
        handled, errors, unpublished, withheld, undecodable (int), busy_s (float: how long the
        handler now running has run, 0 if none), last_handled_s (float or null: since
        a handler last ended).
        """
        with self._lock:
            worst = self._worst(now)
            since = self._last_handled
            fields = {
                "status": "error" if worst else "active",
                **({"last_error": worst} if worst else {}),
                "uptime_s": int(now - self._started),
                "handled": self._handled,
                "errors": self._errors,
                "unpublished": self._unpublished,
                "withheld": self._withheld,
                "undecodable": self._undecodable,
                "busy_s": round(now - self._running[1], 3) if self._running else 0,
                "last_handled_s": None if since is None else round(now - since, 3),
            }
            return fields, self._errors

    def reported(self, number: int) -> None:
        """A heartbeat with the errors up to ``number`` has been published."""
        with self._lock:
            self._troubles = {
                name: trouble
                for name, trouble in self._troubles.items()
                if trouble.number > number or not trouble.healed
            }
            for trouble in self._troubles.values():
                trouble.number = 0 if trouble.number <= number else trouble.number

    def _worst(self, now: float) -> str | None:
        if self._running and now - self._running[1] > self._handler_limit_s:
            name, begun = self._running
            return f"{name} has been running for {now - begun:.0f} s"
        return next((t.text for t in reversed(self._troubles.values())), None)

    def _end(self, now: float) -> None:
        self._running = None
        self._last_handled = now
        self._handled += 1

    def _add(self, name: str, text: str) -> bool:
        was_good = not self._troubles
        self._errors += 1
        self._troubles.pop(name, None)
        self._troubles[name] = _Trouble(text, self._errors)
        return was_good

    def _heal(self, name: str) -> None:
        trouble = self._troubles.get(name)
        if trouble is not None and trouble.number == 0:
            del self._troubles[name]
        elif trouble is not None:
            trouble.healed = True


def describe(error: BaseException) -> str:
    """The error in one line: its class and what it says, 500 characters at most."""
    return f"{type(error).__name__}: {error}"[:500]
