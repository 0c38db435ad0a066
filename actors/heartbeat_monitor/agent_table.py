"""The registry's rules: which agents there are, how they are, and who is gone (contract, part 1).

Pure: every call is given ``now`` in monotonic seconds, nothing here looks at a clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat

from ...protocol.heartbeat import normal_status
from ...protocol.look_alikes import look_alikes
from ...protocol.patterns import TypeMatcher, checked
from ...sql.registry import AgentRow
from ..events import HEARTBEAT_PREFIX, Event
from ..fields import FieldReader
from ..messages.heartbeat_monitor import AgentView, Liveness
from ..messages.killswitch import Sender
from ..payloads import MAX_NAME_BYTES
from .changes import Change
from .instances import Instances

DEFAULT_INTERVAL_S: Final = 5.0
"""How often an agent beats that does not say otherwise."""

LATE_AFTER_INTERVALS: Final = 3
"""An agent is late when this many of its beats are missing."""

MAX_AGENTS: Final = 10_000
"""Ids come from the bus: a hostile publisher must not fill the memory."""

ERROR_LIMIT: Final = 2_000
"""Characters of an agent's last error that are kept."""

LABEL_CHARS: Final = MAX_NAME_BYTES
"""Characters of an agent's name, group and version that are kept: as many as a scope may name."""


REMOVED: Final = "removed"
"""The kind of an agent that is not in the settings any more, unless it runs elsewhere."""


class RegistrySettings(BaseModel):
    """``[registry]``: when an agent counts as gone."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    timeout_s: PositiveFloat = 300.0
    """Seconds without a heartbeat after which an agent is inactive."""
    group_timeouts: dict[Annotated[str, AfterValidator(checked)], PositiveFloat] = Field(
        default_factory=dict
    )
    """Other timeouts for some groups; a key may be a pattern (``signals*``)."""


class Beat(msgspec.Struct):
    """The fields of a heartbeat that are read; of any type, since anybody may publish one."""

    agent_id: object = None
    name: object = None
    group: object = None
    status: object = None
    interval_s: object = None
    version: object = None
    boot: object = None
    error: object = None
    last_error: object = None


class _Agent:
    """An agent's row, and when it was last heard of."""

    __slots__ = (
        "beat_at", "id_note", "instances", "interval_s", "liveness", "row", "several", "version"
    )  # fmt: skip

    def __init__(self, row: AgentRow, beat_at: float) -> None:
        self.row = row
        self.beat_at = beat_at
        self.interval_s = DEFAULT_INTERVAL_S
        self.version: str | None = None
        self.liveness: Liveness | None = None
        self.id_note = look_alikes(row.id)
        self.instances = Instances()
        self.several = False


_read_fields = FieldReader(Beat)


class AgentTable:
    """All agents that were ever heard of.

    Args:
        settings: The timeouts.
        kinds: ``process`` or ``in_process`` by the ids of the agents this daemon manages,
            ``removed`` of those it managed before its settings changed; looked at each time.
    """

    def __init__(self, settings: RegistrySettings, kinds: Mapping[str, str] | None = None) -> None:
        self.use(settings)
        self._kinds = {} if kinds is None else kinds
        self._agents: dict[str, _Agent] = {}
        self._dirty: set[str] = set()
        self._visible_since: float | None = None
        self.refused = 0
        """Beats of new agents that came when the table was full."""

    def use(self, settings: RegistrySettings) -> None:
        """Measure by these timeouts from now on."""
        self._settings = settings
        self._groups = TypeMatcher(settings.group_timeouts)

    def __contains__(self, agent_id: str) -> bool:
        return agent_id in self._agents

    def __len__(self) -> int:
        return len(self._agents)

    # -- what comes in -----------------------------------------------------------------------

    def load(self, rows: Iterable[AgentRow], *, now: float, wall: datetime) -> list[Change]:
        """Take rows of a former run, or of another program; what was heard since then stands.

        Returns:
            A change for each agent that is new or seen later than we heard of it.
        """
        changes = []
        for row in rows:
            agent = self._agents.get(row.id)
            if agent is None:
                if len(self._agents) >= MAX_AGENTS:
                    self.refused += 1
                    continue
                agent = self._agents[row.id] = _Agent(row, now)
            elif (row.last_beat or "") <= (agent.row.last_beat or ""):
                continue
            agent.row = row
            agent.beat_at = now - max(0.0, _age_s(row.last_beat, wall))
            agent.liveness = self._liveness(agent, now)
            changes.append(Change(row.id, None, "written by another program"))
        return changes

    def set_visible(self, visible: bool, *, now: float) -> None:  # noqa: FBT001 a state, not an option
        """Note whether the daemon sees the bus; when it sees it again, all timeouts restart."""
        if not visible:
            self._visible_since = None
        elif self._visible_since is None:
            self._visible_since = now

    def beat(self, event: Event, *, now: float) -> Change | None:
        """Take one heartbeat; return what changed, if that is worth telling."""
        beat = _read(event.payload)
        agent_id = _text(beat.agent_id) or _suffix(event)
        agent = self._agents.get(agent_id)
        if agent is None and len(self._agents) >= MAX_AGENTS:
            self.refused += 1
            return None
        before = None if agent is None else agent.row.status
        was_timed_out = agent is not None and agent.liveness is Liveness.DOWN
        if agent is None:
            row = AgentRow(agent_id, agent_id, "unknown", "active", None, None)
            agent = self._agents[agent_id] = _Agent(row, now)
        self._apply(agent, beat, event.ts, now)
        change = _change(agent.row, before, was_timed_out=was_timed_out)
        if change is None or change.event_type is None:  # else the next beat tells it
            change = self._crowding(agent, now) or change
        return change

    def sender_of(self, event: Event) -> Sender | None:
        """Who sent a heartbeat that was taken; ``None`` if the table was full."""
        agent = self._agents.get(_text(_read(event.payload).agent_id) or _suffix(event))
        return None if agent is None else _sender(agent)

    def _apply(self, agent: _Agent, beat: Beat, ts: str, now: float) -> None:
        row = agent.row
        status = normal_status(str(beat.status))
        said = _text(beat.error, ERROR_LIMIT) or _text(beat.last_error, ERROR_LIMIT)
        error = said or "not said"
        agent.row = msgspec.structs.replace(
            row,
            name=_text(beat.name) or row.name,
            agent_group=_text(beat.group) or row.agent_group,
            status=status,
            last_beat=ts,
            last_error=error if status == "error" else row.last_error,
        )
        agent.beat_at = now
        agent.version = _text(beat.version) or agent.version
        agent.interval_s = _interval(beat.interval_s)
        agent.liveness = self._liveness(agent, now)
        agent.instances.heard(beat.boot, now=now, ended=status == "inactive")
        self._dirty.add(row.id)

    def _crowding(self, agent: _Agent, now: float) -> Change | None:
        """What to tell when several processes begin, or cease, to beat under one id."""
        count = self._instances(agent, now)
        several, agent.several = agent.several, count > 1
        if several == agent.several:
            return None
        if several:
            return Change(agent.row.id, None, "one process again")
        return Change(agent.row.id, "agent.error", f"{count} processes beat under this id")

    def _instances(self, agent: _Agent, now: float) -> int:
        return agent.instances.count(now=now, silent_s=LATE_AFTER_INTERVALS * agent.interval_s)

    # -- the passing of time -----------------------------------------------------------------

    def check(self, *, now: float) -> list[Change]:
        """Find the agents whose look has changed by the mere passing of time.

        Those not heard of for their timeout become ``inactive``; none does before the bus
        has been visible for one whole timeout.
        """
        changes = []
        for agent in self._agents.values():
            row = agent.row
            if row.status != "inactive" and self._timed_out(agent, now):
                agent.row = msgspec.structs.replace(row, status="inactive")
                self._dirty.add(row.id)
                timeout_s = self._timeout_s(row)
                agent.liveness = Liveness.DOWN
                changes.append(Change(row.id, "agent.offline", f"no heartbeat for {timeout_s:g} s"))
                continue
            liveness = self._liveness(agent, now)
            if liveness is not agent.liveness:
                agent.liveness = liveness
                changes.append(Change(row.id, None, liveness.value))
        return changes

    def _timed_out(self, agent: _Agent, now: float) -> bool:
        if self._visible_since is None:
            return False
        return now - max(agent.beat_at, self._visible_since) > self._timeout_s(agent.row)

    def _timeout_s(self, row: AgentRow) -> float:
        pattern = self._groups.first(row.agent_group or "")
        if pattern is None:
            return self._settings.timeout_s
        return self._settings.group_timeouts[pattern]

    def _liveness(self, agent: _Agent, now: float) -> Liveness:
        if agent.row.status == "inactive":
            return Liveness.DOWN
        if self._visible_since is None:
            return Liveness.UNKNOWN
        if now - agent.beat_at > self._timeout_s(agent.row):
            return Liveness.DOWN if self._timed_out(agent, now) else Liveness.UNKNOWN
        late_after_s = LATE_AFTER_INTERVALS * agent.interval_s
        return Liveness.LATE if now - agent.beat_at > late_after_s else Liveness.UP

    # -- what goes out -----------------------------------------------------------------------

    def take_dirty(self) -> list[AgentRow]:
        """The rows that changed since the last call, to be written."""
        rows = [self._agents[agent_id].row for agent_id in self._dirty]
        self._dirty.clear()
        return rows

    def mark_dirty(self, rows: Iterable[AgentRow]) -> None:
        """Give rows back that could not be written."""
        self._dirty.update(row.id for row in rows)

    def count_alive(self, *, now: float) -> int:
        """Agents with a beat within their timeout that were not said to be offline."""
        return sum(self._is_alive(agent, now) for agent in self._agents.values())

    def alive_in(self, group: str, *, now: float) -> tuple[Sender, ...]:
        """The agents of a group that count as alive."""
        found = (agent for agent in self._agents.values() if agent.row.agent_group == group)
        return tuple(_sender(agent) for agent in found if self._is_alive(agent, now))

    def view(self, agent_id: str, *, now: float) -> AgentView:
        """One agent; ``KeyError`` if it is unknown."""
        return self._view(self._agents[agent_id], now)

    def views(self, *, now: float) -> Iterator[AgentView]:
        """All agents, the newest beat first; others may be heard of meanwhile."""
        agents = sorted(self._agents.values(), key=lambda agent: agent.beat_at, reverse=True)
        return (self._view(agent, now) for agent in agents)

    def _is_alive(self, agent: _Agent, now: float) -> bool:
        heard = agent.row.last_beat is not None and agent.row.status != "inactive"
        return heard and now - agent.beat_at <= self._timeout_s(agent.row)

    def _view(self, agent: _Agent, now: float) -> AgentView:
        row, alive = agent.row, self._is_alive(agent, now)
        kind = self._kinds.get(row.id, "external")
        return AgentView(
            id=row.id,
            name=row.name,
            agent_group=row.agent_group,
            status=row.status,
            last_beat=row.last_beat,
            last_error=row.last_error,
            is_alive=alive,
            seconds_since_beat=int(now - agent.beat_at) if row.last_beat else None,
            liveness=self._liveness(agent, now),
            kind="external" if alive and kind == REMOVED else kind,
            interval_s=agent.interval_s,
            version=agent.version,
            id_note=agent.id_note,
            instances=self._instances(agent, now),
        )


def _sender(agent: _Agent) -> Sender:
    return Sender(agent.row.id, agent.row.agent_group or "", agent.interval_s)


def _read(payload: bytes) -> Beat:
    try:
        return _read_fields(payload)
    except msgspec.ValidationError:  # JSON, but no object: a beat all the same
        return Beat()


def _change(row: AgentRow, before: str | None, *, was_timed_out: bool) -> Change | None:
    if before is None:
        reason = "first heartbeat" if row.status != "error" else row.last_error or "error"
        return Change(row.id, "agent.error" if row.status == "error" else "agent.online", reason)
    if row.status == before and not was_timed_out:
        return None
    if row.status == "error":
        return Change(row.id, "agent.error", row.last_error or "error")
    if row.status == "inactive":
        return Change(row.id, "agent.offline", "it said so")
    if before == "inactive" or was_timed_out:
        return Change(row.id, "agent.online", "heartbeat after silence")
    return Change(row.id, None, row.status)


def _suffix(event: Event) -> str:
    if event.channel is not None and event.channel.startswith(HEARTBEAT_PREFIX):
        return event.channel.removeprefix(HEARTBEAT_PREFIX)
    return event.source or "unknown"


def _text(value: object, limit: int = LABEL_CHARS) -> str | None:
    return value[:limit] if isinstance(value, str) and value else None


def _interval(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    return DEFAULT_INTERVAL_S


def _age_s(last_beat: str | None, wall: datetime) -> float:
    """Seconds since then; 0 for a time of another program's that no calendar here has."""
    try:
        return (wall - datetime.fromisoformat(last_beat)).total_seconds() if last_beat else 0.0
    except (ValueError, TypeError):
        return 0.0
