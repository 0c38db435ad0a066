"""Receipts: which agents must acknowledge a stop, who has halted, who is quiet. Pure.

A receipt is a heartbeat of an agent that keeps to a trip. It counts for every such trip in the
agent's scope that was in force when it was sent: up to the one that it names, or, if it names none
of ours, all that are in force.

=====================================  ==========  ============================
the beat says                          ``halt``    ``reduce``
=====================================  ==========  ============================
gate shut; without a gate: ``halted``  receipt     receipt
gate open, ``permission`` ``reduce``   taken back  receipt
gate open, ``permission`` ``allowed``  taken back  taken back
gate open, no ``permission``           taken back  receipt, if it names the trip
no gate, not ``halted``                taken back  taken back
=====================================  ==========  ============================

Level and agent decide, not the scope, nor whether the daemon manages the agent. All times are
monotonic seconds of the daemon.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ..actors.messages.killswitch import EXECUTION, Effective, Hearing, Sender, Standing
from ..protocol.heartbeat import GateBeat
from ..protocol.permit import TTL_MS
from ..protocol.targets import Permission
from ..protocol.trips import Stop, Trip, effective

ALERT_S: Final = 2.0
"""A receipt that is missing after this is worth an alert."""
END_S: Final = TTL_MS / 1000 + 1.0
"""A managed agent whose gate has been silent for so long after a stop is ended."""
KNOWN_AFTER_S: Final = 6.0
"""After so long of hearing it is known which agents there are: they beat every 5 s (contract)."""
REACHABLE_INTERVALS: Final = 3
"""An agent is unreachable when this many of its beats are missing, as in ``/health/agents``."""
MAX_AGENTS: Final = 10_000
"""Ids come from the bus: a hostile publisher must not fill the memory."""


_NO_BEAT: Final = GateBeat("active")


@dataclass(slots=True)
class Receipt:
    """One agent's answer to one trip."""

    agent: str
    """Who."""
    trip_id: str
    """To which trip."""
    halted_s: float
    """From the trip to the receipt."""
    quiet_s: float | None = None
    """From the trip until it was quiet; ``None`` if it is not yet."""

    def fields(self) -> dict[str, Any]:
        """For the log."""
        quiet_s = self.quiet_s and round(self.quiet_s, 3)
        halted_s = round(self.halted_s, 3)
        return {
            "agent": self.agent,
            "trip_id": self.trip_id,
            "halted_s": halted_s,
            "quiet_s": quiet_s,
        }


@dataclass(slots=True)
class _Agent:
    sender: Sender
    beat: GateBeat
    beat_at: float
    is_heard: bool = True
    """False: the registry alone knows it; since then."""
    receipts: dict[str, Receipt] = field(default_factory=dict)

    @property
    def must(self) -> bool:
        return must_obey(self.sender, self.beat)

    def concerned(self, trips: Iterable[Trip]) -> list[Trip]:
        if self.beat.status == "inactive":  # it has ended, and said so
            return []
        name, group = self.sender.agent, self.sender.group
        return [trip for trip in trips if trip.target.concerns(name, group)]

    def missing(self, trips: Iterable[Trip]) -> list[Trip]:
        return [trip for trip in self.concerned(trips) if trip.id not in self.receipts]

    def is_reachable(self, now: float) -> bool:
        return now - self.beat_at <= REACHABLE_INTERVALS * self.sender.interval_s


class Receipts:
    """What the agents have said about the trips in force."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}
        self._since: dict[str, float] = {}
        self._hears_since: float | None = None

    def hearing(self, said: Hearing, now: float) -> None:
        """Whether beats are heard, and who should beat."""
        if not said.hears:
            self._hears_since = None
            return
        self._hears_since = now if self._hears_since is None else self._hears_since
        for sender in said.expected:
            if sender.agent not in self._agents and len(self._agents) < MAX_AGENTS:
                self._agents[sender.agent] = _Agent(sender, _NO_BEAT, now, is_heard=False)

    def is_known(self, now: float) -> bool:
        """Whether all agents that there are have had the time to be heard."""
        return self._hears_since is not None and now - self._hears_since >= KNOWN_AFTER_S

    def observe(self, stop: Stop, now: float) -> None:
        """Note what is in force; to be called at once when that changes."""
        in_force = {trip.id for trip in stop.trips}
        self._since = {name: self._since.get(name, now) for name in in_force}
        for agent in self._agents.values():
            for trip_id in agent.receipts.keys() - in_force:
                del agent.receipts[trip_id]

    def heard(self, sender: Sender, beat: GateBeat, stop: Stop, now: float) -> list[Receipt]:
        """A heartbeat that came ``now``; returns the receipts that are new, or quiet now."""
        agent = self._agents.get(sender.agent)
        if agent is None:
            if len(self._agents) >= MAX_AGENTS:
                return []
            agent = self._agents[sender.agent] = _Agent(sender, beat, now)
        agent.sender, agent.beat, agent.beat_at, agent.is_heard = sender, beat, now, True
        covered = {trip.id: trip for trip in _covered(beat, agent.concerned(stop.trips), stop)}
        if not beat.is_halted:
            agent.receipts = {name: r for name, r in agent.receipts.items() if name in covered}
        return [
            changed
            for trip_id in covered
            if (changed := self._note(agent, trip_id, now)) is not None
        ]

    def has_gate(self, agent: str) -> bool:
        """Whether the agent's beats say that it has a gate."""
        known = self._agents.get(agent)
        return known is not None and known.beat.gate is not None

    def gated(self, now: float) -> list[str]:
        """Agents with a gate that beat."""
        return [
            name
            for name, agent in self._agents.items()
            if agent.beat.gate and agent.beat.status != "inactive" and agent.is_reachable(now)
        ]

    def group_of(self, agent: str) -> str | None:
        """The agent's group, if it has been heard."""
        known = self._agents.get(agent)
        return None if known is None else known.sender.group

    def forget(self, agent: str) -> None:
        """The agent was retired."""
        self._agents.pop(agent, None)

    def standing(self, trips: Iterable[Trip], now: float) -> Standing:
        """How the agents stand to some trips in force: each to those that concern it."""
        trips = tuple(trips)
        kinds: dict[str, list[str]] = {}
        for name, agent in sorted(self._agents.items()):
            for kind in _kinds(agent, trips, now):
                kinds.setdefault(kind, []).append(name)
        found: Any = {kind: tuple(names) for kind, names in kinds.items()}
        return Standing(**found, known=self.is_known(now))

    def effective(self, agent: str, stop: Stop, *, unknown: bool) -> Effective:
        """What an agent may do; ``unknown``: it cannot be known what is in force."""
        group = self.group_of(agent)
        trips = tuple(trip for trip in stop.trips if trip.target.concerns(agent, group))
        permission = effective(stop, agent, group)
        unknown = unknown and permission is not Permission.HALT
        says: Any = "unknown" if unknown else permission.value
        return Effective(says, trips, self.has_gate(agent))

    def receipts(self, trip_id: str) -> list[Receipt]:
        """All answers to one trip, the fastest first."""
        found = (agent.receipts.get(trip_id) for agent in self._agents.values())
        return sorted((r for r in found if r is not None), key=lambda r: (r.halted_s, r.agent))

    def overdue(self, stop: Stop, now: float, after_s: float = ALERT_S) -> list[str]:
        """Agents that must acknowledge and have not for ``after_s``."""
        late = [trip for trip in stop.trips if now - self._since.get(trip.id, now) >= after_s]
        known = self.is_known(now)
        return [
            name
            for name, agent in sorted(self._agents.items())
            if agent.must and (known or agent.is_heard) and agent.missing(late)
        ]

    def to_end(self, stop: Stop, managed: Collection[str], now: float) -> list[str]:
        """Managed agents to be ended: they have a gate, and it has said nothing to the stop."""
        late = self.overdue(stop, now, END_S)
        return [
            name for name in late if name in managed and self._agents[name].beat.gate is not None
        ]

    def _note(self, agent: _Agent, trip_id: str, now: float) -> Receipt | None:
        taken_s = now - self._since.get(trip_id, now)
        known = agent.receipts.get(trip_id)
        receipt = known or Receipt(agent.sender.agent, trip_id, taken_s)
        agent.receipts[trip_id] = receipt
        if agent.beat.is_quiet and receipt.quiet_s is None:
            receipt.quiet_s = taken_s
            return receipt
        if not agent.beat.is_quiet:
            receipt.quiet_s = None
        return receipt if known is None else None


def must_obey(sender: Sender, beat: GateBeat) -> bool:
    """Whether an agent that beats so has to acknowledge stops: others may not know of them."""
    return beat.gate is not None or sender.group == EXECUTION


def _covered(beat: GateBeat, trips: list[Trip], stop: Stop) -> list[Trip]:
    """Those of ``trips`` that a beat acknowledges."""
    named = None if beat.trip_id is None else stop.named(beat.trip_id)
    if named is not None:
        trips = [trip for trip in trips if trip.order <= named.order]
    elif beat.trip_id is not None and stop.released(beat.trip_id) is not None:
        trips = [trip for trip in trips if trip.id <= beat.trip_id]  # sent before later ones
    return [trip for trip in trips if _obeys(beat, trip, is_named=named is not None)]


def _obeys(beat: GateBeat, trip: Trip, *, is_named: bool) -> bool:
    obeys = beat.obeys(trip.target.level)
    return is_named if obeys is None else obeys


def _kinds(agent: _Agent, trips: tuple[Trip, ...], now: float) -> list[str]:
    concerned = agent.concerned(trips)
    if not concerned:
        return []
    if not agent.missing(trips):
        quiet = all(agent.receipts[trip.id].quiet_s is not None for trip in concerned)
        return ["acknowledged", "quiet"] if quiet else ["acknowledged"]
    if not agent.must:
        return ["without_gate"]
    return ["pending"] if agent.is_reachable(now) else ["unreachable"]
