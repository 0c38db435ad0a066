"""The SpanExporter: outside the event path, so that a collector that hangs delays nothing else.

Only what is traced already gets a span: requests and events whose ``traceparent`` says that their
caller records the trace. OpenTelemetry's batch processor and HTTP exporter do not live with
gevent's patching, so batches are made here; the SDK builds and encodes them in a thread.
"""

import http.client
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import gevent
import msgspec
from gevent.threadpool import ThreadPool

from ...runtime import Actor, OrchestratorError, deadline
from ..events import Event, channel_of
from ..fields import FieldReader
from ..http_client import post
from ..messages.events import EventReplaced, EventsJournalled
from .settings import OtelSettings
from .spans import MAX_NAME, Parent, Span, Spans, parent_of

BATCH: Final = 512
INTERVAL_S: Final = 1.0
ATTEMPTS: Final = 5
_GOOD: Final = 2
_AGAIN: Final = (429, 502, 503, 504)
"""OTLP's own list of answers after which the same batch may be sent again."""
_HEADERS: Final = {"Content-Type": "application/x-protobuf", "User-Agent": "orchestrator"}


class _Traced(msgspec.Struct):
    traceparent: object = None


_read: Final = FieldReader(_Traced)


class _TooSlow(OrchestratorError):
    """The collector does not answer in time."""


class _NotExported(OrchestratorError):
    """An attempt failed; ``lasting``: another is of no use."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class SpanExporter(Actor):
    """Exports spans of requests and events.

    Args:
        settings: Where to.
        spans: Outlives it; the HTTP server adds those of requests.
        about: Attributes of the resource.
    """

    def __init__(self, settings: OtelSettings, spans: Spans, about: Mapping[str, str]) -> None:
        super().__init__()
        self._settings = settings
        self._spans = spans
        self._about = about

    def on_start(self) -> None:
        """Begin to export."""
        self._thread = ThreadPool(1)
        self.spawn(self._export_all, name="export")

    def on_stop(self) -> None:
        """End the thread; what waits is exported by the next run."""
        self._thread.kill()

    def on_receive(self, message: EventsJournalled | EventReplaced) -> None:
        """Queue a span for each traced event, from its receipt until now, as it is journalled."""
        if isinstance(message, EventsJournalled):
            for event in message.events:
                if b'"traceparent"' in event.payload:
                    self._add(event)

    def _add(self, event: Event) -> None:
        try:
            parent = parent_of(_read(event.payload).traceparent)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if parent is not None:
            self._spans.add(span_of(event, parent, ended_ns=time.time_ns()))

    def _export_all(self) -> None:
        while True:
            gevent.sleep(INTERVAL_S)
            while batch := self._spans.take(BATCH):
                result = "exported" if self._export(batch) else "refused"
                self._spans.results[result] += len(batch)

    def _export(self, batch: list[Span]) -> bool:
        try:
            body = self._thread.apply(_encoded, (batch, self._about))
        except Exception:
            self.log.exception("spans not encoded")
            return False
        for attempt in range(ATTEMPTS):
            try:
                self._send(body)
            except _NotExported as error:
                self.log.warning("spans not exported", attempt=attempt + 1, reason=str(error))
                if error.lasting:
                    break
                gevent.sleep(2.0**attempt)
            else:
                return True
        return False

    def _send(self, body: bytes) -> None:
        limit_s = self._settings.timeout_s
        try:
            with deadline(limit_s, _TooSlow(f"no answer within {limit_s:g} s")):
                status = post(self._settings.endpoint, body, _HEADERS, timeout_s=limit_s)
        except (OSError, http.client.HTTPException, ValueError, _TooSlow) as error:
            raise _NotExported(str(error) or type(error).__name__) from error
        if status // 100 != _GOOD:
            raise _NotExported(f"the collector answered {status}", lasting=status not in _AGAIN)


def span_of(event: Event, parent: Parent, *, ended_ns: int) -> Span:
    """The span of one event; names as in OpenTelemetry's conventions for messaging."""
    channel = channel_of(event)[:MAX_NAME]
    attributes = (
        ("messaging.system", "redis"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", channel),
        ("messaging.message.id", str(event.id)),
        *((("orchestrator.source", event.source[:MAX_NAME]),) if event.source else ()),
    )
    received_ms = round(datetime.fromisoformat(event.ts).timestamp() * 1_000)
    name = f"process {channel}"
    return Span(parent, name, "consumer", received_ms * 1_000_000, ended_ns, attributes)


def _encoded(batch: list[Span], about: Mapping[str, str]) -> bytes:
    from .otlp import encoded  # noqa: PLC0415 the SDK is an extra

    return encoded(batch, about)
