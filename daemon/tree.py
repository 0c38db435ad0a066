"""The whole tree: which actors there are, which know each other, in which order they start.

::

    root (one_for_one)
    ├── guard                 the process that acts when this one cannot
    ├── postgres, valkey      embedded servers, if the settings ask for them
    ├── persister             journal and PostgreSQL; everything flows through it
    ├── killswitch            the stop: trips, releases, copies, lease
    ├── rules                 stops by themselves, if [rules] has any
    ├── state-keeper          regime, values
    ├── heartbeat-monitor     the agent registry
    ├── broadcaster           WebSocket clients
    ├── http                  REST, WebSocket, the page
    ├── pruner                old events
    ├── notifier              webhook or command, if [notify] names one
    ├── span-exporter         OpenTelemetry, if [otel] names a collector
    ├── redis-listener        intake: starts after, stops before those above
    └── agents (one_for_one)  those that this daemon runs; a failing one affects no other
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import structlog
from gevent.event import Event as Signal

from .._version import __version__
from ..actors.broadcaster.actor import Broadcaster
from ..actors.broadcaster.clients import Clients
from ..actors.event_persister.actor import EventPersister
from ..actors.event_persister.recovery import sweep
from ..actors.event_persister.state import PersisterState
from ..actors.events import HEARTBEAT, KILLSWITCH, REGIME, REJECTED
from ..actors.heartbeat_monitor.actor import HeartbeatMonitor
from ..actors.heartbeat_monitor.agent_table import AgentTable
from ..actors.pruner import Pruner
from ..actors.redis_listener.actor import RedisListener
from ..actors.redis_listener.connections import BusConnections
from ..actors.state_keeper.actor import StateKeeper
from ..http.edge.listener import ListeningSocket
from ..http.peers import Instance, ManagedAgents, Peers
from ..http.server import HttpServer
from ..killswitch.guard.actor import GuardActor
from ..runtime import (
    Actor,
    Address,
    ChildSpec,
    DeadLetters,
    GetTree,
    Mailbox,
    OrchestratorError,
    StartFailed,
    Supervisor,
    stop_actor,
)
from ..runtime.datadir import DataDir
from ..runtime.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from ..runtime.embedded.actor import ServerKeeper
from ..runtime.linked import running
from ..runtime.telemetry.loop_watchdog import LOG_AFTER_S, LoopWatchdog
from ..runtime.telemetry.metrics import Metrics
from ..settings import Settings
from ..sql.database import Database
from ..sql.events.event_reader import EventReader
from ..sql.events.event_writer import EventWriter
from ..sql.registry import AgentRegistry
from ..sql.schema.retention import RetentionRule
from ..sql.state import StateStore
from .addresses import addresses
from .bus import Bus
from .database_gauges import DatabaseGauges
from .emergency_stop import EmergencyStop
from .hosted_agents import HostedAgents
from .outlets import Outlets
from .own_events import OwnEvents
from .reload import SettingsReload
from .stop_rules import StopRules
from .tables import Tables

SERVER_START_LIMIT_S = 150.0
"""An embedded server's own limit is 120 s: recovery takes time."""

START_LIMIT_S = 600.0
"""A whole start, embedded servers' recovery included; each child has a limit of its own in it."""

STOP_MARGIN_S = 5.0
"""How long killing the rest may take once a stop's time is used up."""

log = structlog.get_logger(actor="daemon")


class Daemon:
    """One daemon: what outlives its actors, and the supervision tree.

    Args:
        settings: All of them.
        data: The open data directory.
        listening: The bound socket, so that a taken port is found first.
        servers: Embedded servers, running.
        read_settings: Reads the settings again; by default they stay as they are.
    """

    def __init__(
        self,
        settings: Settings,
        data: DataDir,
        listening: ListeningSocket,
        servers: Sequence[EmbeddedServer] = (),
        read_settings: Callable[[], Settings] | None = None,
    ) -> None:
        urls = {type(server): server.own_url for server in servers}
        public = {type(server): server.url for server in servers}
        self.data = data
        self.servers = servers
        self.redis_url = urls.get(EmbeddedValkey, settings.redis.url)
        self.agents_redis_url = public.get(EmbeddedValkey, settings.redis.url)
        """The bus as agents reach it; an embedded one without the daemon's own account."""
        self.pg_url = urls.get(EmbeddedPostgres, settings.postgres.url.get_secret_value())
        self.failure: str | None = None
        """Why it ended, unless it was stopped."""
        self.ended = Signal()
        """Set when it cannot continue."""
        self._dead_letters = DeadLetters()
        self.metrics = Metrics()
        self._stalls = self.metrics.histogram("loop_stall_seconds", "Loop blocks, from 20 ms.")
        self._instance = Instance(settings.instance.name, settings.instance.env, __version__)
        self._clients = Clients(settings.websocket.max_clients)
        self._to = addresses(self._dead_letters, self._clients)
        self._listening = listening
        self._database = Database(settings.postgres, url=self.pg_url)
        self._writer = EventWriter(self._database)
        self._gauges = DatabaseGauges(self._database, self.metrics)
        self._bus = Bus(
            settings, url=self.redis_url, instance=data.instance, on_unusable=self._give_up
        )
        self._persister_state = PersisterState(
            data.path, self._bus.patterns, settings.journal, canaries=self._bus.canaries
        )
        self._outlets = Outlets(settings, data.path, self._persister_state, self.metrics)
        self._tables = Tables(self._database, instance=data.instance, on_unusable=self._give_up)
        self.stop = EmergencyStop(
            settings, data, to=self._to, redis_url=self.redis_url, database=self._database
        )
        self.stop.measure(self.metrics)
        self._rules = StopRules(self.stop.rules, self._to, self.metrics)
        self._guard = self.stop.guard
        self._agents = HostedAgents(
            settings,
            folder=data.path,
            redis_url=self.agents_redis_url,
            guard=self._guard,
            dead_letters=self._dead_letters,
        )
        self._own_events = OwnEvents(self._to.persister, self._agents.kinds)
        self.reloads = SettingsReload(
            settings,
            read=read_settings or (lambda: self.settings),
            to=self._to,
            agents=self._agents,
            tls=listening.tls,
            note=self.stop.audit.note,
        )
        self._root: Supervisor | None = None
        self._subscriptions: BusConnections | None = None

    # -- its life ----------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start everything; stop it in reverse at the end of the block.

        Raises:
            BusEndangered: The server's settings endanger events, and ours are strict.
            TablesUnusable: Another daemon writes to this database, or its tables are not ours.
            StartFailed: A child did not start; those before it have been stopped again.
            OSError: The data directory cannot be read or written.
        """
        with ExitStack() as stack:
            watchdog = LoopWatchdog(self._loop_stalled)
            watchdog.start()
            stack.callback(watchdog.stop)
            self._bus.check()
            self._tables.prepare()
            self._database.open()
            stack.callback(self._database.close)
            stack.callback(self._writer.close)
            stack.callback(self.stop.close)
            stack.enter_context(running("daemon-audit", self.stop.audit.run))
            self._persister_state.open()
            stack.callback(self._persister_state.close)
            subscriptions = self._bus.subscribe(
                down_since_ms=self._persister_state.last_journalled_ms or self._tables.newest_at_ms
            )
            self._subscriptions = subscriptions
            stack.callback(subscriptions.close)
            echoes = self._persister_state.ingest.expected_echoes
            self.stop.connect(subscriptions.own_copies, echoes.expect)
            with (
                running("daemon-tables", self._tables.keep_trying),
                running("daemon-own-events", self._own_events.pump),
                running("daemon-database-gauges", self._gauges.run),
            ):
                self._start_tree(subscriptions)
                stack.callback(self._stop_tree)
                stack.enter_context(running("daemon-trip-files", self.stop.files.run))
                self._own_events.record("runtime.started", {"version": __version__})
                yield
                self._own_events.record("runtime.stopping", {})

    def _start_tree(self, subscriptions: BusConnections) -> None:
        root = self._root = self._new_root(subscriptions)
        root.start_at(self._to.root, self._root_ended)
        try:
            root.wait_ready(START_LIMIT_S)
        except StartFailed:
            self.failure = None  # the exception tells the caller
            raise

    def _stop_tree(self) -> None:
        assert self._root is not None  # noqa: S101 started before
        before = self._dead_letters.total
        stop_actor(
            self._root,
            timeout_s=self.settings.supervisor.stop_s + STOP_MARGIN_S,
            before_close=lambda: sweep(self._persister_state, self._to.persister),
        )
        if unhandled := self._dead_letters.total - before:
            actors = sorted({one.actor for one in self._dead_letters.snapshot()[-unhandled:]})
            log.info("pending messages are dead letters", count=unhandled, actors=actors)

    def _root_ended(self, root: Actor) -> None:
        if root.exit_error is not None:
            self.failure = str(root.exit_error)
        self.ended.set()

    def _give_up(self, reason: str) -> None:
        self.failure = reason
        self.ended.set()

    def unavailable(self) -> dict[str, str]:
        """The unavailable servers, each with the reason."""
        found = {} if self._tables.ready else {"PostgreSQL": self._tables.reason}
        status = self._subscriptions.status() if self._subscriptions else None
        if status is not None and not status.connected:
            found["Redis"] = status.last_error or "not connected yet"
        return found

    def responds(self, limit_s: float) -> bool:
        """Whether the root supervisor answers within ``limit_s``."""
        try:
            self._to.root.ask(GetTree(), timeout_s=limit_s)
        except OrchestratorError:
            return False
        return True

    # -- its settings, and abort -------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.reloads.settings

    def abandon(self) -> None:
        """Leave nothing behind that would outlive this process; does not wait."""
        self._guard.abandon()

    # -- the tree ----------------------------------------------------------------------------

    def _new_root(self, subscriptions: BusConnections) -> Supervisor:
        """The supervisor of everything."""
        to = self._to
        return Supervisor(
            [
                ChildSpec(to.guard, lambda: GuardActor(self._guard)),
                *self._server_specs(),
                *self._actor_specs(subscriptions),
                self._agents.child_spec(
                    to.agents, subscriptions.wait_connected, self._own_events.report
                ),
            ],
            limits=self.settings.supervisor.limits(),
            on_report=self._own_events.report,
            hang_timeout_s=self.settings.supervisor.hang_timeout_s,
            stop_s=self.settings.supervisor.stop_s,
        )

    def _server_specs(self) -> list[ChildSpec]:
        return [
            ChildSpec(
                Address(server.title.lower(), Mailbox(10), self._dead_letters),
                partial(ServerKeeper, server),
                start_timeout_s=SERVER_START_LIMIT_S,
            )
            for server in self.servers
        ]

    def _actor_specs(self, subscriptions: BusConnections) -> list[ChildSpec]:
        to, reader = self._to, EventReader(self._database)
        # Each gets only its own types: a flood of prices must not push a stop out of a mailbox.
        consumers = {
            to.monitor: frozenset({HEARTBEAT}),
            to.killswitch: frozenset({KILLSWITCH, REJECTED}),
            to.state_keeper: frozenset({REGIME}),
            to.broadcaster: None,
            **self._rules.consumer(),
            **self._outlets.consumers(to),
        }
        return [
            ChildSpec(
                to.persister,
                lambda: EventPersister(
                    self._persister_state,
                    self._writer,
                    consumers=consumers,
                    listener=to.listener,
                    monitor=to.monitor,
                    stops=to.killswitch,
                    rules=self._rules.address,
                    instance=self.data.instance,
                    on_fenced=lambda error: self._give_up(str(error)),
                    reader=reader,
                    on_foreign=self._clients.note_foreign,
                ),
                shutdown_s=10.0,
            ),
            ChildSpec(to.killswitch, lambda: self.stop.actor(self._agents.processes)),
            *self._rules.specs(),
            ChildSpec(to.state_keeper, lambda: StateKeeper(StateStore(self._database), reader)),
            ChildSpec(
                to.monitor,
                lambda: HeartbeatMonitor(
                    table=AgentTable(self.settings.registry, self._agents.kinds),
                    registry=AgentRegistry(self._database),
                    persister=to.persister,
                    broadcaster=to.broadcaster,
                    state_keeper=to.state_keeper,
                    killswitch=to.killswitch,
                    rules=self._rules.address,
                ),
            ),
            ChildSpec(to.broadcaster, lambda: Broadcaster(clients=self._clients)),
            ChildSpec(
                to.http,
                lambda: HttpServer(
                    self._listening, self.settings.http, self.settings.websocket, self._peers()
                ),
            ),
            ChildSpec(
                to.pruner,
                lambda: Pruner(
                    database=self._database,
                    rules=[
                        RetentionRule(pattern, keep.total_seconds())
                        for pattern, keep in self.settings.retention.items()
                    ],
                    committed_id=lambda: self._persister_state.committed_id,
                ),
            ),
            *self._outlets.specs(to),
            ChildSpec(
                to.listener,
                lambda: RedisListener(subscriptions, persister=to.persister, monitor=to.monitor),
            ),
        ]

    def _loop_stalled(self, seconds: float) -> None:
        self._stalls.observe(seconds)
        if seconds >= LOG_AFTER_S:
            self._own_events.record("runtime.loop_stalled", {"seconds": round(seconds, 3)})

    def _peers(self) -> Peers:
        to = self._to
        return Peers(
            persister=to.persister,
            monitor=to.monitor,
            keeper=to.state_keeper,
            killswitch=to.killswitch,
            guard=to.guard,
            listener=to.listener,
            root=to.root,
            agents=ManagedAgents(
                to.agents, self._agents.processes, self._agents.stopped, self._agents.outputs
            ),
            clients=self._clients,
            database=self._database,
            dead_letters=self._dead_letters,
            metrics=self.metrics,
            instance=self._instance,
            audit=self.stop.audit,
            rules=self.stop.rules,
            reloads=self.reloads,
            spans=self._outlets.spans,
        )
