"""What belongs to one incarnation and ends with it: linked greenlets and timers."""

from collections.abc import Callable
from typing import Any

import gevent

from .linked import Linked
from .mailbox import Mailbox
from .timer import Timer

# Killing a linked greenlet waits this long for its ``finally`` blocks, then leaves it behind.
LINKED_KILL_S = 2.0


class Belongings:
    """Starts them, and ends them all.

    Args:
        on_failure: Told of each linked greenlet that failed; runs in the hub, must not wait.
    """

    def __init__(self, on_failure: Callable[[Linked, Exception], None]) -> None:
        self._on_failure = on_failure
        self.linked: set[Linked] = set()
        self._timers: set[Timer] = set()
        self._ended = False

    def spawn(self, name: str, function: Callable[..., object], args: tuple[Any, ...]) -> Linked:
        """Start a linked greenlet."""
        greenlet = Linked(function, *args)
        greenlet.name = name
        self.linked.add(greenlet)
        greenlet.link(self._linked_ended)
        greenlet.start()
        return greenlet

    def add_timer(
        self, mailbox: Mailbox, seconds: float, function: Callable[[], object], *, repeat: bool
    ) -> Timer:
        """Start a timer; after the end it is cancelled at once."""
        self._timers = {timer for timer in self._timers if not timer.cancelled}
        timer = Timer(mailbox, seconds, function, repeat=repeat)
        if self._ended:
            timer.cancel()
        self._timers.add(timer)
        return timer

    def end_timers(self) -> None:
        """No timer fires any more."""
        self._ended = True
        for timer in self._timers:
            timer.cancel()

    def kill_linked(self, *, block: bool = True) -> list[str]:
        """End the linked greenlets; returns the names of those that did not end within 2 s."""
        linked = [greenlet for greenlet in self.linked if not greenlet.dead]
        gevent.killall(linked, block=False)
        if not block:
            return []
        gevent.joinall(linked, timeout=LINKED_KILL_S)  # killall's own limit raises a Timeout
        return [greenlet.name for greenlet in linked if not greenlet.dead]

    def _linked_ended(self, greenlet: Linked) -> None:
        self.linked.discard(greenlet)
        failure = greenlet.failure
        if failure is not None:
            self._on_failure(greenlet, failure)
