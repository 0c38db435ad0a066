"""The RuleMonitor's place in the tree: there only where ``[rules]`` has any."""

from prometheus_client import Counter

from ..killswitch.rules.actor import RuleMonitor
from ..killswitch.rules.rules import Rules
from ..runtime import Address, ChildSpec
from ..runtime.telemetry.metrics import Metrics
from .addresses import Addresses


class StopRules:
    """What outlives the RuleMonitor.

    Args:
        rules: All of them.
        to: Whom messages go to.
        metrics: The daemon's registry.
    """

    def __init__(self, rules: Rules, to: Addresses, metrics: Metrics) -> None:
        self._rules = rules
        self._to = to
        text = "Agents that were over a rule's limit; of messages each once in 10 s."
        metrics.watch(Counter, "rule_violations", text, self._violations, ("rule",))

    @property
    def address(self) -> Address | None:
        """Who gets heartbeats and canaries, if there are rules."""
        return self._to.rules if len(self._rules) else None

    def consumer(self) -> dict[Address, frozenset[str] | None]:
        """The types of events that the persister offers to it: all, since rules have patterns."""
        return {self._to.rules: None} if len(self._rules) else {}

    def specs(self) -> list[ChildSpec]:
        """The RuleMonitor, if there are rules."""
        return [ChildSpec(self._to.rules, self._monitor)] if len(self._rules) else []

    def _monitor(self) -> RuleMonitor:
        to = self._to
        return RuleMonitor(rules=self._rules, killswitch=to.killswitch, persister=to.persister)

    def _violations(self) -> list[tuple[tuple[str], float]]:
        states = self._rules.states()
        return [((one.name,), float(one.standing.violations)) for one in states]
