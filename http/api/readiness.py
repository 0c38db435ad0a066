"""The checks of ``/ready``: all at once, each with a limit of its own; no answer is no good one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import gevent

from ...actors.messages.event_persister import GetPersisterStatus, PersisterStatus
from ...actors.messages.killswitch import GetKillswitch, KillswitchView
from ...actors.messages.redis_listener import BusStatus, GetBusStatus
from ...killswitch.guard.actor import GetGuard
from ...killswitch.guard.link import GuardStatus
from ...protocol.channels import CANARY_ACL
from ...runtime import Address, GetTree, OrchestratorError, deadline
from ...sql.database import Database
from ...sql.state import TABLE
from ...sql.stop_row import STOP_KEY
from .last_drill import drill_check, last_drill
from .schemas import Check

LIMIT_S: Final = 1.8
"""Of each check: the answer is there within 2 s, whatever hangs."""

PROVEN_S: Final = 5.0
"""So old may be what proves that the bus works; both are looked at each second."""

_ASK_TIMEOUT_S: Final = 1.0


class NoAnswer(OrchestratorError):
    """A part did not answer in time."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"unknown: no answer within {self.limit_s:g} s"


class Probe:
    """One check, which runs once at a time: concurrent callers share its result.

    However many ask while a server hangs, they hold one connection to it, not one each.

    Args:
        name: Of the part.
        check: Waits for it, in a greenlet of its own.
        limit_s: How long.
    """

    def __init__(self, name: str, check: Callable[[], Check], *, limit_s: float = LIMIT_S) -> None:
        self._name = name
        self._check = check
        self._limit_s = limit_s
        self._running: gevent.Greenlet | None = None

    def start(self) -> gevent.Greenlet:
        """The check under way, started if there is none; its value is a :class:`Check`."""
        if self._running is None or self._running.ready():
            self._running = gevent.spawn(self._run)
            self._running.name = f"ready-{self._name}"
        return self._running

    def unknown(self) -> Check:
        """What it is while that is unknown."""
        return Check(ok=False, message=str(NoAnswer(self._limit_s)))

    def _run(self) -> Check:
        try:
            with deadline(self._limit_s, NoAnswer(self._limit_s)):
                return self._check()
        except OrchestratorError as error:
            return Check(ok=False, message=str(error))


def run_all(probes: Mapping[str, Probe], *, limit_s: float = LIMIT_S) -> dict[str, Check]:
    """All of them side by side, by name; waits ``limit_s`` at most."""
    running = {name: probe.start() for name, probe in probes.items()}
    gevent.joinall(list(running.values()), timeout=limit_s)
    return {
        name: greenlet.get() if greenlet.ready() else probes[name].unknown()
        for name, greenlet in running.items()
    }


class ReadinessChecks:
    """The parts of ``/ready``.

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
        checks = {
            "redis": self._redis,
            "postgres": self._postgres,
            "journal": self._journal,
            "actors": self._actors,
            "killswitch": self._stop,
            "guard": self._watch,
            "drill": self._drill,
        }
        self._probes = {name: Probe(name, check) for name, check in checks.items()}

    def run(self) -> dict[str, Check]:
        """All of them, by name; waits 2 s at most."""
        return run_all(self._probes)

    def _redis(self) -> Check:
        status: BusStatus = self._listener.ask(GetBusStatus(), timeout_s=_ASK_TIMEOUT_S)
        return bus_check(status)

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
            GetPersisterStatus(), timeout_s=_ASK_TIMEOUT_S
        )
        return status

    def _stop(self) -> Check:
        view: KillswitchView = self._killswitch.ask(GetKillswitch(), timeout_s=_ASK_TIMEOUT_S)
        if view.unknown is not None:
            return Check(ok=False, message=f"no permit is issued: {view.unknown}")
        if why := self._database.refusals.reason(TABLE, STOP_KEY):
            return Check(ok=False, message=f"PostgreSQL refuses the stop's row: {why}")
        return Check(ok=True, message=view.status)

    def _watch(self) -> Check:
        status: GuardStatus = self._guard.ask(GetGuard(), timeout_s=_ASK_TIMEOUT_S)
        return guard_check(status)

    def _drill(self) -> Check:
        """Never what makes the daemon not ready."""
        try:
            return drill_check(last_drill(self._keeper))
        except OrchestratorError as error:
            return Check(ok=True, message=f"unknown: {error}", warning=True)

    def _actors(self) -> Check:
        tree: list[Mapping[str, Any]] = self._root.ask(GetTree(), timeout_s=_ASK_TIMEOUT_S)
        # An agent's troubles are not the daemon's.
        ours = self._agents.name if self._agents is not None else None
        missing = sorted(not_running(tree, but_below=ours))
        if missing:
            return Check(ok=False, message=f"not running: {', '.join(missing)}")
        return Check(ok=True, message="all running")


def bus_check(status: BusStatus) -> Check:
    """Good while all of it is known: subscribed, to a master, stream and canaries are read."""
    missing = "; ".join(_bus_troubles(status))
    latency_ms = _rounded(status.latency_ms) if status.connected else None
    if missing:
        return Check(ok=False, message=missing, latency_ms=latency_ms)
    return Check(ok=True, message=f"subscribed since {status.since}", latency_ms=latency_ms)


def _bus_troubles(status: BusStatus) -> Iterator[str]:
    if not status.connected:
        yield f"not subscribed: {status.last_error or 'not connected yet'}"
        return
    roles = (status.not_master, *(one.not_master for one in status.subscriptions))
    yield from dict.fromkeys(filter(None, roles))
    stream = status.stream
    if not _recent(stream.read_age_s):
        why = stream.last_error or ("" if stream.reading else "where to read on is not known yet")
        yield f"durable stream {_not_for(stream.read_age_s, 'read')}{why and ': '}{why}"
    for one in status.subscriptions:
        if one.canary_refused is not None:
            yield f"{one.name}: canaries are refused ({one.canary_refused}): {CANARY_ACL}"
        elif one.expects_canary and not _recent(one.canary_age_s):
            yield f"{one.name}: canary {_not_for(one.canary_age_s, 'seen')}"


def _recent(age_s: float | None) -> bool:
    return age_s is not None and age_s <= PROVEN_S


def _not_for(age_s: float | None, done: str) -> str:
    return f"not {done} yet" if age_s is None else f"not {done} for {age_s:.0f} s"


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


def _rounded(latency_ms: float | None) -> float | None:
    return None if latency_ms is None else round(latency_ms, 3)
