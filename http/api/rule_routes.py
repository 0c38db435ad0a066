"""``/rules``: the rules that stop by themselves, and how they stand."""

from typing import Any

import msgspec

from ...killswitch.rules.actor import event_fields
from ...killswitch.rules.findings import Reading
from ...killswitch.rules.rules import Rules, RuleState
from ...protocol.timestamps import utc_now
from ..requests import Call
from ..routes import Route


class RuleReading(msgspec.Struct, frozen=True):
    """How a rule was seen last; of several agents the worst."""

    state: str
    """`good`, `over`, `unknown` (neither stops nor counts as good), `closed` (not its hours)."""
    agent_id: str | None
    """Whose; null where it is about none in particular."""
    value: float | None
    """What is compared with the limit: messages, seconds, errors, or a share from 0 to 1."""
    in_a_row: int
    """Readings over the limit without a good one between."""
    words: str
    """The same in words."""


class RuleRow(msgspec.Struct, frozen=True):
    """One rule."""

    name: str
    """As in `[rules.NAME]`."""
    settings: dict[str, Any]
    """All its settings."""
    violations: int
    """Since the start: each agent that was over the limit; of messages once in 10 s."""
    last: dict[str, Any] | None
    """The last event about it since the start, as `risk.rule` has it, with `timestamp`."""
    trips: tuple[str, ...]
    """Ids of the stops that it engaged and that are in force."""
    reading: RuleReading | None
    """The last; null before the first."""


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
        return RulesAnswer("ok", utc_now(), tuple(map(_row, self._rules.states())))


def _row(state: RuleState) -> RuleRow:
    standing, seen = state.standing, state.reading
    last = standing.last
    return RuleRow(
        state.name,
        state.settings.model_dump(mode="json", by_alias=True),
        standing.violations,
        None if last is None else event_fields(last) | {"timestamp": standing.last_at},
        tuple(state.trips),
        None if seen is None else _reading(seen),
    )


def _reading(seen: Reading) -> RuleReading:
    return RuleReading(seen.state, seen.agent, seen.value, seen.in_a_row, seen.words)
