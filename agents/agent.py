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

Plain blocking Python over redis-py. Three jobs: the *reader* of the subscription,
the *handlers* (every method of yours runs there, one at a time, so that you need no
locks), and the *heart*. They are threads; in a process that gevent has patched,
greenlets. Redis may be away, at the start too: the kit reconnects with backoff and
never ends because of it. What was published to the agent meanwhile is lost to it
(pub/sub keeps nothing); `Agent.on_reconnect` says for how long.

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
from functools import partial
from typing import Any, ClassVar

import msgspec

from ..protocol.patterns import checked
from .attempts import Attempts, name_of
from .errors import AgentError, BusUnavailable
from .health import Health
from .heart import Heart
from .killswitch import CHANNEL as KILLSWITCH_CHANNEL
from .killswitch import KillswitchState, after_reconnect, read_message
from .naming import checked_id, kebab_case
from .options import NoOptions, read_options
from .pace import Backoff, Breath, Throttle
from .publisher import Publisher, connect
from .routing import Event, Router, TimerSpec, marked_events, marked_timers
from .schedule import Schedule
from .subscriber import Received, Subscriber
from .threads import run_in_threads
from .work_queue import Work, WorkQueue

WAIT_S = 0.25
"""How often a job that waits for something else looks whether it shall stop."""
LONGEST_WAIT_S = 60.0
"""How long the handlers' job sleeps when there is nothing to do."""
GRACE_S = 1.0
"""How long a stop waits for the handler that is running; the rest of the 2 s that a
stop may take is for the last heartbeat."""


class Agent:
    """One agent. An instance runs once.

    Hooks, all in the handlers' job, in this order: `on_start` once the subscription
    stands; then handlers, timers, `on_killswitch`, `on_reconnect` as they come;
    `on_stop` at the end.

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

    agent_id: str = ""
    """Default: the class's name as ``my-agent``."""
    name: str = ""
    group: str = "unknown"
    version: str = ""
    """Of the agent, shown in its heartbeat."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    interval_s: float = 5.0
    queue_capacity: int = 10_000
    """Messages that may wait for the handlers. When full, the oldest market data goes
    first; it is counted (``dropped`` in the heartbeat) and logged."""
    handler_limit_s: float = 60.0
    """A handler that runs for longer makes the status ``error``."""
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    """A struct with the settings of this class, each with a default."""
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
        self.boot = uuid.uuid4().hex
        """Tells this run from the one before, for the daemon."""
        self._publisher = self._new_publisher()
        self._killswitch = KillswitchState.UNKNOWN
        self._router = Router(marked_events(self))
        self._schedule = Schedule(marked_timers(self))
        self._queue = WorkQueue(self.queue_capacity, self._on_drop)
        self._health = Health(time.monotonic(), self.handler_limit_s)
        self._throttle = Throttle()
        self._heart = self._new_heart()
        self._attempts = Attempts(self._health, on_trouble=self._heart.hurry, log=self.log)
        self._subscriber: Subscriber | None = None
        self._stopping = threading.Event()
        self._start_failed = False
        self._handlers_ended = threading.Event()

    # -- what a subclass may override ------------------------------------------------

    def on_start(self) -> None:
        """Prepare. The subscription stands, nothing has been handled yet.

        What it raises ends the agent (and its supervisor starts it anew), except
        `BusUnavailable`: then it is called again when Redis is back.
        """

    def on_killswitch(self, engaged: bool, message: dict[str, Any]) -> None:  # noqa: FBT001
        """A stop or a release was announced on ``risk.killswitch``.

        Overtakes all events that wait, but not a handler that is running; that one can
        look at `killswitch`. A release heard on the bus is news, not a permission to
        act: the bus cannot know what else is in force.

        Args:
            engaged: true unless the message says ``"enabled": false``.
            message: its fields (reason, triggered_by, trip_id, …); ``{"raw": text}``
                if it was no JSON object.
        """

    def on_reconnect(self, away_s: float) -> None:
        """The subscription stands again after ``away_s`` seconds; what came then is lost.

        `killswitch` is ``unknown`` from here on, unless a stop was in force.
        """

    def on_stop(self) -> None:
        """Clean up, within `GRACE_S`."""

    # -- what a subclass may call ----------------------------------------------------

    def publish(
        self,
        channel: str,
        payload: Mapping[str, Any],
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        durable: bool = False,
    ) -> int:
        """Publish now. Adds ``seq`` and ``boot``, and ``agent_id`` and ``timestamp`` if missing.

        Any thread. Blocks until the server has answered, about 4 s at most. Nothing is
        kept for later: what Redis does not take is lost, and the hole in ``seq`` tells
        the daemon.

        Args:
            channel: where; one that the daemon subscribes to.
            payload: a JSON object.
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
        """
        ids = {"correlation_id": correlation_id, "causation_id": causation_id}
        given = {key: value for key, value in ids.items() if value is not None}
        body = {**payload, **given} if given else payload
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
        self._router.add(function, (checked(pattern),))

    def call_every(
        self, seconds: float, function: Callable[[], object], *, at_start: bool = False
    ) -> None:
        """As `every`, for intervals known only at run time. In ``__init__`` or `on_start`."""
        self._schedule.add(function, TimerSpec(seconds, at_start))

    @property
    def killswitch(self) -> KillswitchState:
        """What was last heard of the killswitch, at once and in any thread."""
        return self._killswitch

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
        if self._subscriber is not None:
            self._subscriber.stop()

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
        return {
            "reader": self._subscriber.run,
            "handlers": partial(self._handle_all, self._subscriber),
            "heart": self._beat_all,
        }

    def close(self) -> None:
        """Close the connections to Redis. For hosts; `run` does it by itself."""
        self._publisher.close()
        self._heart.close()
        if self._subscriber is not None:
            self._subscriber.close()

    # -- the reader's job ------------------------------------------------------------

    def _receive(self, message: Received) -> None:
        if message.pattern is None:
            engaged, fields = read_message(message.data)
            self._killswitch = KillswitchState.ENGAGED if engaged else KillswitchState.RELEASED
            call = partial(self.on_killswitch, engaged, fields)
            self._call_soon("on_killswitch", call, channel=message.channel)
            return
        handlers = self._router.handlers(message.pattern, message.channel)
        if handlers:
            call = partial(self._attempts.deliver, message, handlers)
            self._queue.put(Work(message.channel, call))

    def _connected(self, away_s: float) -> None:
        if away_s:
            self._heart.hurry()
            self._killswitch = after_reconnect(self._killswitch)
            self._call_soon("on_reconnect", partial(self.on_reconnect, away_s))

    def _call_soon(self, name: str, call: Callable[[], object], *, channel: str = "") -> None:
        self._queue.put_urgent(Work(channel, partial(self._attempts.run, name, call)))

    def _on_drop(self, work: Work) -> None:
        held = self._throttle.admit("drop", time.monotonic())
        if held is not None:
            self.log.warning("too slow: dropped a message on %s (and %d more)", work.channel, held)

    # -- the handlers' job -----------------------------------------------------------

    def _handle_all(self, subscriber: Subscriber) -> None:
        try:
            if self._bring_up(subscriber):
                self._loop()
                self._attempts.run("on_stop", self.on_stop)
        finally:
            self._handlers_ended.set()

    def _bring_up(self, subscriber: Subscriber) -> bool:
        backoff = Backoff()
        while not self.stopping:
            if not subscriber.connected.wait(WAIT_S):
                continue
            try:
                self.on_start()
            except BusUnavailable as error:
                self.log.warning("on_start is tried again: %s", error)
                self._stopping.wait(backoff.next_s())
            except Exception as error:
                self._start_failed = True
                self._health.fail("on_start", error, time.monotonic())
                self._heart.beat()  # here: a host may end the heart's job with this one
                raise
            else:
                return True
        return False

    def _loop(self) -> None:
        breath = Breath()
        while not self.stopping:
            self._schedule.set_up(time.monotonic())
            work = self._queue.get(self._schedule.wait_s(time.monotonic(), LONGEST_WAIT_S))
            if work is not None:
                work.run()
            for timer in self._schedule.take_due(time.monotonic()):
                if not self.stopping:
                    self._attempts.run(name_of(timer.function), timer.function)
            breath.take()

    # -- the heart's job -------------------------------------------------------------

    def _beat_all(self) -> None:
        self._heart.run()
        if not self._handlers_ended.wait(GRACE_S):
            self.log.warning("a handler is still running after %.1f s and is left behind", GRACE_S)
        if self._queue.dropped or len(self._queue):
            lost = (len(self._queue), self._queue.dropped)
            self.log.info("%d messages not handled, %d dropped", *lost)
        self._heart.beat(None if self._start_failed else "stopped")

    def _about(self) -> dict[str, Any]:
        return {
            "agent_id": self.agent_id,
            "name": self.name,
            "group": self.group,
            **({"version": self.version} if self.version else {}),
            "killswitch": self._killswitch,
            "queued": len(self._queue),
            "dropped": self._queue.dropped,
        }

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
