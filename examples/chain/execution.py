"""Execution on paper, with a permit: a stop shuts its gate, cancels what works and is answered.

Listens on ``risk.decision``; publishes ``strategy.order`` and ``strategy.fill``. The venue is
made up: it fills an order at its price on the next tick of a timer, unless it was cancelled.
"""

from collections.abc import Iterator
from typing import Any

from orchestrator.agents import Agent, Event, Halt, acts, every, on_event


class PaperVenue:
    """Fills orders when it is asked to."""

    def __init__(self) -> None:
        self.working: dict[str, dict[str, Any]] = {}

    def send(self, order_id: str, order: dict[str, Any]) -> None:
        """Take an order; twice the same id is one order."""
        self.working.setdefault(order_id, order)

    def cancel_all(self) -> list[str]:
        """Cancel what works; returns the ids."""
        ids = list(self.working)
        self.working.clear()
        return ids

    def fills(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Fill everything."""
        while self.working:
            yield self.working.popitem()


class PaperExecution(Agent):
    """Orders what the risk check approves, while it is permitted to."""

    agent_id, name, group = "execution-1", "Paper Execution", "execution"
    acting_channels = ("strategy.order",)  # a fill is a fact, whatever the gate says

    def on_start(self) -> None:
        """Connect to the venue."""
        self.venue = PaperVenue()
        self.causes: dict[str, dict[str, str]] = {}

    @on_event("risk.decision")
    @acts  # not run while a stop is in force, or the permit has run out
    def on_decision(self, event: Event) -> None:
        """Order what is approved."""
        decision = event.payload
        if not decision["approved"]:
            return
        order = {key: decision[key] for key in ("symbol", "action", "quantity", "price")}
        order_id = f"order-{event.id}"  # the same for a decision that comes twice
        self.publish("strategy.order", order | {"id": order_id})
        self.venue.send(order_id, order)
        self.causes[order_id] = event.passed_on() | {"causation_id": order_id}
        self.open_orders = len(self.venue.working)

    @every(0.5)
    def take_fills(self) -> None:
        """Publish what the venue has filled; each fill is caused by its order."""
        for order_id, order in self.venue.fills():
            self.publish("strategy.fill", order | self.causes.pop(order_id))
        self.open_orders = 0

    def on_halt(self, halt: Halt) -> None:
        """The gate has shut: nothing may go on working at the venue."""
        cancelled = self.venue.cancel_all()
        self.open_orders = 0
        self.causes.clear()
        self.log.warning("cancelled %d orders: %s", len(cancelled), halt.why)
