"""Tests of agents without a daemon, without Redis and without waiting; backtests.

::

    def test_a_good_candidate_is_approved(bench):
        bench.start(RiskCheck, options={"max_orders": 1})

        bench.deliver("strategy.candidate", {"symbol": "AAPL", "action": "BUY"})

        assert bench.published("risk.decision", approved=True)

The agent is the real one with the real kit: only its clock stands still until `Bench.advance`, and
its bus is a list. Nothing runs in the background: when a call returns, all that it caused has run.
The fixture ``bench`` comes by ``pytest_plugins = ["orchestrator.agents.pytest_plugin"]``.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..protocol.announcement import CHANNEL as KILLSWITCH_CHANNEL
from ..protocol.patterns import matches
from ..protocol.permit import READ_S
from ..protocol.targets import STOP_ALL, read_target
from ..protocol.timestamps import unix_seconds
from .agent import Agent
from .bench_loop import BenchLoop
from .engine import Engine
from .event import Event
from .killswitch import read_message
from .simulation import BEGIN_S, MemoryBus, MemoryStore, Published, VirtualClock, selected
from .subscriber import Received
from .surroundings import Surroundings, within

A = TypeVar("A", bound=Agent)

RETRY_S = 1.0
"""How soon an ``on_start`` that the bus or the gate kept from succeeding is tried again."""
LONGEST_S = 3600.0
"""A step of the clock, where no timer comes before."""
NOT_ON_THE_BUS = ("bus.*", "runtime.*", "agent.*")
"""Events that a daemon makes and stores, but does not publish."""


class Bench:
    """Runs agents in the caller's thread.

    Args:
        unix_s: the time of day at the beginning.
        permitted: whether there is a permit from the beginning.
        raises: whether what a handler raises (or refuses) comes out of the call that caused it;
            otherwise it is only counted, as in production, and kept in `errors`.
    """

    def __init__(
        self, *, unix_s: float = BEGIN_S, permitted: bool = True, raises: bool = True
    ) -> None:
        self.clock = VirtualClock(unix_s)
        """The time that agents see."""
        self.bus = MemoryBus(self.clock, permitted=permitted)
        """The list that agents publish on."""
        self.bus.on_sent = self._echo
        self.bus.wait = self._wait
        self.kept: dict[str, bytes] = {}
        """Agent → the file of its state."""
        self.errors: list[Exception] = []
        """What handlers raised."""
        self._raises = raises
        self._driven: list[_Driven] = []
        self._answers: list[tuple[str, Any]] = []
        self._boots = 0

    # -- agents ----------------------------------------------------------------------

    def start(self, agent: type[A], **settings: Any) -> A:
        """Make an agent and start it: its ``on_start`` has run when this returns.

        Args:
            agent: its class.
            settings: as for `Agent`: ``options``, ``agent_id``, …
        """
        surroundings = Surroundings(
            self.clock,
            lambda _url, _limit_s, _agent_id: self.bus,
            self._new_boot,
            self.errors.append,
            lambda agent_id, _folder: MemoryStore(self.kept, agent_id),
            lambda: BenchLoop(self.clock),
        )
        with within(surroundings):
            made = agent(**settings)
        driven = _Driven(made, made.engine)
        self._driven.append(driven)
        driven.start()
        self._settle()
        return made

    def stop(self, agent: Agent) -> None:
        """Stop one: its ``on_stop`` has run when this returns."""
        for driven in [one for one in self._driven if one.agent is agent]:
            self._driven.remove(driven)
            driven.end()
        self._settle()

    # -- what happens ----------------------------------------------------------------

    def deliver(self, channel: str, payload: Any = None, **fields: Any) -> None:
        """Have a message come on a channel: a dict, a struct, bytes as they are, or the fields."""
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload or fields)
        self._receive(channel, body)
        self._settle()

    def answer(self, pattern: str, reply: Any) -> None:
        """Answer each question on a channel, from now on.

        Args:
            pattern: of channels.
            reply: a payload, or a function from the question's payload to one.
        """
        self._answers.append((pattern, reply))

    def advance(self, seconds: float) -> None:
        """Let time pass: timers, heartbeats and reads of the permit that are due run in order.

        Even 0 seconds let the tasks of an `AsyncAgent` take what has come on their sockets.
        """
        self._settle()
        self._advance_to(self.clock.unix_s() + seconds)

    def halt(self, reason: str = "test", *, level: str = "halt", scope: str = "all") -> None:
        """Engage a stop, as ``orc halt`` does."""
        self._announce(self.bus.engage(reason, read_target(level, scope)))

    def release(self) -> None:
        """Release every stop."""
        self._announce(self.bus.release())

    def resume(self, agent: Agent) -> None:
        """Resume an agent by hand, as ``orc agent resume`` does."""
        self.bus.resume(agent.agent_id)
        self._look()

    def permit(self, *, renewed: bool) -> None:
        """Have a daemon renew the permit from now on, or not (it has run out at once)."""
        self.bus.permitted = renewed
        self._look()

    # -- what came of it -------------------------------------------------------------

    def published(self, pattern: str = "*", **fields: Any) -> list[Published]:
        """What agents published, the oldest first; heartbeats are not among them.

        Args:
            pattern: of the channels.
            fields: that the payload has, with these values.
        """
        return selected(self.bus.sent, pattern, fields)

    def heartbeat(self, agent: Agent) -> dict[str, Any]:
        """What the agent says of itself now."""
        agent.engine.heart.beat()
        return self.bus.beats[agent.agent_id]

    # -- inside ----------------------------------------------------------------------

    def _new_boot(self) -> str:
        self._boots += 1
        return f"boot-{self._boots}"

    def _echo(self, message: Published) -> int:
        """What an agent publishes reaches all that subscribe to it, itself included."""
        answered = 0
        reply_to = Event(message.channel, message.payload).reply_to
        for pattern, reply in self._answers:
            if reply_to in self.bus.replies and matches(pattern, message.channel):
                payload = reply(message.payload) if callable(reply) else reply
                self.bus.replies[reply_to] = msgspec.json.encode(payload)
                answered = 1
        return answered + self._receive(message.channel, message.body)

    def _receive(self, channel: str, body: bytes) -> int:
        now_s = self.clock.unix_s()
        return sum(driven.receive(channel, body, now_s) for driven in self._driven)

    def _wait(self, there: Callable[[], bool], limit_s: float) -> None:
        """Run the others while an agent waits for an answer within a handler."""
        self._turn_all()
        self._advance_to(self.clock.unix_s() + limit_s, there)

    def _announce(self, body: bytes) -> None:
        self._receive(KILLSWITCH_CHANNEL, body)
        self._look()

    def _look(self) -> None:
        for driven in self._driven:
            driven.look()
        self._settle()

    def _advance_to(self, end_s: float, until: Callable[[], bool] | None = None) -> None:
        while until is None or not until():
            due_s = min([driven.due_s() for driven in self._driven], default=end_s)
            if due_s > end_s:
                self.clock.set(end_s)
                break
            self.clock.set(due_s)
            for driven in self._driven:
                driven.run_due()
            if until is None:
                self._settle()
            else:
                self._turn_all()

    def _turn_all(self) -> None:
        """Run until nothing is left to do at this moment."""
        while sum(driven.turn() for driven in self._driven) or any(
            driven.pending for driven in self._driven
        ):
            continue

    def _settle(self) -> None:
        self._turn_all()
        if self.errors and self._raises:
            raise self.errors.pop(0)


class _Driven:
    """One agent on a bench."""

    def __init__(self, agent: Agent, engine: Engine) -> None:
        self.agent = agent
        self._engine = engine
        self._clock = engine.clock
        self._patterns: tuple[str, ...] = ()
        self._started = False
        self._busy = False
        self._retry_s = self._beat_s = self._look_s = 0.0

    def start(self) -> None:
        self._engine.jobs()
        self._patterns = self._engine.router.patterns()
        self.look()
        self._try_start()

    def end(self) -> None:
        self._engine.stop()
        self._engine.attempts.run("on_stop", self._engine.callable(self.agent.on_stop))
        if self._engine.loop is not None:
            self._engine.loop.end()
        self._engine.heart.beat("stopped")
        self._engine.close()

    def receive(self, channel: str, body: bytes, unix_s: float) -> bool:
        if channel == KILLSWITCH_CHANNEL:
            self._engine.receive(Received(None, channel, body, unix_s))
        patterns = [pattern for pattern in self._patterns if matches(pattern, channel)]
        for pattern in patterns:
            self._engine.receive(Received(pattern, channel, body, unix_s))
        return bool(patterns)

    def look(self) -> None:
        self._look_s = self._clock.unix_s() + READ_S
        if self._engine.permits is not None:
            self._engine.permits.look()

    def turn(self) -> bool:
        """Run what is due; returns whether there may be more."""
        if not self._started or self._busy:  # busy: it waits within a handler
            return False
        with self._at_work():
            more = self._engine.handlers.turn(0.0)
            if isinstance(self._engine.loop, BenchLoop):
                self._engine.loop.turn()
        if self._engine.heart.take_hurry():
            self._beat()
        return more or self.pending

    @property
    def pending(self) -> bool:
        """Whether messages wait that it could handle now."""
        return self._started and not self._busy and bool(len(self._engine.queue))

    def due_s(self) -> float:
        """When the next thing is to be done, in Unix seconds."""
        now_s = self._clock.unix_s()
        if self._busy:
            return self._look_s if self._engine.permits is not None else math.inf
        if not self._started:
            return self._retry_s
        loop = self._engine.loop
        sleeps_s = loop.due_s() if isinstance(loop, BenchLoop) else math.inf
        due = [sleeps_s, self._beat_s, now_s + self._engine.schedule.wait_s(now_s, LONGEST_S)]
        return min([*due, self._look_s] if self._engine.permits is not None else due)

    def run_due(self) -> None:
        now_s = self._clock.unix_s()
        if now_s >= self._look_s:
            self.look()
        if self._busy:
            return
        if not self._started:
            self._try_start()
        elif now_s >= self._beat_s:
            self._beat()

    def _try_start(self) -> None:
        self._retry_s = self._clock.unix_s() + RETRY_S
        with self._at_work():
            on_start = self._engine.callable(self.agent.on_start)
            self._started = self._engine.handlers.start(on_start, self._engine.heart.beat)
        if self._started:
            self._engine.schedule.set_up(self._clock.monotonic_s())
            self._beat()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _beat(self) -> None:
        self._beat_s = self._clock.unix_s() + self.agent.interval_s
        self._engine.heart.beat()


def replay(
    history: Path | str | Iterable[dict[str, Any]], agent: type[Agent], **settings: Any
) -> Bench:
    """Run recorded events through an agent as fast as it can: a backtest.

    The clock goes by the events' ``ts``; timers run in between. What the agent itself had
    published then is left out, and so is what no bus ever carried. Recorded stops and releases
    shut and open its gate. What handlers raise is kept in `Bench.errors`. The same history gives
    the same result.

    Args:
        history: a file of ``orc event export`` (JSON Lines, oldest first), or its events.
        agent: the class.
        settings: as for `Agent`.

    Returns:
        The bench after the last event: `Bench.published` is what came of it.
    """
    events = _read(history) if isinstance(history, Path | str) else iter(history)
    bench: Bench | None = None
    made: Agent | None = None
    for event in events:
        unix_s = unix_seconds(str(event.get("ts"))) or 0.0
        if bench is None or made is None:
            bench = Bench(unix_s=unix_s, raises=False)
            made = bench.start(agent, **settings)
        if event.get("source") == made.agent_id or _is_of_daemon(str(event.get("type"))):
            continue
        bench.advance(max(0.0, unix_s - bench.clock.unix_s()))
        _replay_one(bench, event)
    if bench is None:
        bench = Bench(raises=False)
        bench.start(agent, **settings)
    return bench


def _replay_one(bench: Bench, event: dict[str, Any]) -> None:
    channel, body = str(event.get("type")), msgspec.json.encode(event.get("payload"))
    if channel == "heartbeat":
        channel = f"heartbeat.{event.get('source')}"
    if channel == KILLSWITCH_CHANNEL:
        heard = read_message(body)
        if heard.engaged:
            for target in heard.targets or (STOP_ALL,):
                bench.bus.engage(heard.reason or "", target)
        else:
            bench.bus.release()
        bench.deliver(channel, body)
        bench.advance(READ_S)
        return
    bench.deliver(channel, body)


def _is_of_daemon(kind: str) -> bool:
    return any(matches(pattern, kind) for pattern in NOT_ON_THE_BUS)


def _read(path: Path | str) -> Iterator[dict[str, Any]]:
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {number} is no event: {error}") from error
