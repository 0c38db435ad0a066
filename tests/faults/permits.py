"""Looks at the permit all the time, from outside."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from orchestrator.protocol.permit import KEY

LOOK_S = 0.01


class PermitWatch:
    """Counts looks at which a permit was there again, once there was none."""

    def __init__(self, url: str) -> None:
        self.is_gone = False
        self.again = 0
        self._redis = redis.Redis.from_url(url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                is_there = bool(self._redis.exists(KEY))
            except redis.RedisError:
                time.sleep(0.1)  # the server is away: nobody reads a permit
                continue
            self.is_gone = self.is_gone or not is_there
            self.again += self.is_gone and is_there

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(10)
        self._redis.close()


@contextmanager
def watching(url: str) -> Iterator[PermitWatch]:
    """Look for as long as the block runs."""
    made = PermitWatch(url)
    try:
        yield made
    finally:
        made.end()
