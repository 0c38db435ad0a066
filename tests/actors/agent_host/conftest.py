"""A real bus, and all that is heard on it."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import msgspec
import pytest
import redis
from quiet_clock import quiet_s


class Bus:
    """What is heard on the bus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[tuple[str, Any]] = []
        self.client = redis.Redis.from_url(url, protocol=2)
        self.pubsub = self.client.pubsub()
        self.pubsub.psubscribe("*")
        assert self.pubsub.get_message(timeout=5)

    def order(self, order: str) -> None:
        self.client.publish("strategy.order", msgspec.json.encode({"order": order}))

    def wait_for(self, channel: str, limit_s: float = 15.0, **fields: Any) -> Any:
        end = quiet_s() + limit_s
        while quiet_s() < end:
            for seen, payload in self.seen:
                if seen == channel and fields.items() <= payload.items():
                    return payload
            message = self.pubsub.get_message(timeout=0.05)
            if message:
                payload = msgspec.json.decode(message["data"])
                self.seen.append((message["channel"].decode(), payload))
        return pytest.fail(f"no {fields} on {channel}, but {self.seen[-5:]}")


@pytest.fixture
def bus(redis_url: str) -> Iterator[Bus]:
    made = Bus(redis_url)
    yield made
    made.pubsub.close()
    made.client.close()


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not in time"
        gevent.sleep(0.01)
