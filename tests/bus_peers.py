"""What agents meet on the bus, for their tests: one who listens, and a daemon's permits."""

import contextlib
import dataclasses
import threading
import time
from typing import Any

import msgspec
import pytest
import redis
from orchestrator.protocol.permit import KEY, Permit, write_permit
from orchestrator.protocol.timestamps import utc_now
from quiet_clock import quiet_s


class Bus:
    """Sees all that is published, and publishes itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[tuple[str, Any]] = []
        self._client = redis.Redis.from_url(url, protocol=2)
        self._ending = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, name="test-bus", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _read(self) -> None:
        while not self._ending.is_set():
            try:
                self._read_connected()
            except redis.ConnectionError:
                time.sleep(0.02)

    def _read_connected(self) -> None:
        with self._client.pubsub() as pubsub:
            pubsub.psubscribe("*")
            while not self._ending.is_set():
                message = pubsub.get_message(timeout=0.05)
                if message and message["type"] == "psubscribe":
                    self._ready.set()
                elif message and message["type"] == "pmessage":
                    self.seen.append((message["channel"].decode(), _decoded(message["data"])))

    def publish(self, channel: str, payload: Any) -> None:
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        self._client.publish(channel, body)

    def payloads(self, channel: str) -> list[Any]:
        return [payload for seen, payload in self.seen if seen == channel]

    def wait_for(self, channel: str, limit_s: float = 10.0, **fields: Any) -> Any:
        """The first payload on the channel with these fields."""
        end = quiet_s() + limit_s
        while quiet_s() < end:
            for payload in self.payloads(channel):
                if fields.items() <= payload.items():
                    return payload
            time.sleep(0.01)
        return pytest.fail(f"no {fields} on {channel}, but {self.seen[-5:]}")

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)
        self._client.close()


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data


class Daemon:
    """What a daemon does with the permit: issues and renews it, deletes it under a stop."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, protocol=2, socket_timeout=1)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.permit = Permit(100, "test", "2026-01-31T09:30:00.000Z")

    def issue(self, px: int | None = 3000, **fields: Any) -> None:
        """Write the permit once."""
        self.permit = dataclasses.replace(self.permit, **{"issued_at": utc_now()} | fields)
        self._client.set(KEY, write_permit(self.permit), px=px)

    def renew(self, **fields: Any) -> None:
        """Write it now and go on until `lapse`."""
        self.lapse()
        self.issue(**fields)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(self._ended,), daemon=True)
        self._thread.start()

    def _renew(self, ended: threading.Event) -> None:
        with contextlib.suppress(redis.RedisError):
            while not ended.wait(0.3):
                self.issue()

    def lapse(self) -> None:
        """Renew no more, as if dead."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def stop(self, trip_id: str = "T1", **fields: Any) -> None:
        """Engage: the permit is deleted, then the stop is published."""
        self.lapse()
        self._client.delete(KEY)
        self.announce(trip_id=trip_id, **fields)

    def announce(self, **fields: Any) -> None:
        body = {"enabled": True, "reason": "loss limit"} | fields
        self._client.publish("risk.killswitch", msgspec.json.encode(body))

    def release(self, **fields: Any) -> None:
        """A release raises generation and count."""
        generation, releases = self.permit.generation + 1, self.permit.releases + 1
        self.renew(generation=generation, releases=releases, **fields)
        self.announce(enabled=False)

    def close(self) -> None:
        self.lapse()
        self._client.close()
