"""An agent's gate: whether it may act now, and what its heartbeats say about it.

::

    class Execution(Agent):
        group = "execution"  # which needs a permit by default

        @on_event("strategy.candidate")
        @acts
        def on_candidate(self, event: Event) -> None: ...  # is not run while the gate is shut

        def on_halt(self, halt: Halt) -> None:
            self.venue.cancel_all()
            self.open_orders = 0

The rules are `protocol.gate`'s; here they get a lock. Every method may be called by any thread
and waits for nothing else. Time is the machine's, the time it slept included where the system
has such a clock: a permit of before a suspend has run out after it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction, isgeneratorfunction
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from ..protocol.channels import REPLIES
from ..protocol.gate import Gate, Resume, Shut, Verdict
from ..protocol.heartbeat import GateBeat, GateState
from ..protocol.patterns import matches
from ..protocol.permit import read_permit
from ..protocol.targets import Permission
from .errors import Halted
from .killswitch import Announcement
from .routing import every
from .surroundings import REAL

Params = ParamSpec("Params")
Result = TypeVar("Result")

FREE_CHANNELS = ("heartbeat.*", "risk.*", f"{REPLIES}*")
"""On these an agent publishes whatever its gate says, unless it names its ``acting_channels``."""
RETRY_S = 1.0
"""How soon an ``on_halt`` that has raised is tried again."""


class _Block(msgspec.Struct):
    """One ``with self.acting()``."""

    gate: "AgentGate"
    reduces: bool
    is_open: bool = True
    """False after its end, which a task that was begun within may outlive."""


_block: ContextVar[_Block | None] = ContextVar("acting", default=None)
"""The innermost, of this thread or task: what others do at the same time is not within it."""


class Halt(msgspec.Struct, frozen=True):
    """Why the gate has shut."""

    why: Shut
    """``NO_PERMIT`` also means: no daemon, no bus."""
    trip_id: str | None = None
    """The stop that the agent has heard of."""
    reason: str | None = None
    """Its words."""


class AgentGate:
    """One agent's gate. Starts shut.

    Args:
        agent_id: the agent.
        group: its group.
        resume: how it goes on after a stop.
        acting_channels: patterns of those to publish on is acting; ``None`` for all but
            `FREE_CHANNELS`.
        now: seconds that never jump.
        monotonic: the same without those that the machine slept, as the handlers are timed by.
    """

    def __init__(  # noqa: PLR0913 - the clocks have defaults
        self,
        agent_id: str,
        group: str,
        resume: Resume,
        *,
        acting_channels: tuple[str, ...] | None = None,
        now: Callable[[], float] = REAL.clock.steady_s,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._rules = Gate(agent_id, group, resume)
        self._acting_channels = acting_channels
        self._now = now
        self._lock = threading.Lock()
        self._trip: Announcement | None = None
        self._drill: str | None = None
        self._acting = 0
        self._seen = Permission.ALLOWED  # until first looked at: then a shut gate has just shut
        self._shut_at = 0.0
        self._halts: list[tuple[float, Halt]] = []
        self._unhandled = 0

    # -- what opens and shuts it -----------------------------------------------------

    def read(self, value: bytes | None, *, pttl_ms: int, sent_at_s: float) -> None:
        """The permit's key was read: its value, its PTTL, and when the read was sent."""
        with self._lock:
            now_s = self._now()
            permit = read_permit(value)
            self._rules.read(permit, pttl_ms=pttl_ms, sent_at_s=sent_at_s, now_s=now_s)
            self._note()

    def hear(self, message: Announcement) -> bool:
        """A message on ``risk.killswitch``; returns whether it concerns this agent."""
        with self._lock:
            concerns = [self._rules.heard(target) for target in message.targets]
            if not any(concerns):
                return False
            self._trip = message
            self._note()
            return True

    def drilled(self, nonce: str) -> None:
        """A drill; heartbeats say its nonce back, and nothing else changes."""
        with self._lock:
            self._drill = nonce

    def take_halts(self) -> list[Halt]:
        """Each time that the gate has shut since the last call; `halt_handled` follows on each."""
        with self._lock:
            self._note()
            now_s = self._now()
            due = [halt for due_s, halt in self._halts if due_s <= now_s]
            self._halts = [later for later in self._halts if later[0] > now_s]
            return due

    def halt_handled(self) -> None:
        """The author's ``on_halt`` has returned for one of them."""
        with self._lock:
            self._unhandled -= 1

    def halt_failed(self, halt: Halt) -> None:
        """It has raised: orders may still work, so it comes again while the gate is shut."""
        with self._lock:
            if self._seen is Permission.HALT:
                self._halts.append((self._now() + RETRY_S, halt))
            else:
                self._unhandled -= 1

    # -- what it guards --------------------------------------------------------------

    @property
    def permission(self) -> Permission:
        """What may be done now."""
        with self._lock:
            return self._verdict().permission

    @contextmanager
    def acting(self, *, reduces: bool = False) -> Iterator[None]:
        """The agent acts within; it is not quiet before the block has ended.

        Raises:
            Halted: it may not; with ``reduces`` it may under ``reduce``.
        """
        with self._lock:
            self._require(reduces=reduces)
            self._acting += 1
        before, block = _block.get(), _Block(self, reduces)
        _block.set(block)
        try:
            yield
        finally:
            block.is_open = False
            _block.set(before)
            with self._lock:
                self._acting -= 1

    def require(self, channel: str) -> None:
        """To be called before a publish.

        Raises:
            Halted: to publish there is acting, and the agent may not.
        """
        if self._is_acting(channel):
            with self._lock:
                self._require(reduces=self._reduces)

    # -- what it says ----------------------------------------------------------------

    @property
    def shut_at(self) -> float:
        """When it shut last, in `time.monotonic` seconds."""
        return self._shut_at

    def beat(self, *, open_orders: int, busy: bool) -> GateBeat:
        """For a heartbeat.

        Args:
            open_orders: how many the author knows of.
            busy: whether a handler runs that began before the gate shut.
        """
        with self._lock:
            self._note()
            works = busy or self._acting > 0 or self._unhandled > 0
            is_shut = self._seen is Permission.HALT
            return GateBeat(
                "halted" if is_shut else "active",
                GateState.SHUT if is_shut else GateState.OPEN,
                self._rules.generation,
                self._trip.trip_id if self._trip else None,
                None if works and not open_orders else open_orders,
                self._seen,
                self._drill,
            )

    # -- under the lock --------------------------------------------------------------

    def _verdict(self) -> Verdict:
        return self._rules.verdict(self._now())

    def _note(self) -> None:
        """Notice a change, the one that time alone makes included."""
        verdict = self._verdict()
        before, self._seen = self._seen, verdict.permission
        if self._seen is before:
            return
        if self._seen is Permission.HALT:
            self._shut_at = self._monotonic()
            self._unhandled += 1
            self._halts.append((self._now(), self._halt(verdict)))
        elif self._seen is Permission.ALLOWED:
            self._trip = None

    def _halt(self, verdict: Verdict) -> Halt:
        why = verdict.why or Shut.NO_PERMIT
        return Halt(why, *((self._trip.trip_id, self._trip.reason) if self._trip else ()))

    def _require(self, *, reduces: bool) -> None:
        verdict = self._verdict()
        if verdict.permission is Permission.HALT:
            raise Halted(str(verdict.why), self._trip.trip_id if self._trip else None)
        if verdict.permission is Permission.REDUCE and not reduces:
            raise Halted("only what reduces positions is allowed")

    @property
    def _reduces(self) -> bool:
        block = _block.get()
        return block is not None and block.gate is self and block.is_open and block.reduces

    def _is_acting(self, channel: str) -> bool:
        if self._acting_channels is None:
            return not any(matches(pattern, channel) for pattern in FREE_CHANNELS)
        return any(matches(pattern, channel) for pattern in self._acting_channels)


Method = Callable[Concatenate[Any, Params], Result]


def acts(method: Method[Params, Result]) -> Method[Params, Result]:
    """Mark a method that acts: it runs within ``self.acting()``, or not at all.

    As a handler or a timer it is left out while the gate is shut (``withheld`` in the heartbeat
    counts); the caller gets `Halted`.

    Raises:
        TypeError: it is a generator, which would act after the block.
    """
    if isgeneratorfunction(method) or isasyncgenfunction(method):
        raise TypeError(f"{method.__qualname__} is a generator: its parts would act unguarded")
    if iscoroutinefunction(method):

        @wraps(method)
        async def awaited(agent: Any, /, *args: Params.args, **kwargs: Params.kwargs) -> Any:
            with agent.acting():
                return await method(agent, *args, **kwargs)

        return awaited  # type: ignore[return-value]

    @wraps(method)
    def within(agent: Any, /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        with agent.acting():
            result: Any = method(agent, *args, **kwargs)
        if isawaitable(result):
            result = _awaited_within(agent, result)
        return result  # type: ignore[no-any-return]

    return within


async def _awaited_within(agent: Any, result: Any) -> Any:
    """What a plain function has begun and its caller awaits acts as well."""
    with agent.acting():
        return await result


def deadman(every_s: float) -> Callable[[Method[[], object]], Method[[], object]]:
    """Have the method called each ``every_s`` seconds, only while the gate is not shut.

    For a venue that cancels all orders by itself unless it is asked again and again not to: when
    the permit ends, or a handler hangs, the venue's own timer fires.
    """

    def mark(method: Method[[], object]) -> Method[[], object]:
        if iscoroutinefunction(method):

            @wraps(method)
            async def awaited(agent: Any) -> object:
                return None if agent.permission is Permission.HALT else await method(agent)

            return every(every_s, at_start=True)(awaited)

        @wraps(method)
        def renewed(agent: Any) -> object:
            return None if agent.permission is Permission.HALT else method(agent)

        return every(every_s, at_start=True)(renewed)

    return mark
