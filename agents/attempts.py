"""Runs the author's methods one by one: what they raise ends here, is counted and is logged."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from .errors import BusUnavailable, Halted
from .event import Event, handling
from .health import Health
from .pace import Throttle
from .subscriber import Received


class Attempts:
    """The border between the kit and what is written with it. Runs in the handlers' job.

    Args:
        health: Receives how each ended.
        on_trouble: Called when the status has just become bad; must not wait.
        log: The agent's; lines that say the same again are held back.
    """

    def __init__(
        self, health: Health, *, on_trouble: Callable[[], None], log: logging.Logger
    ) -> None:
        self._health = health
        self._on_trouble = on_trouble
        self._log = log
        self._throttle = Throttle()

    def deliver(self, message: Received, handlers: Iterable[Callable[[Event], object]]) -> None:
        """Give one message to all its handlers, unless it is no JSON."""
        try:
            payload = msgspec.json.decode(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._health.undecodable()
            if self._throttle.admit("undecodable", time.monotonic()) is not None:
                self._log.warning("left out a message on %s: %s", message.channel, error)
            return
        event = Event(message.channel, payload, message.received_s)
        with handling(event):
            for handler in handlers:
                self.run(name_of(handler), partial(handler, event))

    def run(self, name: str, call: Callable[[], object]) -> None:
        """Run one piece of the author's code."""
        self._health.begin(name, time.monotonic())
        try:
            call()
        except Halted as error:
            self._health.withheld(time.monotonic())
            if self._throttle.admit(f"{name} withheld", time.monotonic()) is not None:
                self._log.info("%s: %s", name, error)
        except BusUnavailable as error:
            self._health.unpublished(time.monotonic())
            if self._throttle.admit(f"{name} unpublished", time.monotonic()) is not None:
                self._log.warning("%s: %s", name, error)
        except Exception as error:  # noqa: BLE001 - the border of one item; it is logged
            self._failed(name, error)
        else:
            self._health.succeed(name, time.monotonic())

    def _failed(self, name: str, error: Exception) -> None:
        now = time.monotonic()
        held = self._throttle.admit(name, now)
        if held is not None:
            text = "%s failed (and %d times more since it was last said)"
            self._log.error(text, name, held, exc_info=error)
        if self._health.fail(name, error, now):
            self._on_trouble()


def name_of(function: Callable[..., object]) -> str:
    """What the function is called in the heartbeat and the log."""
    return getattr(function, "__name__", repr(function))
