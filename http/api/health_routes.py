"""``/health``, ``/ready``, ``/whoami`` and ``/health/agents``."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from ...actors.broadcaster.clients import Clients
from ...actors.messages.event_persister import GetPersisterStatus, PersisterStatus
from ...actors.messages.heartbeat_monitor import Agents, GetAgents
from ...actors.messages.killswitch import GetKillswitch, KillswitchView
from ...actors.messages.redis_listener import BusStatus, GetBusStatus
from ...killswitch.guard.actor import GetGuard
from ...killswitch.guard.link import GuardStatus
from ...protocol.timestamps import utc_now
from ...runtime import Address, GetTree, OrchestratorError
from ...sql.database import Database
from ...sql.state import TABLE
from ...sql.stop_row import STOP_KEY
from ..auth import Role, caller_in
from ..peers import ASK_TIMEOUT_S, Instance
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .last_drill import drill_check, last_drill
from .schemas import AgentsAnswer, AgentsQuery, Check, HealthAnswer, ReadyAnswer, WhoAmIAnswer

_CHECK_TIMEOUT_S: Final = 1.0


class HealthRoutes:
    """What load balancers, operators and the dashboard look at first."""

    def __init__(
        self,
        instance: Instance,
        clients: Clients,
        monitor: Address,
        checks: "ReadinessChecks",
    ) -> None:
        self._instance = instance
        self._clients = clients
        self._monitor = monitor
        self._checks = checks

    @Route("GET", "/health", {200: HealthAnswer}, counted=False, access=Role.OPEN)
    def health(self, _call: Call) -> HealthAnswer:
        """Whether the process serves, dependencies or not.

        Answers 200 as long as the process serves, whatever Redis and PostgreSQL do: what load
        balancers check. `HEAD` does as well. Never limited.
        """
        instance = self._instance
        return HealthAnswer(
            status="ok",
            version=instance.version,
            instance=instance.name,
            env=instance.env,
            uptime_seconds=round(instance.uptime_s, 3),
            websocket_clients=len(self._clients),
            timestamp=utc_now(),
        )

    @Route("GET", "/ready", {200: ReadyAnswer, 503: ReadyAnswer}, counted=False, access=Role.OPEN)
    def ready(self, call: Call) -> Answer:
        """Whether Redis, PostgreSQL, the journal, the stop, its guard and all actors work.

        200 if every check is good, else 503 with the same body. Callers without a token get no
        details.
        """
        checks = self._checks.run()
        ok = all(check.ok for check in checks.values())
        if caller_in(call.environ).role < Role.VIEWER:
            checks = {}
        answer = ReadyAnswer("ok" if ok else "unavailable", checks, utc_now())
        return json_answer(answer, 200 if ok else 503)

    @Route("GET", "/whoami", {200: WhoAmIAnswer})
    def whoami(self, call: Call) -> WhoAmIAnswer:
        """Who asks, and what that allows.

        Where no tokens are configured every caller is an operator without a name.
        """
        caller = caller_in(call.environ)
        role = caller.role.name.lower()
        return WhoAmIAnswer("ok", cast("Any", role), caller.name, utc_now())

    @Route("GET", "/health/agents", {200: AgentsAnswer}, query=AgentsQuery, etag=True)
    def agents(self, call: Call) -> AgentsAnswer:
        """The agents, newest beat first.

        `active_agents` counts those with a beat within the timeout whose last status is not
        `offline`. `liveness` is `unknown` while the daemon itself cannot see the bus.
        """
        wanted: AgentsQuery = call.query
        question = GetAgents(group=wanted.group, status=wanted.status, alive=wanted.alive)
        agents: Agents = self._monitor.ask(question, timeout_s=ASK_TIMEOUT_S)
        return AgentsAnswer("ok", utc_now(), agents.rows, agents.total, agents.active)


class ReadinessChecks:
    """The parts of ``/ready``, each with a limit of a second (PostgreSQL: of some).

    Args:
        listener: The RedisListener.
        persister: The EventPersister.
        root: The supervisor at the root.
        agents: The agents' supervisor, whose children are not the daemon's; ``None`` without.
        database: PostgreSQL.
        killswitch: The Killswitch.
        keeper: The StateKeeper.
        guard: The guard's actor.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        *,
        listener: Address,
        persister: Address,
        root: Address,
        agents: Address | None,
        database: Database,
        killswitch: Address,
        keeper: Address,
        guard: Address,
    ) -> None:
        self._killswitch = killswitch
        self._keeper = keeper
        self._guard = guard
        self._listener = listener
        self._persister = persister
        self._root = root
        self._agents = agents
        self._database = database

    def run(self) -> dict[str, Check]:
        """All of them, one after the other, by name."""
        return {
            "redis": _checked(self._redis),
            "postgres": _checked(self._postgres),
            "journal": _checked(self._journal),
            "actors": _checked(self._actors),
            "killswitch": _checked(self._stop),
            "guard": _checked(self._watch),
            "drill": drill_check(last_drill(self._keeper)),
        }

    def _redis(self) -> Check:
        status: BusStatus = self._listener.ask(GetBusStatus(), timeout_s=_CHECK_TIMEOUT_S)
        if status.connected:
            return Check(
                ok=True,
                message=f"subscribed since {status.since}",
                latency_ms=_rounded(status.latency_ms),
            )
        return Check(ok=False, message=status.last_error or "not connected yet")

    def _postgres(self) -> Check:
        health = self._database.health()
        latency_ms = _rounded(health.latency_ms)
        error = self._storing().store_error if health.ok else None
        if error is not None:
            return Check(ok=False, message=f"does not store: {error}", latency_ms=latency_ms)
        refused = "; ".join(map(str, self._database.refusals.report())) if health.ok else ""
        message = f"{health.message}; {refused}" if refused else health.message
        return Check(health.ok, message, latency_ms, warning=bool(refused))

    def _journal(self) -> Check:
        status = self._storing()
        if status.journal_error is not None:
            return Check(ok=False, message=status.journal_error)
        if status.ids_left == 0:
            return Check(ok=False, message="no ids left, PostgreSQL has to allocate some")
        message = f"{status.pending} events pending for PostgreSQL" if status.pending else "ok"
        latency_ms = _rounded(status.journal_latency_ms.get("p99"))
        return Check(ok=True, message=message, latency_ms=latency_ms)

    def _storing(self) -> PersisterStatus:
        status: PersisterStatus = self._persister.ask(
            GetPersisterStatus(), timeout_s=_CHECK_TIMEOUT_S
        )
        return status

    def _stop(self) -> Check:
        view: KillswitchView = self._killswitch.ask(GetKillswitch(), timeout_s=_CHECK_TIMEOUT_S)
        if view.unknown is not None:
            return Check(ok=False, message=f"no permit is issued: {view.unknown}")
        if why := self._database.refusals.reason(TABLE, STOP_KEY):
            return Check(ok=False, message=f"PostgreSQL refuses the stop's row: {why}")
        return Check(ok=True, message=view.status)

    def _watch(self) -> Check:
        status: GuardStatus = self._guard.ask(GetGuard(), timeout_s=_CHECK_TIMEOUT_S)
        return guard_check(status)

    def _actors(self) -> Check:
        tree: list[Mapping[str, Any]] = self._root.ask(GetTree(), timeout_s=_CHECK_TIMEOUT_S)
        # An agent's troubles are not the daemon's.
        ours = self._agents.name if self._agents is not None else None
        missing = sorted(not_running(tree, but_below=ours))
        if missing:
            return Check(ok=False, message=f"not running: {', '.join(missing)}")
        return Check(ok=True, message="all running")


def guard_check(status: GuardStatus) -> Check:
    """Good while the guard runs, and neither disk nor Redis refuses what it delivers."""
    if not status.ready:
        return Check(ok=False, message="the guard is starting" if status.pid else "no guard runs")
    troubles = (("disk", status.disk), ("Redis", status.bus))
    refused = "; ".join(f"{what}: {why}" for what, why in troubles if why)
    ended = f", replaced {status.replaced} times" if status.replaced else ""
    ignored = f"; {status.ignored}" if status.ignored else ""
    return Check(ok=not refused, message=refused or f"ready{ended}{ignored}")


def not_running(tree: Iterable[Mapping[str, Any]], *, but_below: str | None) -> list[str]:
    """Names of actors that do not run, those below ``but_below`` left out."""
    found: list[str] = []
    for node in tree:
        if node["state"] != "RUNNING":
            found.append(str(node["name"]))
        if node["name"] != but_below:
            found += not_running(node["children"], but_below=but_below)
    return found


def _checked(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except OrchestratorError as error:
        return Check(ok=False, message=str(error))


def _rounded(latency_ms: float | None) -> float | None:
    return None if latency_ms is None else round(latency_ms, 3)
