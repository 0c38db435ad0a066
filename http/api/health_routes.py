"""``/health``, ``/ready`` and ``/health/agents``."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...actors.messages.event_persister import GetPersisterStatus, PersisterStatus
from ...actors.messages.heartbeat_monitor import Agents, GetAgents
from ...actors.messages.redis_listener import BusStatus, GetBusStatus
from ...protocol.timestamps import utc_now
from ...runtime import GetTree, OrchestratorError
from ..auth import Role, caller_in
from ..etag import tagged
from ..peers import Peers, ask
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .schemas import AgentsAnswer, AgentsQuery, Check, HealthAnswer, ReadyAnswer

_CHECK_TIMEOUT_S: Final = 1.0


class HealthRoutes:
    """What load balancers, operators and the dashboard look at first."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                "GET",
                "/health",
                self.health,
                "Whether the process serves, dependencies or not",
                {200: HealthAnswer},
                counted=False,
                access=Role.OPEN,
            ),
            Route(
                "GET",
                "/ready",
                self.ready,
                "Whether Redis, PostgreSQL, the journal and all actors work",
                {200: ReadyAnswer, 503: ReadyAnswer},
                counted=False,
                access=Role.OPEN,
            ),
            Route(
                "GET",
                "/health/agents",
                self.agents,
                "The agents, newest beat first",
                {200: AgentsAnswer, 304: None},
                query=AgentsQuery,
            ),
        ]

    def health(self, _call: Call) -> Answer:
        """Asks nobody."""
        instance = self._peers.instance
        return json_answer(
            HealthAnswer(
                status="ok",
                version=instance.version,
                instance=instance.name,
                env=instance.env,
                uptime_seconds=round(instance.uptime_s, 3),
                websocket_clients=len(self._peers.clients),
                timestamp=utc_now(),
            )
        )

    def ready(self, call: Call) -> Answer:
        """Asks everybody, each for a second at most (PostgreSQL for some).

        Those without a token learn whether it is ready, and no more.
        """
        checks = {
            "redis": _checked(self._redis),
            "postgres": _checked(self._postgres),
            "journal": _checked(self._journal),
            "actors": _checked(self._actors),
        }
        ok = all(check.ok for check in checks.values())
        if caller_in(call.environ).role < Role.VIEWER:
            checks = {}
        answer = ReadyAnswer("ok" if ok else "unavailable", checks, utc_now())
        return json_answer(answer, 200 if ok else 503)

    def agents(self, call: Call) -> Answer:
        """The registry."""
        wanted: AgentsQuery = call.query
        question = GetAgents(group=wanted.group, status=wanted.status, alive=wanted.alive)
        agents: Agents = ask(self._peers.monitor, question)
        answer = AgentsAnswer("ok", utc_now(), agents.rows, agents.total, agents.active)
        return tagged(call, answer)

    # -- the checks --------------------------------------------------------------------------

    def _redis(self) -> Check:
        status: BusStatus = ask(self._peers.listener, GetBusStatus(), _CHECK_TIMEOUT_S)
        if status.connected:
            return Check(
                ok=True,
                message=f"subscribed since {status.since}",
                latency_ms=_rounded(status.latency_ms),
            )
        return Check(ok=False, message=status.last_error or "not connected yet")

    def _postgres(self) -> Check:
        health = self._peers.database.health()
        latency_ms = _rounded(health.latency_ms)
        error = self._persister().store_error if health.ok else None
        if error is not None:
            return Check(ok=False, message=f"does not store: {error}", latency_ms=latency_ms)
        return Check(ok=health.ok, message=health.message, latency_ms=latency_ms)

    def _journal(self) -> Check:
        status = self._persister()
        if status.journal_error is not None:
            return Check(ok=False, message=status.journal_error)
        if status.ids_left == 0:
            return Check(ok=False, message="no ids in hand, PostgreSQL has to give some")
        message = f"{status.pending} events wait for PostgreSQL" if status.pending else "ok"
        latency_ms = _rounded(status.journal_latency_ms.get("p99"))
        return Check(ok=True, message=message, latency_ms=latency_ms)

    def _persister(self) -> PersisterStatus:
        status: PersisterStatus = ask(self._peers.persister, GetPersisterStatus(), _CHECK_TIMEOUT_S)
        return status

    def _actors(self) -> Check:
        tree: list[Mapping[str, Any]] = ask(self._peers.root, GetTree(), _CHECK_TIMEOUT_S)
        # An agent's troubles are not the daemon's.
        ours = self._peers.agents.name if self._peers.agents is not None else None
        missing = sorted(not_running(tree, but_below=ours))
        if missing:
            return Check(ok=False, message=f"not running: {', '.join(missing)}")
        return Check(ok=True, message="all running")


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
