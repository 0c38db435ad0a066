"""``doctor agent ID``: why an agent does not appear.

Listens on the bus for a while, also on channels where heartbeats do not belong, and compares what
arrives with the rules of the contract.
"""

import difflib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ...protocol.look_alikes import look_alikes
from ...protocol.patterns import matches
from ..client.rest import Client, cause_of
from ..errors import Failure
from ..formatting import duration, plural, read_iso
from .check_results import CheckResult, critical, ok, unknown, warning
from .redis import connected

PREFIX = "heartbeat."
MAX_MESSAGES = 20_000
"""Bounds the memory on a busy bus."""
MOST_SKEW_S = 5.0
DEFAULT_INTERVAL_S = 5.0
OFFLINE = frozenset({"offline", "stopped", "inactive"})
FLAPPING_S = 180.0
"""An agent that flaps has an event a minute; one that has calmed down is not reported any more."""
MOST_CHANGES = 100
GOOD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass
class Heard:
    """Messages received while listening."""

    beats: list[tuple[str, str, float]] = field(default_factory=list)
    """Channel, text and arrival (Unix seconds) of everything that may be a heartbeat."""
    seconds: float = 0.0
    """Duration of listening, in seconds."""


@dataclass(frozen=True)
class Beat:
    """One heartbeat of the agent, decoded."""

    channel: str
    fields: Mapping[str, Any] | None
    """None if it is not a JSON object."""
    at: float


def check_id(agent_id: str) -> Iterator[CheckResult]:
    """Whether the id is well formed."""
    name = "id"
    if agent_id != agent_id.strip() or not agent_id:
        yield critical(name, f"{agent_id!r} has blanks around it", "take them off in the agent")
    elif not GOOD_ID.fullmatch(agent_id):
        advice = "use letters, digits, dot, dash and underscore"
        said = look_alikes(agent_id) or "has unusual characters"
        yield warning(name, f"{agent_id!r} {said}", advice)
    elif agent_id.startswith(PREFIX):
        advice = f"its id is {agent_id.removeprefix(PREFIX)!r}: the channel is {PREFIX}<id>"
        yield critical(name, f"{agent_id!r} is a channel, not an id", advice)
    else:
        yield ok(name, f"{agent_id!r} is well formed")


def check_registry(client: Client, agent_id: str) -> Iterator[CheckResult]:
    """The agent's entry in the daemon's registry."""
    name = "registry"
    try:
        rows = client.get("/health/agents")["agents"]
    except Failure as failure:
        yield critical(name, f"{failure.message}: {failure.cause}", failure.advice)
        return
    row = next((row for row in rows if row.get("id") == agent_id), None)
    if row is None:
        near = difflib.get_close_matches(agent_id, [str(row.get("id")) for row in rows], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "the lines below tell why"
        yield critical(name, f"unknown to the daemon ({len(rows)} others are known)", hint)
    elif row.get("is_alive"):
        yield ok(name, f"it appears: {row.get('liveness', 'up')}, last beat {row.get('last_beat')}")
    else:
        said = f"known, but {row.get('status')} since its last beat at {row.get('last_beat')}"
        advice = "start it again" if row.get("status") == "inactive" else "see its own log"
        yield critical(name, said, advice)
    yield from _flapping(client, agent_id)
    several = (row or {}).get("instances") or 1
    if several > 1:
        said = f"{several} processes beat under this id"
        yield critical("processes", said, "end all but one, or give each an id of its own")
    yield from _bus(client)


def _flapping(client: Client, agent_id: str) -> Iterator[CheckResult]:
    """Whether its latest changes stand for more than one each: the daemon stores one a minute."""
    since = datetime.fromtimestamp(time.time() - FLAPPING_S, UTC).isoformat()
    question = {"type": "agent.*", "limit": MOST_CHANGES, "from": since, "where": "data.count > 1"}
    try:
        events = client.get("/bus/events", question)["events"]
    except (Failure, KeyError):
        return
    own = [event["payload"] for event in events if event["payload"].get("id") == agent_id]
    if own:
        said = f"it comes and goes: {own[0]['count']} changes in a minute"
        advice = "see its log; two programs under one id, or one that restarts without end"
        yield warning("changes", said, advice)


def _bus(client: Client) -> Iterator[CheckResult]:
    try:
        check = client.ask("GET", "/ready").body["checks"]["redis"]
    except (Failure, KeyError, TypeError):
        return
    if not check.get("ok"):
        advice = "see `orchestrator doctor`"
        yield critical("daemon's bus", f"the daemon does not hear: {check.get('message')}", advice)


def check_patterns(agent_id: str, patterns: Sequence[str]) -> Iterator[CheckResult]:
    """Whether the daemon subscribes to the agent's channel."""
    channel = PREFIX + agent_id
    fitting = [pattern for pattern in patterns if matches(pattern, channel)]
    if fitting:
        yield ok("subscription", f"{channel} matches {fitting[0]}")
    else:
        advice = 'add "heartbeat.*" to bus.control_patterns'
        yield critical("subscription", f"no pattern of [bus] matches {channel}", advice)


def listen(redis_url: str, agent_id: str, seconds: float) -> Heard:
    """Receive all heartbeats, and every message on a channel that names the agent.

    Ends early after two heartbeats of the agent.

    Raises:
        redis.RedisError: the bus is away.
    """
    heard, own = Heard(), 0
    began = time.monotonic()
    named = re.sub(r"([\\?*\[\]])", r"\\\1", agent_id)
    with connected(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as bus:
        bus.psubscribe("*heart*", f"*{named}*")
        while (left_s := began + seconds - time.monotonic()) > 0 and own < 2:  # noqa: PLR2004
            message = bus.get_message(timeout=min(left_s, 1.0))
            if message is None or len(heard.beats) >= MAX_MESSAGES:
                continue
            channel = str(message["channel"])
            heard.beats.append((channel, str(message["data"]), time.time()))
            # A channel that matches both patterns arrives twice; one of them counts.
            own += channel == PREFIX + agent_id and message["pattern"] == "*heart*"
    heard.seconds = time.monotonic() - began
    return heard


def check_bus(redis_url: str, agent_id: str, seconds: float) -> Iterator[CheckResult]:
    """Check the bus by listening."""
    import redis

    try:
        heard = listen(redis_url, agent_id, seconds)
    except (redis.RedisError, ValueError, OSError) as error:
        yield critical("bus", cause_of(error), "see `orchestrator doctor`")
        return
    yield from judge(heard, agent_id)


def judge(heard: Heard, agent_id: str) -> Iterator[CheckResult]:
    """Results that follow from the messages received. Pure."""
    beats = [Beat(channel, _object(text), at) for channel, text, at in heard.beats]
    own = [beat for beat in beats if beat.channel == PREFIX + agent_id]
    if own:
        yield ok("heartbeat", f"heard on {PREFIX}{agent_id}")
        yield from _judge_beat(own[-1], agent_id)
    else:
        yield from _judge_silence(beats, agent_id, heard.seconds)


def _judge_beat(beat: Beat, agent_id: str) -> Iterator[CheckResult]:
    if beat.fields is None:
        advice = 'publish JSON such as {"agent_id": "...", "status": "active"}'
        yield critical("payload", "it is not a JSON object", advice)
        return
    claimed = beat.fields.get("agent_id")
    if isinstance(claimed, str) and claimed and claimed != agent_id:
        said = f"agent_id in it is {claimed!r}: it appears under that id"
        yield critical("payload", said, f"put {agent_id!r} there, or look for {claimed!r}")
    else:
        yield ok("payload", "a JSON object with the right agent_id")
    status = str(beat.fields.get("status") or "active")
    if status in OFFLINE:
        yield critical("status", f"it says of itself that it is {status}", "see its own log")
    yield _skew(beat)


def _skew(beat: Beat) -> CheckResult:
    stamp = (beat.fields or {}).get("timestamp")
    moment = read_iso(stamp)
    if moment is None:
        return unknown("agent's clock", "there is no timestamp in the heartbeat")
    skew_s = (moment - datetime.fromtimestamp(beat.at, UTC)).total_seconds()
    if abs(skew_s) <= MOST_SKEW_S:
        return ok("agent's clock", f"within {duration(abs(skew_s))} of this machine's")
    ahead = "ahead of" if skew_s > 0 else "behind"
    said = f"{duration(abs(skew_s))} {ahead} this machine's (liveness goes by the daemon's)"
    return warning("agent's clock", said, "synchronise both machines; write times in UTC with Z")


def _judge_silence(beats: Sequence[Beat], agent_id: str, seconds: float) -> Iterator[CheckResult]:
    name = "heartbeat"
    elsewhere = next((beat for beat in beats if _is_of(beat, agent_id)), None)
    if elsewhere is not None:
        advice = f"publish it on {PREFIX}{agent_id}"
        yield critical(name, f"it beats on {elsewhere.channel!r}, the wrong channel", advice)
        return
    ids = sorted({beat.channel.removeprefix(PREFIX) for beat in beats if _is_heartbeat(beat)})
    near = [known for known in ids if known.lower() == agent_id.lower()]
    near = near or difflib.get_close_matches(agent_id, ids, n=1)
    heard = f"nothing from it in {duration(seconds)}"
    if near:
        yield critical(name, heard, f"{near[0]!r} beats: is that the one?")
    elif ids:
        advice = "is it running, with the REDIS_URL that `orchestrator env` prints?"
        yield critical(name, f"{heard}, but from {plural(len(ids), 'other')}", advice)
    else:
        advice = "no agent speaks here: compare REDIS_URL of the agents with `orchestrator env`"
        yield critical(name, f"{heard}, nor from anybody", advice)


def _is_heartbeat(beat: Beat) -> bool:
    return beat.channel.startswith(PREFIX)


def _is_of(beat: Beat, agent_id: str) -> bool:
    named = (beat.fields or {}).get("agent_id") == agent_id
    return "heart" in beat.channel.lower() and (named or agent_id in beat.channel)


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def check_timeout(timeout_s: float, group: str) -> Iterator[CheckResult]:
    """Whether the daemon's timeout suits the interval of heartbeats."""
    of_group = f" for group {group}" if group else ""
    said = f"gone after {duration(timeout_s)} without a beat{of_group}"
    if timeout_s < 2 * DEFAULT_INTERVAL_S:
        advice = "raise registry.timeout_s: one late beat is enough to look gone"
        yield warning("timeout", said, advice)
    else:
        yield ok("timeout", said)
