"""Section ``[rules.NAME]``: rules that stop by themselves. There are none by default."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ...actors.events import HEARTBEAT_PREFIX
from ...protocol.patterns import checked
from ...protocol.targets import Level, Target, is_scope
from .hours import WEEK, Day, Hours, zone_of

MAX_RULES: Final = 20
"""Each looks at every message on its channels."""
MAX_PATTERNS: Final = 20

Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(checked)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=MAX_PATTERNS)]
RuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
EndOfDay = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]

_READ: Final = frozenset({"readings", "every_s"})
_HOURS: Final = frozenset({"days", "begin", "end", "zone"})
_OWN: Final = {
    "messages": frozenset({"messages", "window_s"}),
    "acting": frozenset({"messages", "window_s"}),
    "silence": frozenset({"silent_s"}) | _READ | _HOURS,
    "errors": frozenset({"errors", "max_share", "max_errors", "min_events", "window_s"}) | _READ,
}
"""The keys that not all kinds have."""


class RuleSettings(BaseModel):
    """One rule: what it looks at, what is too much of it, and what is stopped then."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["acting", "messages", "silence", "errors"]
    """``messages``: more than ``messages`` within ``window_s``. ``acting``: the same of messages
    after a stop by agents that have to obey it (with a gate, or in group ``execution``).
    ``silence``: no message for ``silent_s``. ``errors``: too many messages are errors."""
    messages: int | None = Field(default=None, ge=0, le=1_000_000)
    """``messages``, ``acting``: how many are allowed within ``window_s``; ``acting``: none unless
    it says so."""
    window_s: float = Field(default=1.0, ge=0.1, le=3600)
    """The window that moves along, of all kinds but ``silence``; ``errors`` has to say it. It is
    counted in a hundred steps or more, and never taken for longer than it is."""
    silent_s: float | None = Field(default=None, ge=1, le=604_800)
    """``silence``: an agent may publish nothing for so long."""
    days: tuple[Day, ...] = Field(default=WEEK, min_length=1, max_length=7)
    """``silence``: on these days only, by the clock of ``zone``; of hours that end on the next day
    the one on which they begin."""
    begin: TimeOfDay = Field(default="00:00", alias="from")
    """``silence``: from this time of the day."""
    end: EndOfDay = Field(default="24:00", alias="to")
    """``silence``: to this time; of the next day if it is not later than ``from``."""
    zone: str = Field(default="UTC", max_length=100)
    """``silence``: whose clock counts, an IANA name such as ``Europe/Berlin``."""
    errors: Patterns = ()
    """``errors``: channels whose messages are errors."""
    max_share: float | None = Field(default=None, ge=0, le=0.99)
    """``errors``: such a share of the messages within ``window_s`` may be errors."""
    max_errors: int | None = Field(default=None, ge=0, le=1_000_000)
    """``errors``: instead of the share, how many errors are allowed within ``window_s``."""
    min_events: int = Field(default=20, ge=1, le=1_000_000)
    """``errors``: of fewer messages within ``window_s`` no share is judged."""
    readings: int = Field(default=3, ge=1, le=100)
    """``silence``, ``errors``: how many readings over the limit in a row break the rule."""
    every_s: float = Field(default=1.0, ge=1, le=3600)
    """``silence``, ``errors``: from one reading to the next."""
    per: Literal["agent", "all"] = "agent"
    """Whether each agent is looked at by itself, or all together: ``all`` with ``groups`` is a
    group."""
    channels: Patterns = ()
    """Which messages count; none named: all but ``heartbeat``, ``risk.*`` and the daemon's own
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
        self._check_keys()
        if any(name.startswith(HEARTBEAT_PREFIX) for name in (*self.channels, *self.errors)):
            raise ValueError('expected "heartbeat" for heartbeats: all are of that one type')
        if self.kind == "messages" and self.messages is None:
            raise ValueError("expected messages = N: how many are allowed within window_s")
        if self.kind == "silence":
            self._check_silence()
        if self.kind == "errors":
            self._check_errors()
        if self.scope not in ("agent", "group") and not is_scope(self.scope):
            raise ValueError("expected scope all, agent, group, agent:<id> or group:<name>")
        if self.per == "all" and self.scope in ("agent", "group"):
            raise ValueError(f'expected another scope than {self.scope} with per = "all"')
        return self

    def _check_keys(self) -> None:
        """A key that means nothing promises what nothing does."""
        for key, field in type(self).model_fields.items():
            kinds = [kind for kind, keys in _OWN.items() if key in keys]
            if kinds and self.kind not in kinds and key in self.model_fields_set:
                name, of = field.alias or key, " or ".join(f'kind = "{kind}"' for kind in kinds)
                raise ValueError(f'{name} means nothing with kind = "{self.kind}", only with {of}')

    def _check_silence(self) -> None:
        if self.silent_s is None:
            raise ValueError("expected silent_s = S: the longest silence, in seconds")
        if self.per == "agent" and self.agents == self.groups == ("*",):
            raise ValueError(
                'expected whom it watches: agents = ["ID"], groups = ["NAME"], or per = "all"'
            )
        zone_of(self.zone)

    def _check_errors(self) -> None:
        if not self.errors:
            raise ValueError('expected errors = ["CHANNEL"]: which messages are errors')
        if (self.max_share is None) is (self.max_errors is None):
            raise ValueError("expected max_share = 0.0 to 0.99 or max_errors = N, one of them")
        if self.max_share is None and "min_events" in self.model_fields_set:
            raise ValueError("min_events means nothing with max_errors, only with max_share")
        if "window_s" not in self.model_fields_set:
            raise ValueError("expected window_s = S: within how many seconds errors are counted")

    @property
    def limit(self) -> float:
        """What is allowed: messages, seconds, errors, or a share."""
        limits = (self.messages, self.silent_s, self.max_share, self.max_errors)
        return next((limit for limit in limits if limit is not None), 0)

    @property
    def reads_every_s(self) -> float | None:
        """From one reading to the next; ``None`` where each message is one."""
        return self.every_s if self.kind in ("silence", "errors") else None

    @property
    def hours(self) -> Hours:
        """When it looks."""
        return Hours(self.days, _minutes(self.begin), _minutes(self.end), zone_of(self.zone))

    def target(self, agent: str | None, group: str | None) -> Target:
        """What a violation stops; everything, where it is not known whose it was."""
        scope = self.scope
        if scope == "agent":
            scope = f"agent:{agent}" if agent else ""
        elif scope == "group":
            scope = f"group:{group}" if group else ""
        return Target(self.level, scope) if is_scope(scope) else Target(self.level)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
