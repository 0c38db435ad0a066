"""Spans that wait for export; adding one costs the loop microseconds. Pure."""

import re
import time
from collections import Counter, deque
from typing import Final, NamedTuple

import msgspec

MAX_WAITING: Final = 4_096
"""Beyond it the oldest goes."""

MAX_NAME: Final = 200
"""Characters of a name: channels are strangers' texts."""

SAMPLED: Final = 1
"""The flag of ``traceparent`` by which the caller says that it records the trace."""

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)


class Parent(NamedTuple):
    """The caller's span."""

    trace_id: int
    span_id: int


class Span(msgspec.Struct, frozen=True, gc=False):
    """Work of the daemon for one call or one event."""

    parent: Parent
    name: str
    kind: str
    """``server`` or ``consumer``."""
    began_ns: int
    """Since the epoch."""
    ended_ns: int
    attributes: tuple[tuple[str, str | int], ...]
    """Names as in OpenTelemetry's semantic conventions."""
    failed: bool = False


def parent_of(traceparent: object) -> Parent | None:
    """The caller's span, if it is well-formed and sampled (W3C Trace Context, part 3.2)."""
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if found is None or not int(found[3], 16) & SAMPLED:
        return None
    return Parent(int(found[1], 16), int(found[2], 16))


class Spans:
    """What waits, and what became of the rest; outlives its exporter."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        """By ``exported``, ``refused`` (by the collector), ``dropped`` (no room)."""
        self._waiting: deque[Span] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, span: Span) -> None:
        """Queue it; the oldest goes where there is no room."""
        self._waiting.append(span)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.results["dropped"] += 1

    def add_request(
        self, traceparent: object, method: str, path: str, status: int, seconds: float
    ) -> None:
        """Queue a span for a request that has just been answered, if its caller traces it.

        Args:
            traceparent: Its header.
            method: GET or the like.
            path: The route's, with names in place of values.
            status: Of the answer.
            seconds: How long it took.
        """
        parent = parent_of(traceparent)
        if parent is None:
            return
        ended_ns = time.time_ns()
        attributes = (
            ("http.request.method", method),
            ("http.route", path),
            ("http.response.status_code", status),
        )
        began_ns = ended_ns - int(seconds * 1e9)
        failed = status >= 500  # noqa: PLR2004 the daemon's own failures, as the conventions say
        name = f"{method} {path}"
        self.add(Span(parent, name, "server", began_ns, ended_ns, attributes, failed))

    def take(self, count: int) -> list[Span]:
        """The oldest, at most ``count``, which wait no more."""
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
