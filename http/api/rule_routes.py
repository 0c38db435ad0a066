"""``/rules``: the rules that stop by themselves, and how they stand."""

from typing import Any

import msgspec

from ...killswitch.rules.actor import event_fields
from ...killswitch.rules.rules import Rules
from ...protocol.timestamps import utc_now
from ..requests import Call
from ..routes import Route


class RuleRow(msgspec.Struct, frozen=True):
    """One rule."""

    name: str
    """As in `[rules.NAME]`."""
    settings: dict[str, Any]
    """All its settings."""
    violations: int
    """Since the start: each agent that was over the limit, once in 10 s."""
    last: dict[str, Any] | None
    """The last event about it since the start, as `risk.rule` has it, with `timestamp`."""
    trips: tuple[str, ...]
    """Ids of the stops that it engaged and that are in force."""


class RulesAnswer(msgspec.Struct, frozen=True):
    """All rules."""

    status: str
    timestamp: str
    rules: tuple[RuleRow, ...]


class RuleRoutes:
    """The rules over REST."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @Route("GET", "/rules", {200: RulesAnswer})
    def rules(self, call: Call) -> RulesAnswer:  # noqa: ARG002 handlers get the call
        """The rules that stop by themselves (`[rules.NAME]`), and how they stand."""
        rows = []
        for name, settings, standing, trips in self._rules.standings():
            last = standing.last
            fields = last and event_fields(last) | {"timestamp": standing.last_at}
            said = settings.model_dump(mode="json")
            rows.append(RuleRow(name, said, standing.violations, fields or None, tuple(trips)))
        return RulesAnswer("ok", utc_now(), tuple(rows))
