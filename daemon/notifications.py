"""The Notifier's place in the tree: there only where ``[notify]`` names a receiver."""

import shutil
import time
from pathlib import Path

from prometheus_client import Counter

from ..actors.event_persister.state import PersisterState
from ..actors.notifier.actor import Notifier, Outbound
from ..runtime import Address, ChildSpec
from ..runtime.telemetry.metrics import Metrics
from ..settings import Settings

RESULTS = ("delivered", "failed", "given_up")


class Notifications:
    """What outlives the Notifier.

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
        text = "Notifications, and failed attempts to deliver them."
        metrics.watch(Counter, "notifications", text, self._results, ("result",))

    def consumer(self, address: Address) -> dict[Address, frozenset[str] | None]:
        """The types of events that the persister offers to the Notifier, if there is one."""
        notify = self._settings.notify
        return {address: frozenset(notify.events)} if notify.on else {}

    def specs(self, address: Address) -> list[ChildSpec]:
        """The Notifier, if there is a receiver."""
        return [ChildSpec(address, self._notifier)] if self._settings.notify.on else []

    def _notifier(self) -> Notifier:
        instance = self._settings.instance
        return Notifier(
            settings=self._settings.notify,
            outbound=self._outbound,
            about={"instance": instance.name, "env": instance.env},
            lag_s=lambda: self._state.lag.seconds(self._state.backlog, now_s=time.time()),
            disk_free=lambda: float(shutil.disk_usage(self._folder).free),
        )

    def _results(self) -> list[tuple[tuple[str], float]]:
        return [((name,), float(self._outbound.results[name])) for name in RESULTS]
