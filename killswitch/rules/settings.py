"""Section ``[rules.NAME]``: rules that stop by themselves. There are none by default."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ...protocol.patterns import checked
from ...protocol.targets import Level, Target, is_scope

MAX_RULES: Final = 20
"""Each looks at every message on its channels."""
MAX_PATTERNS: Final = 20

Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(checked)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=MAX_PATTERNS)]
RuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]


class RuleSettings(BaseModel):
    """One rule: so many messages within a window, and what is stopped by one more."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["acting", "messages"]
    """``messages``: more than ``messages`` within ``window_s``. ``acting``: the same of messages
    after a stop by agents that have to obey it (with a gate, or in group ``execution``)."""
    messages: int | None = Field(default=None, ge=0, le=1_000_000)
    """So many are allowed within ``window_s``; ``acting``: none unless it says so."""
    window_s: float = Field(default=1.0, ge=0.1, le=3600)
    """The window that moves along. It is counted in a hundred steps or more, and never taken for
    longer than it is."""
    per: Literal["agent", "all"] = "agent"
    """Whether each agent has a count of its own, or all together have one."""
    channels: Patterns = ()
    """Which messages count; none named: all but ``heartbeat.*``, ``risk.*`` and the daemon's own
    (``agent.*``, ``bus.*``, ``runtime.*``)."""
    agents: Patterns = ("*",)
    """Ids of the agents whose messages count."""
    groups: Patterns = ("*",)
    """Their groups; of an agent that has not beaten yet none is known, and only ``*`` means it."""
    level: Level = Level.HALT
    """How hard it stops."""
    scope: str = "all"
    """Whom it stops: ``all``, ``agent`` or ``group`` (those of the message), ``agent:<id>``,
    ``group:<name>``."""
    dry_run: bool = False
    """Whether it only says what it would do: event, log line, metric."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "messages" and self.messages is None:
            raise ValueError("expected messages = N: so many are allowed within window_s")
        if self.scope not in ("agent", "group") and not is_scope(self.scope):
            raise ValueError("expected scope all, agent, group, agent:<id> or group:<name>")
        if self.per == "all" and self.scope in ("agent", "group"):
            raise ValueError(f'expected another scope than {self.scope} with per = "all"')
        return self

    @property
    def limit(self) -> int:
        """So many messages are allowed."""
        return self.messages or 0

    def target(self, agent: str | None, group: str | None) -> Target:
        """What a violation stops; everything, where it is not known whose it was."""
        scope = self.scope
        if scope == "agent":
            scope = f"agent:{agent}" if agent else ""
        elif scope == "group":
            scope = f"group:{group}" if group else ""
        return Target(self.level, scope) if is_scope(scope) else Target(self.level)
