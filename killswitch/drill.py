"""A drill: how long a stop takes through bus, gate and receipt, without halting any agent."""

import time
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from ..actors.messages.killswitch import Drill, DrillResult
from ..protocol.drill import CHANNEL, write_drill
from ..protocol.timestamps import utc_now
from ..protocol.ulid import new_ulid
from ..runtime import DeferredReply, Refusal
from .receipts import Receipts
from .redis_link import Announcement, RedisLink

LIMIT_S: Final = 2.0
"""As late as a receipt may be before it is worth an alert."""
MAX_AGENTS: Final = 200
"""Agents named in a result: the slowest."""


class NotDrilled(Refusal):
    """There is a drill under way, or no bus to send it over."""


class Answers:
    """Who has said the nonce of one drill. Pure.

    Args:
        expected: Agents with a gate that beat.
        sent_s: When it was sent, monotonic.
    """

    def __init__(self, expected: Collection[str], sent_s: float) -> None:
        self._expected = frozenset(expected)
        self._sent_s = sent_s
        self._taken_ms: dict[str, float] = {}

    def heard(self, agent: str, now: float) -> None:
        """An agent has said the nonce; the first time counts."""
        self._taken_ms.setdefault(agent, round((now - self._sent_s) * 1_000, 1))

    @property
    def complete(self) -> bool:
        """Whether all have that are expected to; without any, others may come."""
        return bool(self._expected) and self._expected <= self._taken_ms.keys()

    def result(self, nonce: str, at: str, by: str) -> DrillResult:
        """What came of it."""
        slowest_first = sorted(self._taken_ms.items(), key=lambda one: (-one[1], one[0]))
        missing = sorted(self._expected - self._taken_ms.keys())
        agent, slowest_ms = slowest_first[0] if slowest_first else (None, None)
        return DrillResult(
            nonce=nonce,
            at=at,
            by=by,
            answered=len(slowest_first),
            missed=len(missing),
            slowest=agent,
            slowest_ms=slowest_ms,
            answers=dict(slowest_first[:MAX_AGENTS]),
            missing=tuple(missing[:MAX_AGENTS]),
        )


class Drills:
    """Runs one at a time, in the Killswitch.

    Args:
        receipts: Knows which agents have a gate.
        link: Publishes.
        after: Calls a function after a delay in seconds, in the actor.
        on_result: Called with what came of each.
    """

    def __init__(
        self,
        receipts: Receipts,
        link: RedisLink,
        *,
        after: Callable[[float, Callable[[], object]], object],
        on_result: Callable[[Drill, DrillResult], object],
    ) -> None:
        self._receipts = receipts
        self._link = link
        self._after = after
        self._on_result = on_result
        self._running: _Running | None = None

    def begin(self, asked: Drill, reply: Callable[[], DeferredReply]) -> DeferredReply:
        """Send a nonce; the reply comes when all have answered, or after two seconds.

        Raises:
            NotDrilled: One is under way, or Redis is not connected.
        """
        if self._running is not None:
            raise NotDrilled("a drill is under way")
        if not self._link.connected:
            raise NotDrilled("Redis is not connected: no agent would hear it")
        now, at, nonce = time.monotonic(), utc_now(), new_ulid()
        answers = Answers(self._receipts.gated(now), now)
        running = self._running = _Running(asked, reply(), answers, nonce, at)
        self._link.publish(Announcement(write_drill(nonce, at, asked.by), channel=CHANNEL))
        self._after(LIMIT_S, lambda: self._end(running))
        return running.reply

    def heard(self, agent: str, nonce: str | None, now: float) -> None:
        """A heartbeat; most say no nonce, or an old one."""
        running = self._running
        if running is None or nonce != running.nonce:
            return
        running.answers.heard(agent, now)
        if running.answers.complete:
            self._end(running)

    def _end(self, running: "_Running") -> None:
        if self._running is not running:
            return
        self._running = None
        result = running.answers.result(running.nonce, running.at, running.asked.by)
        self._on_result(running.asked, result)
        running.reply.set(result)


class _Running(msgspec.Struct):
    asked: Drill
    reply: DeferredReply
    answers: Answers
    nonce: str
    at: str
