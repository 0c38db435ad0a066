"""A risk check: passes a candidate on as an order, or says why not.

Listens on ``strategy.candidate`` and ``strategy.fill``; publishes ``risk.decision``: symbol,
action, quantity, price, approved (bool), reason.
"""

from collections import defaultdict
from typing import ClassVar

import msgspec
from orchestrator.agents import Agent, Event, TypedEvent, on_event
from orchestrator.agents.payloads import Candidate


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent's options."""

    max_position: float = 50
    """Shares of one symbol, long or short."""
    max_notional: float = 100_000
    """Price times shares of one order."""


class RiskCheck(Agent):
    """Knows the positions from the fills, and what is ordered but not filled."""

    agent_id, name, group = "risk-1", "Risk Check", "orchestration"
    Options: ClassVar[type[msgspec.Struct]] = Limits
    options: Limits

    def on_start(self) -> None:
        """Begin flat."""
        self.positions: defaultdict[str, float] = defaultdict(float)

    @on_event("strategy.candidate", model=Candidate)
    def on_candidate(self, event: TypedEvent[Candidate]) -> None:
        """Decide, and say so either way."""
        wanted = event.payload
        if wanted.action == "HOLD":
            return
        quantity = float(wanted.parameters.get("quantity", 0))
        price = float(wanted.parameters.get("price", 0))
        reason = self.objection(wanted, quantity, price)
        order = {"symbol": wanted.symbol, "action": wanted.action, "quantity": quantity}
        self.publish(
            "risk.decision", order | {"price": price, "approved": not reason, "reason": reason}
        )

    @on_event("strategy.fill")
    def on_fill(self, event: Event) -> None:
        """Count what was filled."""
        fill = event.payload
        self.positions[fill["symbol"]] += signed(fill["action"], fill["quantity"])

    def objection(self, wanted: Candidate, quantity: float, price: float) -> str:
        """Why not; empty if nothing is against it."""
        if quantity <= 0 or price <= 0:
            return "no quantity or no price"
        if quantity * price > self.options.max_notional:
            return f"{quantity * price:.0f} is over {self.options.max_notional:.0f}"
        after = self.positions[wanted.symbol] + signed(wanted.action, quantity)
        if abs(after) > self.options.max_position:
            return f"a position of {after:g} is over {self.options.max_position:g}"
        return ""


def signed(action: str, quantity: float) -> float:
    """Shares bought, negative if sold."""
    return quantity if action == "BUY" else -quantity
