"""Timers whose work is done in the actor's own greenlet, between two messages."""

from collections.abc import Callable
from typing import Final

import gevent

from ._envelope import Envelope
from .mailbox import Mailbox
from .messages import Tick


class Timer:
    """Calls ``function`` in the actor after ``seconds``, once or again and again.

    Ticks do not pile up: while one is pending, a busy actor's timer skips.
    Intervals are the loop's monotonic time; jumps of the clock change nothing.
    """

    def __init__(
        self, mailbox: Mailbox, seconds: float, function: Callable[[], object], *, repeat: bool
    ) -> None:
        self._mailbox = mailbox
        self._function = function
        self._repeat = repeat
        self._waiting = False
        self.cancelled = False
        """Whether it will never fire again."""
        # Loop timers count from the loop's cached time, hence update=True.
        self._timer = gevent.get_hub().loop.timer(seconds, seconds if repeat else 0.0)
        self._timer.start(self._due, update=True)

    def cancel(self) -> None:
        """Stop; a pending tick does nothing any more."""
        if not self.cancelled:
            self.cancelled = True
            self._timer.stop()
            self._timer.close()

    def _due(self) -> None:
        if not self._waiting and not self.cancelled:
            self._waiting = True
            self._mailbox.put_system(Envelope(Tick(self._run)))

    def _run(self) -> None:
        self._waiting = False
        if not self.cancelled:
            if not self._repeat:
                self.cancel()
            self._function()


_NEXT_ROUND_S: Final = 1e-9
"""Has passed by the time the loop checks, so it costs no wait."""


def give_way() -> None:
    """Yield to every greenlet, socket and timer that is due.

    ``gevent.sleep(0)`` only goes to the end of the loop's queue of callbacks, and the loop looks
    at sockets and timers after as many as 50 of those: with some busy greenlets that is a quarter
    of a second. A timer, however short, fires after sockets have been looked at.
    """
    gevent.sleep(_NEXT_ROUND_S)
