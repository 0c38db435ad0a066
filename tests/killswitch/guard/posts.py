"""A guard on its post, with all that it watches and reports; used by several test files."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import redis
from orchestrator.killswitch.guard.actor import GetGuard, GuardActor
from orchestrator.killswitch.guard.link import GuardLink, GuardStatus
from orchestrator.killswitch.guard.settings import GuardSettings
from orchestrator.killswitch.latch import GUARD_NAME, Latch
from orchestrator.protocol.document import read_document
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.runtime import Address, start_actor, stop_actor
from quiet_clock import quiet_s

CHANNEL, PERMIT, KEY = "risk.killswitch", "orchestrator:permit", "orchestrator:killswitch"


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not in time"
        gevent.sleep(0.01)


def slots(folder: Path) -> Stop:
    """What the guard's file holds."""
    stop = Stop()
    for document in Latch(folder).read_guard().documents:
        stop = stop.union(read_document(document).stop)
    return stop


class Post:
    """A guard beside this process, or the orders for one beside another."""

    def __init__(self, folder: Path, url: str, **orders: Any) -> None:
        self.folder = folder
        self.trip_file, self.latch = folder / "TRIP", folder / GUARD_NAME
        self.redis = redis.Redis.from_url(url)
        self.heard = self.redis.pubsub(ignore_subscribe_messages=True)
        self.heard.subscribe(CHANNEL)
        self.redis.set(PERMIT, "permitted")
        self.trips: list[Trip] = []
        settings = GuardSettings(on_silence="stop", hang_exit_s=600.0)
        self.link = GuardLink(
            redis_url=url, folder=folder, settings=settings, on_trip=self.trips.append
        )
        self.link.orders = replace(self.link.orders, **({"silence_s": 1.5} | orders))
        self.actor: GuardActor | None = None

    def man(self) -> None:
        """Start the guard beside this process."""
        self.actor = GuardActor(self.link)
        start_actor(self.actor, Address("guard"))
        until(lambda: self.status().ready)

    def status(self) -> GuardStatus:
        assert self.actor is not None
        found: GuardStatus = self.actor.address.ask(GetGuard(), timeout_s=5)
        return found

    @property
    def pid(self) -> int:
        pid = self.status().pid
        assert pid is not None
        return pid

    def published(self, limit_s: float = 5.0) -> dict[str, Any]:
        message = None
        end = time.monotonic() + limit_s
        while message is None:
            assert time.monotonic() < end, "nothing published in time"
            message = self.heard.get_message(timeout=0.05)
        found: dict[str, Any] = json.loads(message["data"])
        return found

    @property
    def permitted(self) -> bool:
        return bool(self.redis.exists(PERMIT))

    def stored(self) -> Stop:
        """What the key in Redis holds."""
        value = self.redis.get(KEY)
        return Stop() if value is None else read_document(value).stop

    def latched(self) -> Trip:
        """The one trip in the slots, once it is there."""
        until(lambda: slots(self.folder).trips)
        [trip] = slots(self.folder).trips
        return trip

    def leave(self) -> None:
        if self.actor is not None:
            stop_actor(self.actor)
        self.heard.close()
        self.redis.close()
