"""Taking turns: how busy code lets everything else run."""

from typing import Final

import gevent

_NEXT_ROUND_S: Final = 1e-9
"""Has passed by the time the loop looks, so it costs no wait."""


def give_way() -> None:
    """Let every greenlet, socket and timer that is due have its turn.

    ``gevent.sleep(0)`` only goes to the end of the loop's queue of callbacks, and the loop looks
    at sockets and timers after as many as 50 of those: with some busy greenlets that is a quarter
    of a second. A timer, however short, fires after sockets have been looked at.
    """
    gevent.sleep(_NEXT_ROUND_S)
