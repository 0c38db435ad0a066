"""Jumps in the numbers that producers give their messages, by source and channel. Pure.

A jump is not a gap at once: what is durable comes by the stream and may be a moment behind what is
published. So a jump waits, late numbers fill it, and what is still missing then is the gap, to
the unit. Nothing is kept over a start of the daemon: the first number of a producer is where
counting begins, so that a restart never claims a gap that it cannot know.
"""

import math
from collections import OrderedDict, deque
from typing import Final

import msgspec

from ...protocol.timestamps import utc_now
from ..events import GAP, KILLSWITCH, NewEvent
from ..payloads import Marks

GRACE_S: Final = 1.0
"""So long the numbers that were left out may still come, if the stream is read to its end."""

PATIENCE_S: Final = 10.0
"""So long at most, if it is not."""

MAX_PRODUCERS: Final = 10_000
"""Pairs of source and channel; beyond it those heard longest ago are forgotten and learnt again."""

MAX_JUMPS: Final = 1_000
"""Jumps that wait; beyond it the oldest is said at once."""

MAX_CERTAIN: Final = 10_000
"""Gaps that wait to be said; what is beyond it is said as one, by its number only."""

MAX_KEY_CHARS: Final = 512
"""Longer names are not followed: a table of them must not grow to gigabytes."""

MAX_SEQ: Final = 2**63 - 1
"""What any language can count to."""

Key = tuple[str, str]
"""Source and channel."""


class _Producer:
    __slots__ = ("boot", "heard", "last")

    def __init__(self, boot: str | int | None, last: int, heard: str) -> None:
        self.boot = boot
        self.last = last
        self.heard = heard


class _Jump(msgspec.Struct, gc=False):
    """Numbers left out between two of a producer's messages."""

    first: int
    last: int
    since: str
    until: str
    at: float


class _Missing:
    """What one run of a producer left out and may still bring."""

    __slots__ = ("jumps",)

    def __init__(self) -> None:
        self.jumps: list[_Jump] = []

    def fill(self, number: int) -> None:
        """``number`` has come after all."""
        for place, jump in enumerate(self.jumps):
            if jump.first <= number <= jump.last:
                parts = (
                    msgspec.structs.replace(jump, last=number - 1),
                    msgspec.structs.replace(jump, first=number + 1),
                )
                self.jumps[place : place + 1] = [p for p in parts if p.first <= p.last]
                return


def _gap(key: Key, jump: _Jump) -> NewEvent:
    source, channel = key
    payload = {
        "cause": "sequence",
        "from": jump.since,
        "to": jump.until,
        "source": source,
        "channel": channel,
        "first": jump.first,
        "last": jump.last,
        "count": jump.last - jump.first + 1,
    }
    return NewEvent(GAP, msgspec.json.encode(payload))


class Sequences:
    """Follows each producer's numbers; bounded."""

    def __init__(self, max_producers: int = MAX_PRODUCERS, max_jumps: int = MAX_JUMPS) -> None:
        self.gaps = 0
        """Gaps said."""
        self.missing = 0
        """Messages in them."""
        self._max_producers = max_producers
        self._max_jumps = max_jumps
        self._producers: OrderedDict[Key, _Producer] = OrderedDict()
        self._missing: dict[Key, _Missing] = {}
        self._jumps = 0
        self._untold = 0
        self._untold_since = ""
        self._certain: deque[tuple[Key, _Jump]] = deque()

    def __len__(self) -> int:
        return len(self._producers)

    def note(self, source: str | None, channel: str, marks: Marks, ts: str, now: float) -> None:
        """Take in the number of a message.

        Args:
            source: Who published it; without one nothing is followed.
            channel: Where.
            marks: Its ``seq`` (or ``sequence``) and ``boot``.
            ts: When it was read, in the contract's form.
            now: The same, monotonic.
        """
        seq = _number(marks.seq if marks.seq is not None else marks.sequence)
        if seq is None or source is None or channel == KILLSWITCH:
            return  # on risk.killswitch it counts changes of the stop, not messages
        if len(source) + len(channel) > MAX_KEY_CHARS:
            return
        boot, key = _boot(marks.boot), (source, channel)
        known = self._producers.get(key)
        if known is None:
            self._learn(key, _Producer(boot, seq, ts))
            return
        self._producers.move_to_end(key)
        if known.boot != boot or (boot is None and seq <= 1):
            self._settle(key)
            known.boot, known.last = boot, seq
        elif seq > known.last:
            if seq > known.last + 1:
                self._note_jump(key, _Jump(known.last + 1, seq - 1, known.heard, ts, now))
            known.last = seq
        elif key in self._missing:
            self._missing[key].fill(seq)
        known.heard = ts

    def due(self, now: float, stream_read_at: float, *, limit: int = 1_000) -> list[NewEvent]:
        """The gaps that are certain by ``now``.

        Args:
            now: Monotonic.
            stream_read_at: When the durable stream was last known to be read to its end.
            limit: Of their number.
        """
        before = max(min(now - GRACE_S, stream_read_at), now - PATIENCE_S)
        for key in list(self._missing):
            self._settle(key, before)
        gaps = [_gap(*self._certain.popleft()) for _ in range(min(limit, len(self._certain)))]
        if self._untold:
            untold = {"cause": "sequence", "from": self._untold_since, "count": self._untold}
            payload = msgspec.json.encode(untold | {"to": utc_now(), "source": None})
            gaps.append(NewEvent(GAP, payload))
            self._untold = 0
        self.gaps += len(gaps)
        return gaps

    def _learn(self, key: Key, producer: _Producer) -> None:
        if len(self._producers) >= self._max_producers:
            oldest, _ = self._producers.popitem(last=False)
            self._settle(oldest)
        self._producers[key] = producer

    def _note_jump(self, key: Key, jump: _Jump) -> None:
        self._missing.setdefault(key, _Missing()).jumps.append(jump)
        self._jumps += 1
        if self._jumps > self._max_jumps:
            self._settle(next(iter(self._missing)))

    def _settle(self, key: Key, before: float = math.inf) -> None:
        """What ``key`` had left out ``before`` will not come."""
        missing = self._missing.get(key)
        if missing is None:
            return
        certain = [jump for jump in missing.jumps if jump.at < before]
        missing.jumps = [jump for jump in missing.jumps if jump.at >= before]
        if not missing.jumps:
            del self._missing[key]
        self._jumps = max(0, self._jumps - len(certain))
        for jump in certain:
            self._conclude(key, jump)

    def _conclude(self, key: Key, jump: _Jump) -> None:
        count = jump.last - jump.first + 1
        self.missing += count
        if len(self._certain) < MAX_CERTAIN:
            self._certain.append((key, jump))
            return
        self._untold_since = self._untold_since if self._untold else jump.since
        self._untold += count


def _number(value: object) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= MAX_SEQ else None
    if type(value) is str and value.isdecimal() and value.isascii() and len(value) < len("9" * 19):
        return int(value)
    return None


def _boot(value: object) -> str | int | None:
    if type(value) is str:
        return value[:64]
    return value if type(value) is int else None
