"""``/health``, ``/ready``, ``/whoami`` and ``/health/agents``."""

from typing import Any, cast

from ...actors.broadcaster.clients import Clients
from ...actors.messages.heartbeat_monitor import Agents, GetAgents
from ...protocol.timestamps import utc_now
from ...runtime import Address
from ..auth import Role, caller_in
from ..peers import ASK_TIMEOUT_S, Instance
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .readiness import ReadinessChecks
from .schemas import AgentsAnswer, AgentsQuery, HealthAnswer, ReadyAnswer, WhoAmIAnswer


class HealthRoutes:
    """What load balancers, operators and the dashboard look at first."""

    def __init__(
        self,
        instance: Instance,
        clients: Clients,
        monitor: Address,
        checks: ReadinessChecks,
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

        200 if every check is good, else 503 with the same body, within two seconds: a part that has
        not answered by then is unknown, which is not good. Callers without a token get no details.
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
