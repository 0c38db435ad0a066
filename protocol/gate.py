"""The gate's rules: when an agent may act (contract, part 1; stop.md, point 4). Pure.

A gate starts shut and is open only under a valid permit. Messages on the bus can only shut it,
or narrow it to what reduces positions.
A permit is renewed each second: the same one read again is not valid for longer than from its first
read, so that neither a clock of Redis that was set back nor a changed expiry prolongs the last one.
All times are the caller's monotonic seconds.
"""

from dataclasses import dataclass
from enum import StrEnum

from .permit import TTL_MS, Permit, permission, valid_until
from .targets import Level, Permission, Target


class Resume(StrEnum):
    """How an agent goes on after a stop."""

    ON_PERMIT = "on_permit"
    """By itself, under a permit of a higher generation."""
    MANUAL = "manual"
    """When that permit also names it in ``resumed``."""


class Shut(StrEnum):
    """Why a gate is shut."""

    NO_PERMIT = "no valid permit"
    STOPPED = "the permit halts it"
    WAITING = "waiting for a permit of a higher generation"
    MANUAL = "waiting to be resumed by hand"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the gate is."""

    permission: Permission
    """What may be done now."""
    why: Shut | None = None
    """Why nothing may."""


class Gate:
    """One agent's gate.

    Not thread-safe: one thread reads permits and hears stops.

    Args:
        agent: the agent's id.
        group: its group.
        resume: how it goes on after a stop.
    """

    def __init__(self, agent: str, group: str, resume: Resume) -> None:
        self._agent = agent
        self._group = group
        self._resume = resume
        self._permit: Permit | None = None
        self._sent_at_s = 0.0
        self._until = 0.0
        self._halted_under: int | None = None
        self._reduced_under: int | None = None

    @property
    def generation(self) -> int:
        """Of the last valid permit; 0 before the first."""
        return self._permit.generation if self._permit else 0

    def heard(self, target: Target) -> bool:
        """A stop on the bus; returns whether it concerns this agent.

        It holds at once, and until a permit of a higher generation says otherwise.
        """
        if not target.concerns(self._agent, self._group):
            return False
        if target.level is Level.HALT:
            self._halt(self.generation)
        else:
            self._reduced_under = self.generation
        return True

    def read(self, permit: Permit | None, *, pttl_ms: int, sent_at_s: float, now_s: float) -> None:
        """The answer to a read of the key.

        Args:
            permit: what was there, if it was sound.
            pttl_ms: the key's PTTL.
            sent_at_s: when the read was sent.
            now_s: when its answer came.
        """
        if permit is None:
            self._until = 0.0
            return
        same = permit == self._permit
        first_sent_at_s = self._sent_at_s if same else sent_at_s
        until = min(
            valid_until(permit, pttl_ms, sent_at_s), valid_until(permit, TTL_MS, first_sent_at_s)
        )
        if until <= now_s:
            self._until = 0.0
            return
        last, self._permit, self._until = self._permit, permit, until
        self._sent_at_s = first_sent_at_s
        if last is None:
            self._begin(permit)
        elif permit.releases > last.releases:
            self._halt(last.generation)
        if self._permitted(permit) is Permission.HALT:
            self._halt(permit.generation)
        if self._may_resume(permit):
            self._halted_under = None
        if permit.generation > (self._reduced_under or 0):
            self._reduced_under = None

    def verdict(self, now_s: float) -> Verdict:
        """How the gate is now."""
        if self._permit is None or now_s >= self._until:
            return Verdict(Permission.HALT, Shut.NO_PERMIT)
        if self._permitted(self._permit) is Permission.HALT:
            return Verdict(Permission.HALT, Shut.STOPPED)
        if self._halted_under is None:
            return Verdict(self._permitted(self._permit))
        higher = self._permit.generation > self._halted_under
        return Verdict(Permission.HALT, Shut.MANUAL if higher else Shut.WAITING)

    def _begin(self, permit: Permit) -> None:
        """A stop before this start may have halted it: it then waits for a person as before."""
        by_hand = self._resume is Resume.MANUAL
        if by_hand and permit.releases and not permit.resumed_under(self._agent):
            self._halt(permit.generation - 1)

    def _permitted(self, permit: Permit) -> Permission:
        permitted = permission(permit, self._agent, self._group)
        heard = self._reduced_under is not None and permitted is Permission.ALLOWED
        return Permission.REDUCE if heard else permitted

    def _halt(self, generation: int) -> None:
        self._halted_under = max(generation, self._halted_under or 0)

    def _may_resume(self, permit: Permit) -> bool:
        if self._halted_under is None or permit.generation <= self._halted_under:
            return False
        by_hand = permit.resumed_under(self._agent) > self._halted_under
        return by_hand or self._resume is Resume.ON_PERMIT
