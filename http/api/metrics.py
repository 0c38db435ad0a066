"""``/metrics``: the daemon's registry, and what its actors report when asked.

An actor that does not answer within half a second leaves its metrics out of the page.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from ...actors.broadcaster.clients import Clients
from ...actors.messages.event_persister import GetBooks, GetPersisterStatus, PersisterStatus
from ...actors.messages.heartbeat_monitor import Agents, GetAgents, GetVisibility, Visibility
from ...actors.messages.killswitch import GetKillswitch, KillswitchView
from ...actors.messages.redis_listener import BusStatus, GetBusStatus
from ...actors.messages.state_keeper import GetState
from ...actors.sources import SourceBalance
from ...protocol.targets import Level
from ...runtime import Address, DeadLetters, GetTree, OrchestratorError, give_way
from ...runtime.address import HandlingTimes
from ...runtime.processes.record import ProcessRecord
from ...runtime.telemetry.metrics import MAX_LABEL_VALUES, OTHER, PREFIX, Metrics
from ...sql.database import Database
from ...sql.refusals import SMALL_TABLES, Refusals
from ...sql.state import StateRow
from ..peers import Instance, Peers
from ..requests import Call
from ..routes import Answer, Route
from .last_drill import drill_in, drilled_at

_ASK_TIMEOUT_S: Final = 0.5

Part = Callable[[], Iterable[Metric]]
Samples = Iterable[tuple[tuple[str, ...], float]]


class MetricsPage:
    """The page; also what an encoder of the client library takes for a registry.

    Args:
        metrics: The daemon's registry.
        instance: Its labels.
        parts: Add the metrics of actors; one that raises is left out.
    """

    def __init__(self, metrics: Metrics, instance: Instance, parts: Iterable[Part]) -> None:
        metrics.describe_instance(version=instance.version, name=instance.name, env=instance.env)
        self._metrics = metrics
        self._parts = tuple(parts)

    @Route("GET", "/metrics", {200: None}, counted=False)
    def page(self, call: Call) -> Answer:
        """Prometheus text.

        OpenMetrics where `Accept` names it, as Prometheus does; else version 0.0.4.
        """
        encode, content_type = choose_encoder(call.environ.get("HTTP_ACCEPT", ""))
        return Answer(encode(self), 200, content_type)

    def collect(self) -> Iterator[Metric]:
        """The registry's metrics and the actors'; others run in between."""
        yield from self._metrics.registry.collect()
        for part in self._parts:
            give_way()
            with suppress(OrchestratorError):
                yield from list(part())


def parts_of(peers: Peers) -> Iterable[Part]:
    """The metrics of each peer."""
    return (
        partial(_of_clients, peers.clients, peers.dead_letters),
        partial(_of_actors, peers.root),
        partial(_of_persister, peers.persister),
        partial(_of_books, peers.persister),
        partial(_of_bus, peers.listener),
        partial(_of_visibility, peers.monitor),
        partial(_of_agents, peers.monitor),
        partial(_of_state, peers.keeper),
        partial(_of_processes, peers.agents.processes),
        partial(_of_killswitch, peers.killswitch),
        partial(_of_refusals, peers.database.refusals),
        partial(_of_pool, peers.database),
    )


def _of_clients(clients: Clients, dead_letters: DeadLetters) -> Iterable[Metric]:
    yield _gauge("ws_clients", "WebSocket clients.", len(clients))
    yield _counter("ws_sent", "Frames queued for clients.", clients.frames_sent)
    yield _counter("ws_dropped", "Events that slow clients did not get.", clients.dropped)
    codes = [((str(code),), float(count)) for code, count in clients.closed.items()]
    yield _counters("ws_closed", "Connections that ended, by close code.", "code", codes)
    made = clients.compressed
    yield _counter("ws_compressed_frames", "Frames compressed, once for all.", made.frames)
    sizes = [(("before",), float(made.bytes_before)), (("after",), float(made.bytes_after))]
    text = "Size of those frames, before and as they went to each client."
    yield _counters("ws_compressed_bytes", text, "size", sizes)
    letters = dead_letters.total
    yield _counter("dead_letters", "Messages that were not handled.", letters)


def _of_actors(root: Address) -> Iterable[Metric]:
    tree: list[Mapping[str, Any]] = root.ask(GetTree(), timeout_s=_ASK_TIMEOUT_S)
    nodes = list(_flat(tree))[:MAX_LABEL_VALUES]
    inbox = [((str(node["name"]),), float(node["mailbox"]["depth"])) for node in nodes]
    yield _gauges("actor_inbox", "Pending messages.", ("actor",), inbox)
    for name, text, key in (
        ("actor_processed", "Messages handled.", "processed"),
        ("actor_restarts", "Restarts.", "restarts"),
    ):
        counts = [((str(node["name"]),), float(node[key])) for node in nodes]
        yield _counters(name, text, "actor", counts)
    dropped = [((str(node["name"]),), float(node["mailbox"]["dropped"])) for node in nodes]
    yield _counters("actor_dropped", "Messages dropped for newer ones.", "actor", dropped)
    text = "Time for one message or timer, waits included."
    handling = HistogramMetricFamily(PREFIX + "actor_handling_seconds", text, labels=("actor",))
    for node in nodes:
        times: HandlingTimes = node["handling"]
        handling.add_metric((str(node["name"]),), times.buckets(), times.busy_s)
    yield handling


def _of_persister(persister: Address) -> Iterable[Metric]:
    status: PersisterStatus = persister.ask(GetPersisterStatus(), timeout_s=_ASK_TIMEOUT_S)
    for name, text, counts in (
        ("events_received", "Messages received.", status.received),
        ("events_journalled", "Events journalled.", status.journalled),
    ):
        yield _counters(name, text, "class", [((k,), float(v)) for k, v in counts.items()])
    yield _counter("events_persisted", "Rows committed in PostgreSQL.", status.stored)
    yield _counter("events_rejected", "Events that became bus.rejected.", status.rejected)
    yield _counter("events_lost", "Events dropped: no room on disk or in memory.", status.dropped)
    yield _counter("events_copies", "Copies by a second pattern.", status.copies)
    yield _counter("events_echoes", "Own publications that came back.", status.echoes)
    durable = [((name,), float(count)) for name, count in status.durable.items()]
    text = "Durable messages that were published too, by what became of the published copy."
    yield _counters("durable_copies", text, "fate", durable)
    yield _counter("sequence_gaps", "Jumps in producers' numbers.", status.sequence_gaps)
    yield _counter("sequence_missing", "Messages missing in them.", status.sequence_missing)
    yield _gauge("journal_events", "Events not committed yet.", status.pending)
    yield _gauge("journal_bytes", "Size of the journal.", status.journal_bytes)
    yield _gauge("ids_left", "Ids left.", status.ids_left)
    if status.newest_id:  # 0: not known yet
        yield _gauge("newest_event_id", "The highest id given.", status.newest_id)
    if status.committed_id:
        yield _gauge("committed_event_id", "The highest id committed.", status.committed_id)
    text = "Age of the oldest event that PostgreSQL does not have."
    yield _gauge("persist_behind_seconds", text, status.behind_s)
    text = "Socket to journal, of the oldest event of each batch."
    lag = HistogramMetricFamily(PREFIX + "ingest_lag_seconds", text)
    lag.add_metric((), status.ingest_times.buckets(), status.ingest_times.busy_s)
    yield lag


def _of_books(persister: Address) -> Iterable[Metric]:
    rows: tuple[SourceBalance, ...] = persister.ask(GetBooks(), timeout_s=_ASK_TIMEOUT_S)
    entries = [name for name in SourceBalance.__struct_fields__ if name != "source"]
    samples = [
        ((row.source, entry), float(getattr(row, entry)))
        for row in rows
        for entry in (*entries, "difference")
    ]
    text = "What became of all received since the start, by source."
    yield _gauges("books", text, ("source", "entry"), samples)


def _of_bus(listener: Address) -> Iterable[Metric]:
    status: BusStatus = listener.ask(GetBusStatus(), timeout_s=_ASK_TIMEOUT_S)
    yield _gauge("bus_connected", "Whether all lanes are subscribed.", status.connected)
    up = any(one.connected for one in status.subscriptions)
    yield _gauge("redis_up", "Whether Redis holds a subscription of ours.", up)
    if status.latency_ms is not None:
        seconds = status.latency_ms / 1_000
        yield _gauge("bus_ping_rtt_seconds", "A ping's round trip.", seconds)
    yield _counter("bus_attempts", "Connections tried.", status.attempts)
    cuts = [((one.name,), float(one.cuts)) for one in status.subscriptions]
    yield _counters("bus_cuts", "Subscriptions that ended.", "lane", cuts)
    stream = status.stream
    yield _gauge("stream_reading", "Whether the stream is read.", stream.reading)
    yield _counter("stream_entries", "Entries of the durable stream.", stream.entries)
    yield _counter("stream_trimmed", "Entries trimmed once committed.", stream.trimmed)
    yield _counter("stream_gaps", "Losses found in the durable stream.", stream.gaps)
    yield _counter("bus_published", "Messages published.", status.published)
    yield _counter("bus_publish_failures", "Failed attempts.", status.publish_failures)


def _of_visibility(monitor: Address) -> Iterable[Metric]:
    seen: Visibility = monitor.ask(GetVisibility(), timeout_s=_ASK_TIMEOUT_S)
    if seen.canary_rtt_s is not None:
        text = "A canary's round trip: published, read, journalled, at the monitor."
        yield _gauge("bus_canary_rtt_seconds", text, seen.canary_rtt_s)
    yield _gauge("bus_visible", "Whether heartbeats are known to arrive.", seen.visible)


def _of_agents(monitor: Address) -> Iterable[Metric]:
    agents: Agents = monitor.ask(GetAgents(wait_s=0), timeout_s=_ASK_TIMEOUT_S)
    counts = Counter((row.liveness.value, row.kind) for row in agents.rows)
    samples = [(labels, float(count)) for labels, count in counts.items()]
    yield _gauges("agents", "Agents.", ("state", "kind"), samples)
    ages = {row.id: float(row.seconds_since_beat or 0) for row in agents.rows if row.last_beat}
    text = "Since its last heartbeat; of those beyond 200 the longest."
    yield _gauges("agent_last_beat_seconds", text, ("agent",), bounded_ages(ages))


def bounded_ages(ages_s: Mapping[str, float]) -> Samples:
    """The ages of 200 names, always the same ones; the highest of all others as ``other``."""
    names = sorted(ages_s, key=lambda name: (name == OTHER, name))  # an agent may be called so
    for name in names[:MAX_LABEL_VALUES]:
        yield (name,), ages_s[name]
    if rest := names[MAX_LABEL_VALUES:]:
        yield (OTHER,), max(ages_s[name] for name in rest)


def _of_state(keeper: Address) -> Iterable[Metric]:
    rows: tuple[StateRow, ...] = keeper.ask(GetState(wait_s=0), timeout_s=_ASK_TIMEOUT_S)
    now = datetime.now(UTC)
    ages = {
        row.key: (now - datetime.fromisoformat(row.updated_at)).total_seconds()
        for row in rows
        if row.updated_at
    }
    text = "Since the value was last written, by key."
    yield _gauges("state_age_seconds", text, ("key",), bounded_ages(ages))
    drill = drill_in(rows)
    text = "When the last drill was, in Unix seconds; 0: never."
    at = drilled_at(drill) if drill is not None else None
    yield _gauge("killswitch_last_drill_timestamp_seconds", text, at or 0)


def _of_processes(processes: Mapping[str, ProcessRecord]) -> Iterable[Metric]:
    known = list(processes.items())[:MAX_LABEL_VALUES]
    for name, text, values in (
        (
            "agent_up",
            "Whether the agent's process runs.",
            [float(r.pid is not None) for _, r in known],
        ),
        (
            "agent_cpu_percent",
            "Of one processor, children included.",
            [r.usage.cpu_percent for _, r in known],
        ),
        (
            "agent_memory_bytes",
            "Resident, children included.",
            [float(r.usage.memory_bytes) for _, r in known],
        ),
    ):
        samples = [((agent_id,), value) for (agent_id, _), value in zip(known, values, strict=True)]
        yield _gauges(name, text, ("agent",), samples)


def _of_killswitch(killswitch: Address) -> Iterable[Metric]:
    view: KillswitchView = killswitch.ask(GetKillswitch(), timeout_s=_ASK_TIMEOUT_S)
    text = "0 allowed, 1 halted, 0.5 reduce only, -1 unknown (agents take it for 1), by scope."
    yield _gauges("killswitch_level", text, ("scope",), killswitch_levels(view))
    if view.standing.known or not view.stop.in_force:
        missing = len(view.standing.pending) + len(view.standing.unreachable)
        text = "Agents that have not acknowledged a stop in force for them."
        yield _gauge("killswitch_unacknowledged", text, missing)


def killswitch_levels(view: KillswitchView) -> Samples:
    """``all`` always, and each scope of a trip in force; beyond 200 together as ``other``."""
    levels = {"all": 0.0 if view.unknown is None else -1.0}
    for trip in view.stop.trips:
        halts = trip.target.level is Level.HALT
        scope = trip.target.scope if len(levels) < MAX_LABEL_VALUES else OTHER
        levels[scope] = max(levels.get(scope, 0.0), 1.0 if halts else 0.5)
    return [((scope,), level) for scope, level in levels.items()]


def _of_refusals(refusals: Refusals) -> Iterable[Metric]:
    samples = [((table,), float(refusals.totals[table])) for table in SMALL_TABLES]
    yield _counters("rows_refused", "Rows that PostgreSQL refused.", "table", samples)


def _of_pool(database: Database) -> Iterable[Metric]:
    stats = database.pool.get_stats()
    size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
    samples = [(("busy",), float(size - idle)), (("idle",), float(idle))]
    text = "Connections to PostgreSQL in the pool; the writer has its own."
    yield _gauges("db_connections", text, ("state",), samples)
    waiting = stats.get("requests_waiting", 0)
    yield _gauge("db_waiting", "Requests that wait for one of them.", waiting)


def _flat(tree: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in tree:
        yield node
        yield from _flat(node["children"])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=float(value))


def _gauges(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    metric = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in samples:
        metric.add_metric(values, number)
    return metric


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=float(value))


def _counters(name: str, text: str, label: str, samples: Samples) -> Metric:
    metric = CounterMetricFamily(PREFIX + name, text, labels=(label,))
    for values, number in samples:
        metric.add_metric(values, number)
    return metric
