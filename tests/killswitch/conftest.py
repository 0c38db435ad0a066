"""A Killswitch with its copies on real servers, which can be restarted and lose any of them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from orchestrator.actors.events import KILLSWITCH, Event
from orchestrator.actors.messages.broadcaster import KillswitchNotice
from orchestrator.actors.messages.event_persister import PersistEvents
from orchestrator.actors.messages.events import EventsJournalled
from orchestrator.actors.messages.killswitch import (
    Engage,
    Engaged,
    GetKillswitch,
    KillswitchView,
    Release,
)
from orchestrator.killswitch.copies import LatchCopy, RowCopy
from orchestrator.killswitch.keeper import Killswitch
from orchestrator.killswitch.latch import Latch
from orchestrator.killswitch.lease import Lease
from orchestrator.killswitch.redis_link import RedisLink
from orchestrator.killswitch.state import Copies, Memory, Neighbours
from orchestrator.protocol.permit import KEY, Permit, read_permit
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.sql.database import Database
from orchestrator.sql.errors import Unavailable
from orchestrator.sql.events.stream_position import StreamPosition
from orchestrator.sql.stop_row import StopRow

from ..actors.conftest import Sink, database, new_sink, wait_until
from ..quiet_clock import quiet_s

__all__ = ["Sink", "database", "new_sink", "wait_until"]

STOP_KEY = "orchestrator:killswitch"
FAR = StreamPosition(ms=2**62)


class Desk:
    """One daemon's Killswitch, its peers, and the servers as others see them."""

    def __init__(
        self, folder: Path, redis_url: str, database: Database, new_sink: Callable[[str], Sink]
    ) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.database = database
        self.persister = new_sink("persister")
        self.screens = new_sink("broadcaster")
        self.state_keeper = new_sink("state-keeper")
        self.reads_stream = True
        """Whether its persister has read the durable stream to the end."""
        self.hand_made: list[str] = []
        self.silent: list[str] = []
        self.managed: set[str] = set()
        self.not_events: list[bytes] = []
        self.halted: list[bool] = []
        self._event_id = 0
        self.actor: Killswitch | None = None

    def start(self) -> None:
        """A daemon's start: nothing but the copies is left of the one before."""
        self.folder.mkdir(exist_ok=True)
        lease = Lease("tests")
        self.latch = LatchCopy(Latch(self.folder))
        self.row = RowCopy(StopRow(self.database))
        self.link = RedisLink(
            self.redis_url,
            lease,
            own_copies=lambda _channel: 0,
            before_publish=lambda payload, _now: self.not_events.append(payload),
        )
        self.memory = Memory()
        self.copies = Copies(self.latch, self.row, self.link, lease, self.folder)
        if self.reads_stream:
            self.link.unheard.stream_read_to((FAR.ms, FAR.seq))
        self.start_actor()

    def start_actor(self) -> None:
        """A new incarnation of the actor."""
        self.address = Address("killswitch")
        to = Neighbours(
            persister=self.persister.address,
            broadcaster=self.screens.address,
            state_keeper=self.state_keeper.address,
            on_change=self.halted.append,
            on_silent=self.silent.append,
            managed=self.managed,
            hand_made=lambda: self.hand_made,
        )
        self.actor = Killswitch(memory=self.memory, copies=self.copies, to=to)
        start_actor(self.actor, self.address)

    def stop(self) -> None:
        if self.actor is not None:
            stop_actor(self.actor)
            self.latch.close()
            self.actor = None

    def restart(self) -> None:
        self.stop()
        self.start()

    # -- asking ------------------------------------------------------------------------------

    def ask(self, message: Any) -> Any:
        return self.address.ask(message, timeout_s=5)

    def view(self) -> KillswitchView:
        view: KillswitchView = self.ask(GetKillswitch())
        return view

    @property
    def status(self) -> str:
        return self.view().status

    @property
    def reasons(self) -> list[str]:
        """Of the trips in force."""
        return [trip.reason for trip in self.view().stop.trips]

    def engage(self, reason: str = "why", **fields: Any) -> Engaged:
        engaged: Engaged = self.ask(Engage(reason, "anna", **fields))
        return engaged

    def release(self, trip_id: str) -> Any:
        return self.ask(Release(trip_id, "over", "bob"))

    def hear(self, payload: bytes, **fields: Any) -> None:
        """A message on the bus, journalled."""
        self._event_id += 1
        event = Event(self._event_id, KILLSWITCH, payload, utc_now(), None)
        event = msgspec.structs.replace(event, **fields)
        self.address.tell(EventsJournalled((event,)))

    # -- what others see ---------------------------------------------------------------------

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def key(self) -> Any:
        """The document in Redis."""
        with self.redis as client:
            value = client.get(STOP_KEY)
        return None if value is None else json.loads(value)

    def permit(self) -> Permit | None:
        with self.redis as client:
            return read_permit(client.get(KEY))

    def row_value(self) -> Any:
        """The document in PostgreSQL, as soon as that answers: a pool outlives its server."""
        end = quiet_s() + 20
        while True:
            try:
                value = StopRow(self.database).read().value
            except Unavailable:
                if quiet_s() > end:
                    raise
                time.sleep(0.05)
            else:
                return None if value is None else json.loads(value)

    def put_row(self, text: str) -> None:
        """As another program does."""
        statement = (
            b"INSERT INTO orchestrator_state (key, value) VALUES ('killswitch_status', %(v)s)"
            b" ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING 1"
        )
        self.database.rows(statement, {"v": text})

    def stored(self) -> list[Any]:
        """Payloads of events that were stored without the stream."""
        told = self.persister.of(PersistEvents)
        return [json.loads(event.payload) for one in told for event in one.events]

    def streamed(self) -> list[Any]:
        """Payloads in the durable stream."""
        with self.redis as client:
            entries: Any = client.xrange("orchestrator:events")
        return [json.loads(fields[b"payload"]) for _, fields in entries]

    def notices(self) -> list[tuple[bool, Any]]:
        """What the screens were told."""
        told = self.screens.of(KillswitchNotice)
        return [(notice.engaged, json.loads(notice.data)) for notice in told]


@pytest.fixture
def new_desk(
    tmp_path: Path,
    redis_url: str,
    database: Database,
    new_sink: Callable[[str], Sink],
) -> Iterator[Callable[[], Desk]]:
    """Makes desks on the same servers, each with a data directory of its own; not started."""
    made: list[Desk] = []

    def make() -> Desk:
        desk = Desk(tmp_path / f"data-{len(made)}", redis_url, database, new_sink)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.stop()


@pytest.fixture
def desk(new_desk: Callable[[], Desk], wait_until: Callable[..., None]) -> Desk:
    """One that runs, and knows its state."""
    desk = new_desk()
    desk.start()
    wait_until(lambda: desk.status == "inactive")
    return desk
