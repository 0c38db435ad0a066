"""Reads the settings again while the daemon runs (SIGHUP, ``POST /runtime/settings/reload``).

One at a time. A fault anywhere changes nothing; what came of it is logged, noted in the audit
trail and kept for ``/runtime/settings``.
"""

from collections.abc import Callable
from typing import Any, Final

import gevent
import structlog
from gevent.lock import BoundedSemaphore

from ..actors.heartbeat_monitor.actor import UseTimeouts
from ..http.api.settings_routes import summary
from ..http.edge.tls import Tls
from ..http.reloads import Reload
from ..http.server import UseSettings
from ..protocol.timestamps import utc_now
from ..runtime import RestartChild
from ..runtime.telemetry.log import set_log_level
from ..settings import Settings, SettingsError
from ..settings.reload import Changes, changes
from .addresses import Addresses
from .hosted_agents import HostedAgents

MAX_PROBLEMS: Final = 50
"""Faults that are kept and answered; the log has all."""


class SettingsReload:
    """The one way in which settings change.

    Args:
        settings: Those of the start.
        read: Reads them again; raises `SettingsError`.
        to: Whom to notify.
        agents: Started, stopped and restarted as the settings say.
        tls: The certificate, if there is one; its files are read again.
        note: Adds a row to the audit trail.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        settings: Settings,
        *,
        read: Callable[[], Settings],
        to: Addresses,
        agents: HostedAgents,
        tls: Tls | None,
        note: Callable[..., None],
    ) -> None:
        self._read = read
        self._to = to
        self._agents = agents
        self._tls = tls
        self._note = note
        self._one_at_a_time = BoundedSemaphore()
        self._log: Any = structlog.get_logger(actor="daemon")
        self.settings = settings
        """In force."""
        self.last: Reload | None = None
        """The most recent one."""

    @property
    def file(self) -> str | None:
        """The path of the settings' file; None if they came from none."""
        return str(self.settings.file) if self.settings.file else None

    def run(self, by: str, *, wait_s: float) -> Reload | None:
        """As `Reloads.run`."""
        job = gevent.spawn(self.now, by)
        job.join(wait_s)
        found: Reload | None = job.get() if job.ready() else None
        return found

    def signalled(self) -> None:
        """SIGHUP has come: reload, and note it in the audit trail."""
        found = self.now("SIGHUP")
        outcome = "refused" if found.outcome == "refused" else "done"
        self._note("settings.reload", actor="SIGHUP", outcome=outcome, detail=summary(found))

    def now(self, by: str) -> Reload:
        """Reload; waits for a reload that runs, and for agents to stop and start."""
        with self._one_at_a_time:
            try:
                new = self._read()
            except SettingsError as error:
                self._log.error("reload failed, settings unchanged", reason=str(error))
                faults = tuple(map(str, error.faults[:MAX_PROBLEMS]))
                self.last = Reload(utc_now(), by, "refused", problems=faults)
                return self.last
            self.last = self.use(new, by)
            return self.last

    def use(self, new: Settings, by: str) -> Reload:
        """Use ``new`` as far as it can be used without a start."""
        found = changes(self.settings, new)
        self.settings = found.settings
        problems = self._apply(found)
        agents = self._agents.use(found.settings.agents, self._to.agents)
        problems += [f"agent {agent_id}: {why}" for agent_id, why in agents.failed.items()]
        self._log.info(
            "settings reloaded",
            by=by,
            changed=found.now,
            at_next_start=found.at_restart,
            agents_started=agents.started,
            agents_stopped=agents.stopped,
            agents_restarted=agents.restarted,
        )
        if found.at_restart:
            self._log.warning("some settings take effect at the next start", keys=found.at_restart)
        for warning in new.warnings:
            self._log.warning("the settings in force want a look", reason=warning)
        for problem in problems:
            self._log.error("reloaded in part", problem=problem)
        return Reload(
            utc_now(),
            by,
            "in_part" if problems else "done",
            found.now,
            found.at_restart,
            agents,
            tuple(problems[:MAX_PROBLEMS]),
            new.warnings[:MAX_PROBLEMS],
        )

    def _apply(self, found: Changes) -> list[str]:
        """Use what has changed, agents excepted; returns what could not be used, a line each."""
        set_log_level(found.settings.log.level)
        self._to.monitor.offer(UseTimeouts(found.settings.registry))
        self._to.http.offer(UseSettings(found.settings.http))
        if any(key.startswith("retention.") for key in found.now):
            self._to.root.offer(RestartChild(self._to.pruner.name))
        trouble = self._tls.read_anew() if self._tls is not None else None
        problems = (
            found.refused and f"tokens unchanged: {found.refused}",
            trouble and f"http.tls: {trouble}",
        )
        return [problem for problem in problems if problem]
