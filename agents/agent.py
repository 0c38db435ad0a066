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
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from ..protocol.patterns import checked
from ..protocol.targets import Permission
from .dead_letters import DeadLetter
from .definition import Definition
from .engine import Engine
from .errors import AgentError
from .event import LOG_CAUSES, Event, caused, fields_of
from .naming import checked_id, kebab_case
from .options import read_options
from .routing import TimerSpec
from .signatures import check_function
from .surroundings import current
from .threads import run_in_threads


class Agent(Definition):
    """One agent. An instance runs once. What a subclass may override is in `Definition`.

    Args:
        agent_id: stable over restarts; the class's by default.
        name: for people; the id by default.
        group: ``ingestion``, ``signals``, ``execution``, ``orchestration``, …
        redis_url: the bus.
        interval_s: from heartbeat to heartbeat.
        options: checked against the class's ``Options``.
        state_dir: the folder in which its `state` is kept.

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
        state_dir: str | Path | None = None,
    ) -> None:
        self.agent_id = checked_id(agent_id or self.agent_id or kebab_case(type(self).__name__))
        self.name = name or self.name or self.agent_id
        self.group = group or self.group
        self.redis_url = redis_url or self.redis_url
        self.interval_s = interval_s or self.interval_s
        self.state_dir = state_dir or self.state_dir
        self.options = read_options(type(self).Options, options)
        self.log = logging.getLogger(f"agent.{self.agent_id}")
        self.log.addFilter(LOG_CAUSES)
        self.engine = Engine(self, current())
        """What runs it; for hosts."""
        self.state = self.engine.state
        """What it keeps over its restarts."""
        self.boot = self.engine.boot
        """Tells this run from the one before, for the daemon."""

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
        self.engine.require(channel)
        body = caused(fields_of(payload), correlation_id=correlation_id, causation_id=causation_id)
        receivers = self.engine.publisher.publish(
            channel, body, durable=durable, require=self.engine.require
        )
        self.engine.unstored.note(channel, receivers)
        return receivers

    def ask(
        self,
        channel: str,
        payload: Mapping[str, Any] | msgspec.Struct,
        timeout_s: float = 5.0,
    ) -> Event:
        """Ask the subscribers of a channel, and wait for the first answer. Blocks. Any thread.

        The question is published like any other message (and stored, if the channel is), with a
        ``reply_to`` in it; the answer is not stored. In a handler it holds up the others:
        an agent cannot answer itself there. What the answer says is not checked.

        Args:
            channel: where; to publish there may be acting, as in `publish`.
            payload: as for `publish`.
            timeout_s: how long an answer may take.

        Raises:
            NoAnswer: none in time, no subscriber, or the agent is stopped.
            BadPayload: what was asked, or answered, is no JSON.
            BusUnavailable: Redis is away, or 19 other questions of this agent wait.
            Halted: as in `publish`.
        """
        self.engine.require(channel)
        fields = caused(fields_of(payload))
        return self.engine.questions.ask(channel, fields, timeout_s, require=self.engine.require)

    def reply(self, event: Event, payload: Mapping[str, Any] | msgspec.Struct) -> int:
        """Answer an event that asks; also while the gate is shut. Any thread.

        Returns:
            How many got the answer; 0 if the event asks nothing, or the asker waits no longer.

        Raises:
            BadPayload: as `publish`.
            BusUnavailable: likewise.
        """
        if event.reply_to is None:
            return 0
        return self.engine.publisher.publish(event.reply_to, caused(fields_of(payload)))

    def report_error(self, error: BaseException | str) -> None:
        """Make the heartbeat say ``error``, until `clear_error`. Any thread."""
        self.log.error("%s", error)
        if self.engine.health.report(error):
            self.engine.heart.hurry()

    def clear_error(self) -> None:
        """What was reported by `report_error` is over. Any thread."""
        self.engine.health.clear_report()

    def call_on(self, pattern: str, function: Callable[[Event], object]) -> None:
        """As `on_event`, for patterns known only at run time. Before the start."""
        if self.engine.subscriber is not None:
            raise AgentError("subscribe before the agent starts, in __init__")
        check_function(function, "event", takes_async=self.takes_async)
        self.engine.router.add(self.engine.callable(function), (checked(pattern),))

    def call_every(
        self, seconds: float, function: Callable[[], object], *, at_start: bool = False
    ) -> None:
        """As `every`, for intervals known only at run time. In ``__init__`` or `on_start`."""
        check_function(function, takes_async=self.takes_async)
        self.engine.schedule.add(self.engine.callable(function), TimerSpec(seconds, at_start))

    def acting(self, *, reduces: bool = False) -> AbstractContextManager[None]:
        """Within the block the agent acts: ``with self.acting(): venue.send(order)``. Any thread.

        Looked at when the block begins; keep it short, a new one for each order.

        Args:
            reduces: the order only reduces positions, which a stop of level ``reduce`` allows.

        Raises:
            Halted: it may not act now.
        """
        return (
            nullcontext() if self.engine.gate is None else self.engine.gate.acting(reduces=reduces)
        )

    @property
    def permission(self) -> Permission:
        """What may be done now; ``allowed`` without a gate. Any thread."""
        return Permission.ALLOWED if self.engine.gate is None else self.engine.gate.permission

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The last 100 events that a handler refused (its model) or failed on. Any thread."""
        return self.engine.attempts.dead_letters.last()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called; long handlers look at it."""
        return self.engine.stopping.is_set()

    # -- running ---------------------------------------------------------------------

    def run(self) -> None:
        """Run until `stop`; in the main thread also until SIGTERM or SIGINT. Blocks.

        Returns within 2 s of the stop, leaving behind (as a daemon thread) a handler
        that does not end.

        Raises:
            Exception: what `on_start` raised.
        """
        try:
            run_in_threads(
                self.jobs(), name=self.agent_id, stop=self.stop, stopping=self.engine.stopping
            )
        finally:
            self.close()

    def stop(self) -> None:
        """End the run, from any thread or handler; returns at once."""
        self.engine.stop()

    def jobs(self) -> dict[str, Callable[[], None]]:
        """What must run side by side, for a host with threads of its own kind.

        Each job ends after `stop`. If one raises, the host stops the agent. When all have
        ended, the host calls `close`.

        Raises:
            AgentError: the agent has run already.
        """
        return self.engine.jobs()

    def close(self) -> None:
        """Close the connections to Redis. For hosts; `run` does it by itself."""
        self.engine.close()
