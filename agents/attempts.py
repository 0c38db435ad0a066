"""Runs the author's methods one by one: what they raise ends here, is counted and is logged."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from .dead_letters import DeadLetters
from .errors import BusUnavailable, Halted, Refused
from .event import Event, TypedEvent, handling, in_hand
from .health import Health, describe
from .pace import Throttle
from .routing import model_of
from .subscriber import Received


class Attempts:
    """The border between the kit and what is written with it. Runs in the handlers' job.

    Args:
        health: Receives how each ended.
        on_trouble: Called when the status has just become bad; must not wait.
        log: The agent's; lines that say the same again are held back.
        now: Seconds that never jump.
        on_failure: Called with what a method raised, once it is counted and logged.
    """

    def __init__(
        self,
        health: Health,
        *,
        on_trouble: Callable[[], None],
        log: logging.Logger,
        now: Callable[[], float] = time.monotonic,
        on_failure: Callable[[Exception], object] = lambda _error: None,
    ) -> None:
        self._on_failure = on_failure
        self._now = now
        self._health = health
        self._on_trouble = on_trouble
        self._log = log
        self._throttle = Throttle()
        self.dead_letters = DeadLetters()
        """Events that a handler refused or failed on."""

    def deliver(self, message: Received, handlers: Iterable[Callable[[Any], object]]) -> None:
        """Give one message to all its handlers, unless it is no JSON."""
        try:
            payload = msgspec.json.decode(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._health.undecodable()
            if self._throttle.admit("undecodable", self._now()) is not None:
                self._log.warning("left out a message on %s: %s", message.channel, error)
            return
        event = Event(message.channel, payload, message.received_s)
        with handling(event):
            for handler in handlers:
                self.run(name_of(handler), partial(_call, handler, event, message.data))

    def run(self, name: str, call: Callable[[], object]) -> None:
        """Run one piece of the author's code."""
        self._health.begin(name, self._now())
        try:
            call()
        except Halted as error:
            self._health.withheld(self._now())
            if self._throttle.admit(f"{name} withheld", self._now()) is not None:
                self._log.info("%s: %s", name, error)
        except BusUnavailable as error:
            self._health.unpublished(self._now())
            if self._throttle.admit(f"{name} unpublished", self._now()) is not None:
                self._log.warning("%s: %s", name, error)
        except Exception as error:  # noqa: BLE001 - the border of one item; it is logged
            self._failed(name, error)
        else:
            self._health.succeed(name, self._now())

    def _failed(self, name: str, error: Exception) -> None:
        now = self._now()
        if (event := in_hand()) is not None:
            self.dead_letters.add(event, name, describe(error))
        held = self._throttle.admit(name, now)
        if held is not None:
            refused = isinstance(error, Refused)
            text = "%s failed (and %d times more since it was last said): %s"
            self._log.error(text, name, held, error, exc_info=None if refused else error)
        if self._health.fail(name, error, now):
            self._on_trouble()
        self._on_failure(error)


def _call(handler: Callable[[Event], object], event: Event, data: bytes) -> None:
    """Call a handler with what it wants of the event.

    Raises:
        Refused: the payload is not what the handler's model says.
    """
    if (model := model_of(handler)) is not None:
        try:
            payload = msgspec.json.decode(data, type=model)
        except msgspec.ValidationError as error:
            raise Refused(event.channel, str(error)) from None
        event = TypedEvent(
            channel=event.channel, payload=payload, received_s=event.received_s, raw=event.payload
        )
    handler(event)


def name_of(function: Callable[..., object]) -> str:
    """What the function is called in the heartbeat and the log."""
    return getattr(function, "__name__", repr(function))
