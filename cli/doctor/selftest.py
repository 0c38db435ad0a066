"""``selftest``: the whole workflow, step by step, against a running daemon.

An agent of its own beats, publishes, and checks every output for itself. Its id and type are its
own (``selftest``, ``strategy.selftest``), so that no other agent acts on them. Each step is a
`CheckResult`; the steps after a failed one are still tried.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...protocol.timestamps import utc_now
from ..client.event_stream import Link, LinkLost
from ..client.rest import Client, cause_of
from ..errors import Failure
from ..filters import Filter
from ..formatting import duration
from .check_results import CheckResult, critical, ok
from .redis import connected

if TYPE_CHECKING:
    from redis import Redis

AGENT_ID = GROUP = "selftest"
"""One id for all runs: the registry keeps every agent that ever reported."""
TOPIC = "strategy.selftest"
KILLSWITCH = "risk.killswitch"
POLL_S = 0.1


class StepFailed(Exception):
    """A step failed; the text says what was missing."""


class SelfTest:
    """One run.

    Args:
        client: connection to the daemon.
        redis_url: the bus.
        limit_s: time limit of each step.
        sleep: called between two polls.
    """

    def __init__(
        self,
        client: Client,
        redis_url: str,
        *,
        limit_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._redis_url = redis_url
        self._limit_s = limit_s
        self._sleep = sleep
        self.mark = secrets.token_hex(4)
        """Distinguishes this run from all others."""
        self.agent_id = AGENT_ID

    def run(self, *, killswitch: bool) -> Iterator[CheckResult]:
        """Run all steps and yield each result; the stop only on request."""
        yield self._step("daemon answers", self._health)
        try:
            link = Link(self._client, Filter((TOPIC, KILLSWITCH)), self._limit_s)
        except Failure as failure:
            yield critical("live stream", failure.message, failure.cause or failure.advice)
            return
        yield ok("live stream", f"open, at event {link.cursor}")
        try:
            with self._bus() as bus:
                yield from self._on_the_bus(bus, link, killswitch=killswitch)
        except StepFailed as error:
            advice = "see `orchestrator doctor`; `--redis-url` names another"
            yield critical("redis", str(error), advice)
        finally:
            link.close()

    def _on_the_bus(self, bus: "Redis", link: Link, *, killswitch: bool) -> Iterator[CheckResult]:
        yield self._step("heartbeat -> registry", lambda: self._heartbeat(bus))
        yield self._step("publish -> live stream", lambda: self._publish(bus, link))
        yield self._step("publish -> REST", self._stored)
        yield self._step("POST -> live stream, Redis", lambda: self._post(bus, link))
        yield self._regime()
        if killswitch:
            yield from self._killswitch(bus, link)
        yield self._step("offline -> registry", lambda: self._offline(bus))

    # -- the steps: each returns what it found, or raises ----------------------------------------

    def _health(self) -> str:
        health = self._client.get("/health")
        return f"{health.get('instance')} ({health.get('env')}), {health.get('version')}"

    def _heartbeat(self, bus: "Redis") -> str:
        self._beat(bus, "active")
        row = self._until(lambda: self._row(alive=True), "it did not appear in /health/agents")
        return f"{row['id']} is {row.get('liveness', 'up')}"

    def _offline(self, bus: "Redis") -> str:
        self._beat(bus, "offline")
        self._until(lambda: self._row(alive=False), "it is still shown as alive")
        return f"{self.agent_id} is gone"

    def _publish(self, bus: "Redis", link: Link) -> str:
        receivers = bus.publish(TOPIC, json.dumps(self._payload("published")))
        if not receivers:
            raise StepFailed("no subscriber on this Redis: is it the daemon's?")
        frame = self._frame(link, "redis_event", "published")
        return f"event {frame['id']}"

    def _stored(self) -> str:
        query = {"type": TOPIC, "source": self.agent_id, "limit": 1}
        rows = self._until(
            lambda: self._client.get("/bus/events", query)["events"], "/bus/events has it not"
        )
        again = self._client.get(f"/bus/events/{rows[0]['id']}")["event"]
        if again["payload"].get("mark") != self.mark:
            raise StepFailed(f"event {rows[0]['id']} has another payload")
        return f"event {again['id']}, stored at {again['ts']}"

    def _post(self, bus: "Redis", link: Link) -> str:
        with bus.pubsub(ignore_subscribe_messages=True) as subscriber:  # type: ignore[no-untyped-call]
            subscriber.subscribe(TOPIC)
            subscriber.get_message(timeout=1.0)  # the subscription stands
            body = {"type": TOPIC, "payload": self._payload("posted"), "source": self.agent_id}
            stored = self._client.post("/bus/events", body)
            self._frame(link, "redis_event", "posted")
            self._message(subscriber, "posted")
        return f"event {stored.get('id')}"

    def _regime(self) -> CheckResult:
        try:
            answer = self._client.get("/regime/state")
        except Failure as failure:
            return critical("regime", failure.message, failure.advice)
        if answer.get("status") == "no_data":
            return ok("regime", "answered; none has been detected yet")
        regime = answer.get("regime") or {}
        return ok("regime", f"{regime.get('regime')} / {regime.get('trend')}")

    def _killswitch(self, bus: "Redis", link: Link) -> Iterator[CheckResult]:
        """Trip and release; the release is tried even if other steps fail."""
        trip: dict[str, Any] = {}
        yield self._step("killswitch -> Redis", lambda: self._trip(bus, trip))
        if not trip:
            return
        yield self._step("killswitch -> live stream", lambda: self._tripped_frame(link, trip))
        yield self._step("killswitch -> state", lambda: self._in_force(trip))
        yield self._step("killswitch release", lambda: self._release(link, trip))

    def _trip(self, bus: "Redis", trip: dict[str, Any]) -> str:
        with bus.pubsub(ignore_subscribe_messages=True) as subscriber:  # type: ignore[no-untyped-call]
            subscriber.subscribe(KILLSWITCH)
            subscriber.get_message(timeout=1.0)
            trip.update(self._client.post("/risk/killswitch", {"reason": f"selftest {self.mark}"}))
            self._message(subscriber, str(trip["trip_id"]))
        return f"trip {trip['trip_id']}, on disk: {'yes' if trip.get('latched') else 'NO'}"

    def _tripped_frame(self, link: Link, trip: dict[str, Any]) -> str:
        self._frame(link, "killswitch_activated", str(trip["trip_id"]))
        return "killswitch_activated"

    def _in_force(self, trip: dict[str, Any]) -> str:
        state = self._client.get("/risk/killswitch")
        if trip["trip_id"] not in [other.get("trip_id") for other in state.get("trips") or []]:
            raise StepFailed("the trip is not in force")
        return str(state["status"])

    def _release(self, link: Link, trip: dict[str, Any]) -> str:
        body = {"reason": f"selftest {self.mark} is over", "trip_id": trip["trip_id"]}
        self._client.post("/risk/killswitch/release", body)
        state = self._client.get("/risk/killswitch")
        if state.get("status") == "inactive":
            self._frame(link, "killswitch_released", "")
            return "trading is allowed again"
        return "released; another stop is still in force"

    # -- what the steps share ---------------------------------------------------------------------

    def _step(self, name: str, action: Callable[[], str]) -> CheckResult:
        began = time.monotonic()
        try:
            said = action()
        except Failure as failure:
            said = ": ".join(part for part in (failure.message, failure.cause) if part)
            return critical(name, said, failure.advice)
        except (StepFailed, LinkLost, OSError) as error:
            return critical(name, cause_of(error), "look at the daemon's log")
        return ok(name, f"{said}  ({duration(time.monotonic() - began)})")

    @contextmanager
    def _bus(self) -> Iterator["Redis"]:
        import redis

        try:
            with connected(self._redis_url) as bus:
                bus.ping()
                yield bus
        except (redis.RedisError, ValueError) as error:
            raise StepFailed(cause_of(error)) from error

    def _payload(self, way: str) -> dict[str, str]:
        return {
            "agent_id": self.agent_id,
            "mark": self.mark,
            "way": way,
            "timestamp": utc_now(),
        }

    def _beat(self, bus: "Redis", status: str) -> None:
        about = {"name": "Self-test", "group": GROUP, "status": status, "version": self.mark}
        beat = {**self._payload("heartbeat"), **about}
        bus.publish(f"heartbeat.{self.agent_id}", json.dumps(beat))

    def _row(self, *, alive: bool) -> dict[str, Any] | None:
        rows = self._client.get("/health/agents", {"group": GROUP})["agents"]
        ours = (row for row in rows if (row["id"], row["version"]) == (self.agent_id, self.mark))
        return next((row for row in ours if bool(row["is_alive"]) is alive), None)

    def _until(self, look: Callable[[], Any], missing: str) -> Any:
        """Poll `look` until it returns something."""
        end = time.monotonic() + self._limit_s
        while not (found := look()):
            if time.monotonic() > end:
                raise StepFailed(f"{missing} within {self._limit_s:g} s")
            self._sleep(POLL_S)
        return found

    def _frame(self, link: Link, kind: str, word: str) -> dict[str, Any]:
        """The next frame of that kind that is about this run."""
        end = time.monotonic() + self._limit_s
        while (left_s := end - time.monotonic()) > 0:
            frame = link.frame(left_s)
            if frame is not None and frame.get("type") == kind and self._is_ours(frame, word):
                return frame
        raise StepFailed(f"no {kind} came within {self._limit_s:g} s")

    def _is_ours(self, frame: dict[str, Any], word: str) -> bool:
        text = json.dumps(frame.get("data"))
        return word in text and (frame.get("type") != "redis_event" or self.mark in text)

    def _message(self, subscriber: Any, word: str) -> None:
        end = time.monotonic() + self._limit_s
        while (left_s := end - time.monotonic()) > 0:
            message = subscriber.get_message(timeout=left_s)
            if message is not None and word in str(message.get("data")):
                return
        raise StepFailed(f"it was not published on Redis within {self._limit_s:g} s")
