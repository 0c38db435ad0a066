"""The actors that send to servers of others; each is there only where the settings name one.

The Notifier where ``[notify]`` names a receiver, the SpanExporter where ``[otel]`` names a
collector.
"""

import shutil
import time
from pathlib import Path

from prometheus_client import Counter

from .._version import __version__
from ..actors.event_persister.state import PersisterState
from ..actors.notifier.actor import Notifier, Outbound
from ..actors.span_exporter.actor import SpanExporter
from ..actors.span_exporter.spans import Spans
from ..runtime import Address, ChildSpec
from ..runtime.telemetry.metrics import Metrics
from ..settings import Settings
from .addresses import Addresses

NOTIFICATIONS = ("delivered", "failed", "given_up")
SPANS = ("exported", "refused", "dropped")


class Outlets:
    """What outlives these actors.

    Args:
        settings: All of them.
        folder: The data directory, whose disk is watched.
        state: Says how far PostgreSQL is behind.
        metrics: The daemon's registry.
    """

    def __init__(
        self, settings: Settings, folder: Path, state: PersisterState, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._state = state
        self._outbound = Outbound()
        self.spans = Spans() if settings.otel.on else None
        """Of requests and events, for the collector."""
        text = "Notifications, and failed attempts to deliver them."
        metrics.watch(Counter, "notifications", text, self._notifications, ("result",))
        text = "OpenTelemetry spans: exported, refused by the collector, dropped for want of room."
        metrics.watch(Counter, "spans", text, self._exports, ("result",))

    def consumers(self, to: Addresses) -> dict[Address, frozenset[str] | None]:
        """The types of events that the persister offers to each of them; ``None``: all."""
        notify = self._settings.notify
        notifier = {to.notifier: frozenset(notify.events)} if notify.on else {}
        return notifier | ({to.span_exporter: None} if self.spans is not None else {})

    def specs(self, to: Addresses) -> list[ChildSpec]:
        """Those that there are."""
        specs = []
        if self._settings.notify.on:
            specs.append(ChildSpec(to.notifier, self._notifier))
        if self.spans is not None:
            specs.append(ChildSpec(to.span_exporter, self._span_exporter))
        return specs

    def _notifier(self) -> Notifier:
        instance = self._settings.instance
        return Notifier(
            settings=self._settings.notify,
            outbound=self._outbound,
            about={"instance": instance.name, "env": instance.env},
            lag_s=lambda: self._state.lag.seconds(self._state.backlog, now_s=time.time()),
            disk_free=lambda: float(shutil.disk_usage(self._folder).free),
        )

    def _span_exporter(self) -> SpanExporter:
        assert self.spans is not None  # noqa: S101 only then it is in the tree
        instance = self._settings.instance
        about = {
            "service.name": "orchestrator",
            "service.version": __version__,
            "service.instance.id": instance.name,
            "deployment.environment.name": instance.env,
        }
        return SpanExporter(self._settings.otel, self.spans, about)

    def _notifications(self) -> list[tuple[tuple[str], float]]:
        return [((name,), float(self._outbound.results[name])) for name in NOTIFICATIONS]

    def _exports(self) -> list[tuple[tuple[str], float]]:
        results = self.spans.results if self.spans is not None else {}
        return [((name,), float(results.get(name, 0))) for name in SPANS]
