"""Sample: an agent for development, which suggests trades that mean nothing.

Publishes on ``strategy.candidate`` every 10 s: agent_id, symbol, strategy, action
(BUY, SELL, HOLD), score and confidence (0 to 1), parameters (object), timestamp.
"""

import random
from typing import Any, ClassVar

import msgspec

from ..agent import Agent

SYMBOLS = ("STLA", "TSLA", "AAPL", "NVDA", "MSFT", "GOOGL", "AMZN")
"""What the samples trade in."""

STRATEGIES: dict[str, dict[str, Any]] = {
    "momentum": {"lookback": 20, "threshold": 0.02},
    "mean_reversion": {"lookback": 50, "z_score": 2.0},
    "breakout": {"lookback": 30, "volume_factor": 1.5},
}
"""Names and parameters, as a real one might have them."""

HOLD_BELOW = 0.3
"""A score under this is not worth a trade."""


class DevOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the development agent."""

    symbols: tuple[str, ...] = SYMBOLS
    """To choose from."""
    every_s: float = 10.0
    """From candidate to candidate."""
    seed: int | None = None
    """For the same candidates each time."""


def draw_candidate(rng: random.Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    """A candidate without agent_id and timestamp. Pure but for the generator."""
    strategy = rng.choice(list(STRATEGIES))
    score = round(rng.random(), 4)
    return {
        "symbol": rng.choice(symbols),
        "strategy": strategy,
        "action": "HOLD" if score < HOLD_BELOW else rng.choice(("BUY", "SELL")),
        "score": score,
        "confidence": round(rng.uniform(0.5, 0.95), 4),
        "parameters": STRATEGIES[strategy],
    }


class DevAgent(Agent):
    """Suggests a trade every 10 s."""

    agent_id = "dev-agent"
    name = "Development Agent"
    group = "development"
    version = "1.0"
    needs_permit = True
    Options: ClassVar[type[msgspec.Struct]] = DevOptions
    options: DevOptions

    def on_start(self) -> None:
        """Begin with a candidate at once."""
        self._rng = random.Random(self.options.seed)  # noqa: S311 - no secret
        self.call_every(self.options.every_s, self.suggest, at_start=True)

    def suggest(self) -> None:
        """Publish one candidate."""
        candidate = draw_candidate(self._rng, self.options.symbols)
        self.publish("strategy.candidate", {"agent_id": self.agent_id, **candidate})
