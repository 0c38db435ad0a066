"""What a handler gets, and what that makes of the events which it publishes itself."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import msgspec

from ..protocol.causes import event_name
from ..protocol.channels import REPLIES
from ..protocol.json_object import text_in
from ..protocol.timestamps import timestamp

Model = TypeVar("Model")

MAX_CHANNEL_CHARS = 512
"""What is longer is no channel of anyone's (contract, section 1)."""


class Event(msgspec.Struct, frozen=True):
    """What came from the bus. Nothing of it is checked but that it was JSON."""

    channel: str
    """The channel it was published on, such as ``data.market.AAPL.1m``."""
    payload: Any
    """The decoded JSON, nearly always a ``dict``."""
    received_s: float = 0.0
    """When it was read off the socket, in Unix seconds."""

    @property
    def type(self) -> str:
        """As the daemon stores it: the channel; ``heartbeat`` for every heartbeat."""
        return "heartbeat" if self.channel.startswith("heartbeat.") else self.channel

    @property
    def ts(self) -> str:
        """When it was read off the socket: UTC, ISO 8601 with milliseconds."""
        return timestamp(self.received_s)

    @property
    def source(self) -> str | None:
        """Who published it, by the daemon's rule: ``source``, ``agent_id``, a beat's suffix."""
        named = self._text("source") or self._text("agent_id")
        return named or (self.channel.partition(".")[2] if self.type == "heartbeat" else None)

    @property
    def id(self) -> str | None:
        """The publisher's ``id``, else what ``boot`` and ``seq`` make one; ``None`` without both.

        ``<boot>/<source>/<channel>/<seq>`` is the same for everyone who reads the event.
        """
        return event_name(self._fields, self.source, self.channel)

    @property
    def correlation_id(self) -> str | None:
        """What it belongs to; the first event of a chain begins it with its own id."""
        return self._text("correlation_id") or self.id

    @property
    def causation_id(self) -> str | None:
        """The event that it was published because of."""
        return self._text("causation_id")

    @property
    def reply_to(self) -> str | None:
        """The channel of the answer, if somebody asks (`Agent.ask`); `Agent.reply` answers."""
        channel = self._text("reply_to")
        usable = channel is not None and channel.startswith(REPLIES)
        return channel if usable and len(channel or "") <= MAX_CHANNEL_CHARS else None

    def passed_on(self) -> dict[str, str]:
        """The fields of an event that is published because of this one."""
        fields = {
            "correlation_id": self.correlation_id,
            "causation_id": self.id,
            "traceparent": self._text("traceparent"),
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def _fields(self) -> Mapping[str, Any]:
        return self.payload if isinstance(self.payload, dict) else {}

    def _text(self, name: str) -> str | None:
        return text_in(self._fields, name)


class TypedEvent(Event, Generic[Model], frozen=True):
    """An event whose payload was found to be what its handler wants."""

    payload: Model
    """An instance of the model."""
    raw: Any = None
    """The decoded JSON, with what the model does not know."""

    @property
    def _fields(self) -> Mapping[str, Any]:
        return self.raw if isinstance(self.raw, dict) else {}


_handled: ContextVar[Event | None] = ContextVar("handled", default=None)


@contextmanager
def handling(event: Event) -> Iterator[None]:
    """What this thread publishes within is published because of ``event``."""
    token = _handled.set(event)
    try:
        yield
    finally:
        _handled.reset(token)


def in_hand() -> Event | None:
    """What this thread handles."""
    return _handled.get()


class CausesFilter(logging.Filter):
    """Puts the ``correlation_id`` of the event that is being handled on each record of a log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add it; every record goes on."""
        event = _handled.get()
        if event is not None and event.correlation_id is not None:
            record.correlation_id = event.correlation_id
        return True


LOG_CAUSES = CausesFilter()
"""The same for every log: a logger takes it once."""


def fields_of(payload: Mapping[str, Any] | msgspec.Struct) -> Mapping[str, Any]:
    """A payload as the fields that go on the bus."""
    return msgspec.to_builtins(payload) if isinstance(payload, msgspec.Struct) else payload


def caused(payload: Mapping[str, Any], **given: str | None) -> Mapping[str, Any]:
    """The payload with what it was caused by, if this thread handles an event.

    Args:
        payload: its own fields win over those of the event that is being handled.
        given: and these over all; ``None`` counts as absent.
    """
    named = {name: value for name, value in given.items() if value is not None}
    event = _handled.get()
    if (event is None and not named) or not isinstance(payload, Mapping):
        return payload
    inherited = {} if event is None else event.passed_on()
    missing = {name: value for name, value in inherited.items() if name not in payload}
    return {**payload, **missing, **named}
