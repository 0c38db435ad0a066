"""Notices that what an agent publishes is not stored, which it would not learn otherwise."""

import logging
from collections.abc import Callable
from typing import Final

MAX_CHANNELS: Final = 100
"""Channels named before it is silent: the mistake is the same in all."""


class Unstored:
    """One agent's warnings, one for each channel. Any thread.

    Args:
        own_copies: how many copies of a message on a channel come back to the agent itself.
        log: the agent's.
    """

    def __init__(self, own_copies: Callable[[str], int], log: logging.Logger) -> None:
        self._own_copies = own_copies
        self._log = log
        self._warned: set[str] = set()

    def note(self, channel: str, receivers: int) -> None:
        """A message was published; ``receivers`` counts every subscriber, the daemon's too.

        A daemon that does not subscribe to the channel is not noticed while others do.
        """
        if channel in self._warned or len(self._warned) >= MAX_CHANNELS:
            return
        if receivers <= self._own_copies(channel):
            self._warned.add(channel)
            self._log.warning(
                "no daemon stores what is published on %s: none subscribes to it now"
                " (it stores channels that match control_patterns or data_patterns of [bus])",
                channel,
            )
