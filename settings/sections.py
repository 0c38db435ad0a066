"""The sections of the settings that belong to the daemon as a whole, and the types in them."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from ..protocol.channels import CONTROL_PATTERNS, DATA_PATTERNS
from ..protocol.patterns import checked
from ..runtime.policy import RestartLimits
from .urls import redis_problem

EMBEDDED = "embedded"
"""In place of a URL: start a server of our own."""
SYSTEM_DATA_DIR = Path("/var/lib/orchestrator")
DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def default_data_dir() -> Path:
    """Root's is reachable for the accounts of servers; other users have their own."""
    if os.geteuid() == 0:
        return SYSTEM_DATA_DIR
    return Path(platformdirs.user_data_dir("orchestrator", appauthor=False))


def parse_duration(value: object) -> object:
    """``90s``, ``5m``, ``12h``, ``7d`` or ``4w`` as a timedelta; anything else is refused."""
    if isinstance(value, timedelta):
        return value
    found = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not int(found[1]):
        raise ValueError("expected a duration such as 90s, 5m, 12h, 7d or 4w")
    return timedelta(**{DURATION_UNITS[found[2]]: int(found[1])})


def duration_text(kept: timedelta) -> str:
    """The shortest way to write it: ``7d``, ``90s``."""
    seconds = int(kept.total_seconds())
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0 and (unit != "w" or seconds > size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def split_commas(value: object) -> object:
    """``a, b`` as a list; lists stay."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _check_redis_url(url: str) -> str:
    if url != EMBEDDED and (problem := redis_problem(url)):
        raise ValueError(problem)
    return url


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Pattern = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S+$"), AfterValidator(checked)
]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(split_commas), Field(min_length=1)]
AgentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class InstanceSettings(Section):
    """``[instance]``: which daemon this is, for people who run several."""

    name: str = Field(default="orchestrator", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Shown to clients."""
    env: str = Field(default="dev", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    """``dev``, ``paper``, ``live``, …: shown to clients; some commands ask first in ``live``."""


class DataSettings(Section):
    """``[data]``: where the journal, the latch and embedded servers keep their files."""

    dir: Path = Field(default_factory=default_data_dir)
    """A relative one is relative to the settings file, or to the current folder in a variable."""


class RedisSettings(Section):
    """``[redis]``."""

    url: Annotated[str, AfterValidator(_check_redis_url)] = "redis://127.0.0.1:6379/0"
    """Where Redis or Valkey is; or ``embedded``."""
    url_file: Path | None = None
    """A file that holds ``url``, instead, as secrets of container engines; read at the start."""
    connect_timeout_s: float = Field(default=5.0, ge=0.1, le=60)
    """Limit of one attempt to connect."""
    strict: bool = False
    """Do not run on a server whose settings endanger events (output buffer, eviction,
    append-only file), or that does not say; otherwise the log warns."""


class BusSettings(Section):
    """``[bus]``: the channels the daemon subscribes to, ``*`` standing for any characters."""

    control_patterns: Patterns = CONTROL_PATTERNS
    """Read on a connection of their own, so that no burst delays a stop."""
    data_patterns: Patterns = DATA_PATTERNS
    """All the rest."""
    stream_read_entries: int = Field(default=500, ge=1, le=10_000)
    """Entries of the durable stream that one read asks for at most."""
    stream_read_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024)
    """What one read should bring at most, by the size of those before; four reads may wait for the
    journal in memory."""
    stream_trim_s: float = Field(default=5.0, ge=0.1, le=3600)
    """How often what is committed in PostgreSQL is trimmed off the stream."""


class SupervisorSettings(Section):
    """``[supervisor]``: how often and how fast failed actors are restarted."""

    intensity: int = Field(default=10, ge=1, le=1000)
    """Restarts within ``period_s`` before the supervisor gives up."""
    period_s: float = Field(default=60.0, ge=1, le=3600)
    """The window of ``intensity``."""
    backoff_initial_s: float = Field(default=0.1, ge=0.001, le=60)
    """Delay of the second restart in a row; it doubles from there."""
    backoff_max_s: float = Field(default=30.0, ge=0.1, le=3600)
    """Where the doubling ends."""
    healthy_s: float = Field(default=60.0, ge=0, le=3600)
    """An actor that ran this long starts counting from zero: its next restart is immediate."""
    jitter: float = Field(default=0.2, ge=0, le=0.9)
    """Each delay varies by this share, so that many actors do not restart in step."""
    hang_timeout_s: float = Field(default=3.0, ge=0.1, le=300)
    """How long an actor may leave a ping unanswered before it is killed and restarted."""
    stop_s: float = Field(default=60.0, ge=1, le=600)
    """How long a whole stop may take; agents, which are stopped first, get half of it at most."""

    def limits(self) -> RestartLimits:
        """The same for the runtime."""
        return RestartLimits(**self.model_dump(exclude={"hang_timeout_s", "stop_s"}))
