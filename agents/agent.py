"""The kit: subclass `Agent`, mark its methods, and run it.

::

    class Prices(Agent):
        agent_id = "prices-1"
        group = "signals"

        @on_event("data.market.*")
        def on_price(self, event: Event) -> None:
            self.last = event.payload["price"]

        @every(10)
        def suggest(self) -> None:
            self.publish("strategy.candidate", {"symbol": "AAPL", "action": "BUY"})

    Prices(redis_url="redis://localhost:6379").run()

Plain blocking Python over redis-py. Its jobs: the *reader* of the subscription, the
*handlers* (every method of yours runs there, one at a time, so that you need no
locks), the *heart*, and, where it needs a permit, its *gate* (`gate`). They are
threads; in a process that gevent has patched, greenlets. Redis may be away, at the
start too: the kit reconnects with backoff and never ends because of it. What was
published to the agent meanwhile is lost to it (pub/sub keeps nothing);
`Agent.on_reconnect` says for how long.

A handler that raises is logged, makes the heartbeat's status ``error`` with
``last_error``, and the next event is handled as if nothing had been. A handler that
hangs delays all the others, but not the heartbeat: that carries ``busy_s`` (how long
the running handler has run) and ``last_handled_s``, and says ``error`` once
``busy_s`` exceeds ``handler_limit_s``.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import msgspec

from ..protocol.announcement import CHANNEL as KILLSWITCH_CHANNEL
from ..protocol.heartbeat import GateBeat, gate_fields
from ..protocol.patterns import checked
from ..protocol.targets import Permission
from .attempts import Attempts
from .dead_letters import DeadLetter
from .definition import GRACE_S, Definition, gate_of
from .errors import AgentError
from .event import LOG_CAUSES, Event, caused
from .gate import AgentGate, Halt
from .handlers import Handlers
from .health import Health
from .heart import Heart
from .killswitch import read_message
from .naming import checked_id, kebab_case
from .options import read_options
from .pace import Throttle
from .permit_reader import PermitReader
from .publisher import Publisher, connect, read_url
from .routing import Router, TimerSpec, marked_events, marked_timers
from .schedule import Schedule
from .signatures import check_function
from .subscriber import Received, Subscriber
from .threads import run_in_threads
from .work_queue import Work, WorkQueue

FIRST_LOOK_S = 2.0
"""How long the first heartbeat waits for the first read of the permit."""


class Agent(Definition):
    """One agent. An instance runs once. What a subclass may override is in `Definition`.

    Args:
        agent_id: stable over restarts; the class's by default.
        name: for people; the id by default.
        group: ``ingestion``, ``signals``, ``execution``, ``orchestration``, …
        redis_url: the bus.
        interval_s: from heartbeat to heartbeat.
        options: checked against the class's ``Options``.

    Raises:
        BadAgent: the id cannot be one.
        BadOptions: the options are not those of the class, or the URL is none.
    """

    options: Any
    """An instance of ``Options``."""

    def __init__(  # noqa: PLR0913 - all of them optional
        self,
        *,
        agent_id: str | None = None,
        name: str | None = None,
        group: str | None = None,
        redis_url: str | None = None,
        interval_s: float | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.agent_id = checked_id(agent_id or self.agent_id or kebab_case(type(self).__name__))
        self.name = name or self.name or self.agent_id
        self.group = group or self.group
        self.redis_url = redis_url or self.redis_url
        self.interval_s = interval_s or self.interval_s
        self.options = read_options(type(self).Options, options)
        self.log = logging.getLogger(f"agent.{self.agent_id}")
        self.log.addFilter(LOG_CAUSES)
        self.boot = uuid.uuid4().hex
        """Tells this run from the one before, for the daemon."""
        self._publisher = self._new_publisher()
        self._gate = gate_of(self)
        self._router = Router(marked_events(self))
        self._schedule = Schedule(marked_timers(self))
        self._queue = WorkQueue(self.queue_capacity, self._on_drop)
        self._health = Health(time.monotonic(), self.handler_limit_s)
        self._throttle = Throttle()
        self._heart = self._new_heart()
        self._attempts = Attempts(self._health, on_trouble=self._heart.hurry, log=self.log)
        self._subscriber: Subscriber | None = None
        self._permits: PermitReader | None = None
        self._stopping = threading.Event()
        self._handlers = Handlers(
            queue=self._queue,
            schedule=self._schedule,
            attempts=self._attempts,
            health=self._health,
            stopping=self._stopping,
            log=self.log,
        )

    # -- what a subclass may call ----------------------------------------------------

    def publish(
        self,
        channel: str,
        payload: Mapping[str, Any] | msgspec.Struct,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        durable: bool = False,
    ) -> int:
        """Publish now. Adds ``seq`` and ``boot``, and ``agent_id`` and ``timestamp`` if missing.

        In a handler also, if missing, the ``correlation_id``, ``causation_id`` and
        ``traceparent`` that come of the event which is being handled.

        Any thread. Blocks until the server has answered, about 4 s at most. Nothing is
        kept for later: what Redis does not take is lost, and the hole in ``seq`` tells
        the daemon.

        Args:
            channel: where; one that the daemon subscribes to.
            payload: a JSON object, or a struct that makes one, such as those of `payloads`.
            correlation_id: goes into the payload.
            causation_id: likewise.
            durable: store it even if the daemon is down now: it is kept in a stream too, from
                which the daemon takes it exactly once. It costs Redis a write to its disk.

        Returns:
            How many subscribers got it, the daemon among them.

        Raises:
            BadPayload: no JSON object, or larger than 1 MiB.
            BusUnavailable: Redis did not take it. Let it out of a handler: it is counted
                and does not make the agent look broken.
            Halted: to publish there is acting, and the agent may not. Likewise.
        """
        if self._gate is not None:
            self._gate.require(channel)
        fields = msgspec.to_builtins(payload) if isinstance(payload, msgspec.Struct) else payload
        body = caused(fields, correlation_id=correlation_id, causation_id=causation_id)
        return self._publisher.publish(channel, body, durable=durable)

    def report_error(self, error: BaseException | str) -> None:
        """Make the heartbeat say ``error``, until `clear_error`. Any thread."""
        self.log.error("%s", error)
        if self._health.report(error):
            self._heart.hurry()

    def clear_error(self) -> None:
        """What was reported by `report_error` is over. Any thread."""
        self._health.clear_report()

    def call_on(self, pattern: str, function: Callable[[Event], object]) -> None:
        """As `on_event`, for patterns known only at run time. Before the start."""
        if self._subscriber is not None:
            raise AgentError("subscribe before the agent starts, in __init__")
        check_function(function, "event")
        self._router.add(function, (checked(pattern),))

    def call_every(
        self, seconds: float, function: Callable[[], object], *, at_start: bool = False
    ) -> None:
        """As `every`, for intervals known only at run time. In ``__init__`` or `on_start`."""
        check_function(function)
        self._schedule.add(function, TimerSpec(seconds, at_start))

    def acting(self, *, reduces: bool = False) -> AbstractContextManager[None]:
        """Within the block the agent acts: ``with self.acting(): venue.send(order)``. Any thread.

        Looked at when the block begins; keep it short, a new one for each order.

        Args:
            reduces: the order only reduces positions, which a stop of level ``reduce`` allows.

        Raises:
            Halted: it may not act now.
        """
        return nullcontext() if self._gate is None else self._gate.acting(reduces=reduces)

    @property
    def permission(self) -> Permission:
        """What may be done now; ``allowed`` without a gate. Any thread."""
        return Permission.ALLOWED if self._gate is None else self._gate.permission

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The last 100 events that a handler refused (its model) or failed on. Any thread."""
        return self._attempts.dead_letters.last()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called; long handlers look at it."""
        return self._stopping.is_set()

    # -- running ---------------------------------------------------------------------

    def run(self) -> None:
        """Run until `stop`; in the main thread also until SIGTERM or SIGINT. Blocks.

        Returns within 2 s of the stop, leaving behind (as a daemon thread) a handler
        that does not end.

        Raises:
            Exception: what `on_start` raised.
        """
        try:
            run_in_threads(self.jobs(), name=self.agent_id, stop=self.stop, stopping=self._stopping)
        finally:
            self.close()

    def stop(self) -> None:
        """End the run, from any thread or handler; returns at once."""
        self._stopping.set()
        self._queue.close()
        self._heart.stop()
        for job in (self._subscriber, self._permits):
            if job is not None:
                job.stop()

    def jobs(self) -> dict[str, Callable[[], None]]:
        """What must run side by side, for a host with threads of its own kind.

        Each job ends after `stop`. If one raises, the host stops the agent. When all have
        ended, the host calls `close`.

        Raises:
            AgentError: the agent has run already.
        """
        if self._subscriber is not None:
            raise AgentError(f"{self.agent_id} has run already; make a new one")
        self._subscriber = Subscriber(
            self.redis_url,
            channels=(KILLSWITCH_CHANNEL,),
            patterns=self._router.patterns(),
            on_message=self._receive,
            on_connected=self._connected,
            log=self.log,
        )
        for name in read_url(self.redis_url).ignored:
            self.log.warning("the Redis URL's %s is ignored", name)
        ready = [self._subscriber.connected]
        jobs = {"reader": self._subscriber.run, "heart": self._beat_all}
        if self._gate is not None:
            self._permits = self._new_permit_reader(self._gate)
            ready.append(self._permits.looked)
            jobs["gate"] = self._permits.run
        return jobs | {
            "handlers": partial(
                self._handlers.run,
                ready,
                on_start=self.on_start,
                on_stop=self.on_stop,
                on_failed=self._heart.beat,  # here: a host may end the heart's job with this one
            )
        }

    def close(self) -> None:
        """Close the connections to Redis. For hosts; `run` does it by itself."""
        self._publisher.close()
        self._heart.close()
        for job in (self._subscriber, self._permits):
            if job is not None:
                job.close()

    # -- the reader's job ------------------------------------------------------------

    def _receive(self, message: Received) -> None:
        if message.pattern is None:
            heard = read_message(message.data)
            if self._gate is not None:
                self._gate.hear(heard)
            if self._permits is not None:
                self._permits.wake()
            call = partial(self.on_killswitch, heard.engaged, heard.fields)
            self._call_soon("on_killswitch", call, channel=message.channel)
            return
        handlers = self._router.handlers(message.pattern, message.channel)
        if handlers:
            call = partial(self._attempts.deliver, message, handlers)
            self._queue.put(Work(message.channel, call))

    def _connected(self, away_s: float) -> None:
        if away_s:
            self._heart.hurry()
            self._call_soon("on_reconnect", partial(self.on_reconnect, away_s))

    def _call_soon(self, name: str, call: Callable[[], object], *, channel: str = "") -> None:
        self._queue.put_urgent(Work(channel, partial(self._attempts.run, name, call)))

    def _on_drop(self, work: Work) -> None:
        held = self._throttle.admit("drop", time.monotonic())
        if held is not None:
            self.log.warning("too slow: dropped a message on %s (and %d more)", work.channel, held)

    # -- the heart's job -------------------------------------------------------------

    def _beat_all(self) -> None:
        if self._permits is not None:
            self._permits.looked.wait(FIRST_LOOK_S)
        self._heart.run()
        if not self._handlers.ended.wait(GRACE_S):
            self.log.warning("a handler is still running after %.1f s and is left behind", GRACE_S)
        if self._queue.dropped or len(self._queue):
            lost = (len(self._queue), self._queue.dropped)
            self.log.info("%d messages not handled, %d dropped", *lost)
        self._heart.beat(None if self._handlers.start_failed else "stopped")

    def _about(self) -> dict[str, Any]:
        return {
            "agent_id": self.agent_id,
            "name": self.name,
            "group": self.group,
            **({"version": self.version} if self.version else {}),
            "queued": len(self._queue),
            "dropped": self._queue.dropped,
            "dead_letters": self._attempts.dead_letters.total,
            **({} if self._gate is None else gate_fields(self._gate_beat(self._gate))),
        }

    # -- the gate's job --------------------------------------------------------------

    def _gate_beat(self, gate: AgentGate) -> GateBeat:
        busy = self._health.runs_since_before(gate.shut_at)
        return gate.beat(open_orders=self.open_orders, busy=busy)

    def _halt_soon(self, gate: AgentGate, halt: Halt) -> None:
        def call() -> None:
            try:
                self.on_halt(halt)
            except BaseException:
                gate.halt_failed(halt)
                raise
            gate.halt_handled()
            if self._permits is not None:
                self._permits.wake()

        self._queue.put_foremost(Work("", partial(self._attempts.run, "on_halt", call)))

    # -- wiring ----------------------------------------------------------------------

    def _new_permit_reader(self, gate: AgentGate) -> PermitReader:
        return PermitReader(
            self.redis_url,
            gate,
            on_halt=partial(self._halt_soon, gate),
            beat=partial(self._gate_beat, gate),
            send=self._heart.beat,
            log=self.log,
        )

    def _new_publisher(self) -> Publisher:
        return Publisher(connect(self.redis_url), agent_id=self.agent_id, boot=self.boot)

    def _new_heart(self) -> Heart:
        return Heart(
            self._new_publisher(),
            channel=f"heartbeat.{self.agent_id}",
            interval_s=self.interval_s,
            health=self._health,
            about=self._about,
            log=self.log,
        )
