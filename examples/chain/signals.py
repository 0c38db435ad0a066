"""Signals: the market's regime and a fresh quote make a trade to suggest.

Listens on ``quant.regime.state`` and ``data.market.*``; publishes ``strategy.candidate``. Its
payloads are typed: what is no regime or no quote is refused before the handler is called.
"""

from orchestrator.agents import Agent, TypedEvent, on_event
from orchestrator.agents.payloads import Candidate, Quote, Regime

LEAST_CONFIDENCE = 0.3


class Signals(Agent):
    """Follows the trend of each symbol while the market is not volatile."""

    agent_id, name, group = "signals-1", "Signals", "signals"

    def on_start(self) -> None:
        """Begin without prices."""
        self.prices: dict[str, float] = {}

    @on_event("data.market.*", model=Quote)
    def on_quote(self, event: TypedEvent[Quote]) -> None:
        """Keep the last price."""
        self.prices[event.payload.symbol] = event.payload.price

    @on_event("quant.regime.state", model=Regime)
    def on_regime(self, event: TypedEvent[Regime]) -> None:
        """Suggest a trade in each symbol that has a trend."""
        regime = event.payload
        if regime.regime == "volatile" or regime.confidence < LEAST_CONFIDENCE:
            return
        for symbol, detail in regime.symbol_details.items():
            if detail.trend != "sideways" and symbol in self.prices:
                self.publish("strategy.candidate", self.candidate(symbol, detail.trend, regime))

    def candidate(self, symbol: str, trend: str, regime: Regime) -> Candidate:
        """What is suggested for one symbol."""
        return Candidate(
            symbol=symbol,
            action="BUY" if trend == "bullish" else "SELL",
            confidence=regime.confidence,
            strategy="trend",
            parameters={"price": self.prices[symbol], "quantity": 10},
        )
