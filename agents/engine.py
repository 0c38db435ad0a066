"""What runs one agent: its queue, handlers, heart, gate and subscription, wired together."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ..protocol.announcement import CHANNEL as KILLSWITCH_CHANNEL
from ..protocol.drill import CHANNEL as DRILL_CHANNEL
from ..protocol.heartbeat import GateBeat, gate_fields
from ..protocol.patterns import matches
from .attempts import Attempts
from .definition import GRACE_S, Definition, gate_of
from .errors import AgentError
from .gate import AgentGate, Halt
from .handlers import Handlers
from .health import Health
from .heart import Heart
from .killswitch import read_message
from .pace import Throttle
from .permit_reader import ANSWER_S, PermitReader
from .publisher import SOCKET_TIMEOUT_S, Publisher, read_url
from .questions import Questions
from .routing import Router, marked_events, marked_timers
from .schedule import Schedule
from .state import State
from .subscriber import Received, Subscriber
from .surroundings import Bus, Surroundings
from .unstored import Unstored
from .work_queue import Work, WorkQueue

T = TypeVar("T")

FIRST_LOOK_S = 2.0
"""How long the first heartbeat waits for the first read of the permit."""


class Engine:
    """The parts of one agent. Nothing runs before a host runs its `jobs`.

    Args:
        agent: with id, name, group, URL and log set.
        surroundings: its clock and its bus.
    """

    def __init__(self, agent: Definition, surroundings: Surroundings) -> None:
        self.agent = agent
        self._surroundings = surroundings
        self.clock = surroundings.clock
        self.boot = surroundings.new_boot()
        self.bus = surroundings.connect(agent.redis_url, SOCKET_TIMEOUT_S, agent.agent_id)
        self.publisher = self._publisher_on(self.bus)
        self.gate = gate_of(agent, self.clock)
        self.loop = surroundings.new_loop() if agent.takes_async else None
        self.router = Router((self.callable(one), by) for one, by in marked_events(agent))
        self.unstored = Unstored(self._own_copies, agent.log)
        self.state = State(surroundings.open_store(agent.agent_id, agent.state_dir))
        self.stopping = threading.Event()
        self.questions = Questions(
            self.bus,
            self.publisher,
            agent_id=agent.agent_id,
            boot=self.boot,
            stopping=self.stopping,
            unix_s=self.clock.unix_s,
        )
        self.schedule = Schedule((self.callable(one), by) for one, by in marked_timers(agent))
        self.queue = WorkQueue(agent.queue_capacity, self._on_drop)
        self.health = Health(self.clock.monotonic_s(), agent.handler_limit_s)
        self._throttle = Throttle()
        self.heart = self._new_heart()
        self.attempts = Attempts(
            self.health,
            on_trouble=self.heart.hurry,
            log=agent.log,
            now=self.clock.monotonic_s,
            on_failure=surroundings.on_failure,
        )
        self.subscriber: Subscriber | None = None
        self.permits: PermitReader | None = None
        self.handlers = Handlers(
            queue=self.queue,
            schedule=self.schedule,
            attempts=self.attempts,
            health=self.health,
            stopping=self.stopping,
            log=agent.log,
            now=self.clock.monotonic_s,
        )

    # -- for a host ------------------------------------------------------------------

    def jobs(self) -> dict[str, Callable[[], None]]:
        """See `Agent.jobs`."""
        if self.subscriber is not None:
            raise AgentError(f"{self.agent.agent_id} has run already; make a new one")
        self.subscriber = self._new_subscriber()
        for name in read_url(self.agent.redis_url).ignored:
            self.agent.log.warning("the Redis URL's %s is ignored", name)
        ready = [self.subscriber.connected]
        jobs = {"reader": self.subscriber.run, "heart": self._beat_all}
        if self.gate is not None:
            self.permits = self.new_permit_reader(self.gate)
            ready.append(self.permits.looked)
            jobs["gate"] = self.permits.run
        if self.loop is not None:
            jobs["loop"] = self.loop.run
        return jobs | {"handlers": partial(self._handle, ready)}

    def callable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What the author wrote, as the handlers' job calls it."""
        return function if self.loop is None else self.loop.wrap(function)

    def require(self, channel: str) -> None:
        """Raises `Halted` if to publish there is acting, and the agent may not. Any thread."""
        if self.gate is not None:
            self.gate.require(channel)

    async def offload(self, call: Callable[[], T]) -> T:
        """Run what blocks; for an `AsyncAgent`."""
        return call() if self.loop is None else await self.loop.offload(call)

    def stop(self) -> None:
        """End all jobs; returns at once."""
        self.stopping.set()
        self.queue.close()
        self.heart.stop()
        for job in (self.subscriber, self.permits):
            if job is not None:
                job.stop()

    def close(self) -> None:
        """Close the connections."""
        self.publisher.close()
        self.heart.close()
        self.state.close()
        for job in (self.subscriber, self.permits):
            if job is not None:
                job.close()
        if self.loop is not None:
            self.loop.close()

    # -- the handlers' job -----------------------------------------------------------

    def _handle(self, ready: Sequence[threading.Event]) -> None:
        try:
            self.handlers.run(
                ready,
                on_start=self.callable(self.agent.on_start),
                on_stop=self.callable(self.agent.on_stop),
                on_failed=self.heart.beat,  # here: a host may end the heart's job with this one
            )
        finally:
            if self.loop is not None:
                self.loop.end()

    def _own_copies(self, channel: str) -> int:
        """How many copies of a message on a channel come back to this agent."""
        if self.subscriber is None or not self.subscriber.connected.is_set():
            return 0
        by_name = channel in (KILLSWITCH_CHANNEL, DRILL_CHANNEL)
        return by_name + sum(matches(pattern, channel) for pattern in self.router.patterns())

    # -- the reader's job ------------------------------------------------------------

    def receive(self, message: Received) -> None:
        """A message for one of the patterns, or (without one) a stop or a drill."""
        if message.pattern is None:
            if self.permits is not None:
                self.permits.heard(message.channel, message.data)
            if message.channel == KILLSWITCH_CHANNEL:
                heard = read_message(message.data)
                call = partial(self.callable(self.agent.on_killswitch), heard.engaged, heard.fields)
                self._call_soon("on_killswitch", call, channel=message.channel)
            return
        handlers = self.router.handlers(message.pattern, message.channel)
        if handlers:
            call = partial(self.attempts.deliver, message, handlers)
            self.queue.put(Work(message.channel, call))

    def _connected(self, away_s: float) -> None:
        if away_s:
            self.heart.hurry()
            self._call_soon("on_reconnect", partial(self.callable(self.agent.on_reconnect), away_s))

    def _call_soon(self, name: str, call: Callable[[], object], *, channel: str = "") -> None:
        self.queue.put_urgent(Work(channel, partial(self.attempts.run, name, call)))

    def _on_drop(self, work: Work) -> None:
        held = self._throttle.admit("drop", self.clock.monotonic_s())
        if held is not None:
            text = "too slow: dropped a message on %s (and %d more)"
            self.agent.log.warning(text, work.channel, held)

    # -- the heart's job -------------------------------------------------------------

    def _beat_all(self) -> None:
        if self.permits is not None:
            self.permits.looked.wait(FIRST_LOOK_S)
        self.heart.run()
        log = self.agent.log
        if not self.handlers.ended.wait(GRACE_S):
            log.warning("a handler is still running after %.1f s and is left behind", GRACE_S)
        if self.queue.dropped or len(self.queue):
            lost = (len(self.queue), self.queue.dropped)
            log.info("%d messages not handled, %d dropped", *lost)
        self.heart.beat(None if self.handlers.start_failed else "stopped")

    def _about(self) -> dict[str, Any]:
        agent = self.agent
        return {
            "agent_id": agent.agent_id,
            "name": agent.name,
            "group": agent.group,
            **({"version": agent.version} if agent.version else {}),
            "queued": len(self.queue),
            "dropped": self.queue.dropped,
            "dead_letters": self.attempts.dead_letters.total,
            **({} if self.gate is None else gate_fields(self._gate_beat(self.gate))),
        }

    # -- the gate's job --------------------------------------------------------------

    def _gate_beat(self, gate: AgentGate) -> GateBeat:
        busy = self.health.runs_since_before(gate.shut_at)
        return gate.beat(open_orders=self.agent.open_orders, busy=busy)

    def _halt_soon(self, gate: AgentGate, halt: Halt) -> None:
        def call() -> None:
            try:
                self.callable(self.agent.on_halt)(halt)
            except BaseException:
                gate.halt_failed(halt)
                raise
            gate.halt_handled()
            if self.permits is not None:
                self.permits.wake()

        self.queue.put_foremost(Work("", partial(self.attempts.run, "on_halt", call)))

    # -- wiring ----------------------------------------------------------------------

    def new_permit_reader(self, gate: AgentGate) -> PermitReader:
        """What keeps the gate supplied."""
        return PermitReader(
            self._surroundings.connect(self.agent.redis_url, ANSWER_S, self.agent.agent_id),
            gate,
            on_halt=partial(self._halt_soon, gate),
            beat=partial(self._gate_beat, gate),
            send=self.heart.beat,
            log=self.agent.log,
            clock=self.clock,
        )

    def _new_subscriber(self) -> Subscriber:
        return Subscriber(
            self.agent.redis_url,
            channels=(KILLSWITCH_CHANNEL, DRILL_CHANNEL),
            patterns=self.router.patterns(),
            on_message=self.receive,
            on_connected=self._connected,
            log=self.agent.log,
            name=f"agent:{self.agent.agent_id}",
        )

    def _publisher_on(self, bus: Bus) -> Publisher:
        return Publisher(
            bus,
            agent_id=self.agent.agent_id,
            boot=self.boot,
            unix_s=self.clock.unix_s,
        )

    def _new_heart(self) -> Heart:
        return Heart(
            self._publisher_on(
                self._surroundings.connect(
                    self.agent.redis_url, SOCKET_TIMEOUT_S, self.agent.agent_id
                )
            ),
            channel=f"heartbeat.{self.agent.agent_id}",
            interval_s=self.agent.interval_s,
            health=self.health,
            about=self._about,
            log=self.agent.log,
            now=self.clock.monotonic_s,
        )
