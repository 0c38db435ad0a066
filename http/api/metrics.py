"""``/metrics``: the daemon's registry, and what its actors tell when they are asked for it.

An actor that does not answer within half a second leaves its metrics out of the page.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from ...actors.messages.event_persister import GetBooks, GetPersisterStatus, PersisterStatus
from ...actors.messages.heartbeat_monitor import Agents, GetAgents
from ...actors.messages.redis_listener import BusStatus, GetBusStatus
from ...actors.messages.state_keeper import GetKillswitch, KillswitchView
from ...actors.sources import SourceBalance
from ...runtime import GetTree, OrchestratorError
from ...runtime.handling import HandlingTimes
from ...runtime.telemetry.metrics import CONTENT_TYPE, MAX_LABEL_VALUES, PREFIX
from ..peers import Peers, ask
from ..requests import Call
from ..routes import Answer, Route

_ASK_TIMEOUT_S: Final = 0.5

Samples = Iterable[tuple[tuple[str, ...], float]]


class MetricsPage:
    """The page; also what ``generate_latest`` takes for a registry."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        of = peers.instance
        peers.metrics.describe_instance(version=of.version, name=of.name, env=of.env)

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("GET", "/metrics", self.page, "Prometheus text", {200: None}, counted=False)]

    def page(self, _call: Call) -> Answer:
        """Rendered in the request's greenlet, some ms."""
        return Answer(generate_latest(self), 200, CONTENT_TYPE)

    def collect(self) -> Iterator[Metric]:
        """The registry's metrics and the actors'."""
        yield from self._peers.metrics.registry.collect()
        parts: tuple[Callable[[], Iterable[Metric]], ...] = (
            self._clients,
            self._actors,
            self._persister,
            self._books,
            self._bus,
            self._agents,
            self._processes,
            self._killswitch,
        )
        for part in parts:
            with suppress(OrchestratorError):
                yield from list(part())

    def _clients(self) -> Iterable[Metric]:
        clients = self._peers.clients
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
        letters = self._peers.dead_letters.total
        yield _counter("dead_letters", "Messages that nobody handled.", letters)

    def _actors(self) -> Iterable[Metric]:
        tree: list[Mapping[str, Any]] = ask(self._peers.root, GetTree(), _ASK_TIMEOUT_S)
        nodes = list(_flat(tree))[:MAX_LABEL_VALUES]
        inbox = [((str(node["name"]),), float(node["mailbox"]["depth"])) for node in nodes]
        yield _gauges("actor_inbox", "Messages that wait.", ("actor",), inbox)
        for name, text, key in (
            ("actor_processed", "Messages handled.", "processed"),
            ("actor_restarts", "Restarts.", "restarts"),
        ):
            counts = [((str(node["name"]),), float(node[key])) for node in nodes]
            yield _counters(name, text, "actor", counts)
        dropped = [((str(node["name"]),), float(node["mailbox"]["dropped"])) for node in nodes]
        yield _counters("actor_dropped", "Messages given up for newer ones.", "actor", dropped)
        text = "What one message or timer took, waits included."
        handling = HistogramMetricFamily(PREFIX + "actor_handling_seconds", text, labels=("actor",))
        for node in nodes:
            times: HandlingTimes = node["handling"]
            handling.add_metric((str(node["name"]),), times.buckets(), times.busy_s)
        yield handling

    def _persister(self) -> Iterable[Metric]:
        status: PersisterStatus = ask(self._peers.persister, GetPersisterStatus(), _ASK_TIMEOUT_S)
        for name, text, counts in (
            ("events_received", "Messages taken in.", status.received),
            ("events_journalled", "Events journalled.", status.journalled),
        ):
            yield _counters(name, text, "class", [((k,), float(v)) for k, v in counts.items()])
        yield _counter("events_persisted", "Rows committed in PostgreSQL.", status.stored)
        yield _counter("events_rejected", "Events that became bus.rejected.", status.rejected)
        yield _counter("events_lost", "Events given up: no room anywhere.", status.dropped)
        yield _counter("events_copies", "Copies by a second pattern.", status.copies)
        yield _counter("events_echoes", "Own publications that came back.", status.echoes)
        durable = [((name,), float(count)) for name, count in status.durable.items()]
        text = "Durable messages that were published too, by what became of the published copy."
        yield _counters("durable_copies", text, "fate", durable)
        yield _counter("sequence_gaps", "Jumps in producers' numbers.", status.sequence_gaps)
        yield _counter("sequence_missing", "Messages left out in them.", status.sequence_missing)
        yield _gauge("journal_events", "Events not committed yet.", status.pending)
        yield _gauge("journal_bytes", "Size of the journal.", status.journal_bytes)
        yield _gauge("ids_left", "Ids in hand.", status.ids_left)
        yield _gauge("newest_event_id", "The highest id given.", status.newest_id)
        yield _gauge("committed_event_id", "The highest id committed.", status.committed_id)
        latency = [((name,), value / 1_000) for name, value in status.journal_latency_ms.items()]
        text = "Socket to journal, of the last batches."
        yield _gauges("ingest_lag_seconds", text, ("quantile",), latency)

    def _books(self) -> Iterable[Metric]:
        rows: tuple[SourceBalance, ...] = ask(self._peers.persister, GetBooks(), _ASK_TIMEOUT_S)
        entries = [name for name in SourceBalance.__struct_fields__ if name != "source"]
        samples = [
            ((row.source, entry), float(getattr(row, entry)))
            for row in rows
            for entry in (*entries, "difference")
        ]
        text = "What became of all that came since the start, by source."
        yield _gauges("books", text, ("source", "entry"), samples)

    def _bus(self) -> Iterable[Metric]:
        status: BusStatus = ask(self._peers.listener, GetBusStatus(), _ASK_TIMEOUT_S)
        yield _gauge("bus_connected", "Whether all lanes are subscribed.", status.connected)
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

    def _agents(self) -> Iterable[Metric]:
        agents: Agents = ask(self._peers.monitor, GetAgents(), _ASK_TIMEOUT_S)
        if agents.canary_rtt_s is not None:
            text = "A canary's way: published, read, journalled, at the monitor."
            yield _gauge("bus_canary_rtt_seconds", text, agents.canary_rtt_s)
        yield _gauge("bus_visible", "Whether heartbeats are known to arrive.", agents.bus_visible)
        counts = Counter((row.liveness.value, row.kind) for row in agents.rows)
        samples = [(labels, float(count)) for labels, count in counts.items()]
        yield _gauges("agents", "Agents.", ("state", "kind"), samples)

    def _processes(self) -> Iterable[Metric]:
        known = list(self._peers.processes.items())[:MAX_LABEL_VALUES]
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
            samples = [
                ((agent_id,), value) for (agent_id, _), value in zip(known, values, strict=True)
            ]
            yield _gauges(name, text, ("agent",), samples)

    def _killswitch(self) -> Iterable[Metric]:
        view: KillswitchView = ask(self._peers.keeper, GetKillswitch(), _ASK_TIMEOUT_S)
        level = {"inactive": 0, "active": 1}.get(view.status, -1)
        text = "0 trading allowed, 1 halted, -1 unknown (agents treat it as halted)."
        yield _gauges("killswitch_level", text, ("scope",), [(("all",), float(level))])


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
