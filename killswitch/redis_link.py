"""One connection to Redis for the stop: the key, the permit, what is published.

Deletion and renewal of the permit share it, so that neither overtakes the other. An engage is one
packet: the script that stores the trip and deletes the permit, PUBLISH, XADD.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import gevent
import msgspec
import redis
import structlog
from gevent.event import Event as Signal

from ..actors.redis_listener.reconnect import connection_pool
from ..protocol.announcement import CHANNEL
from ..protocol.document import write_document
from ..protocol.permit import KEY, RENEW_S, TTL_MS
from ..protocol.trips import Stop
from ..runtime.errors import reason_of
from ..sql.events.stream_position import STREAM, entry_id_of
from .copies import CopyHolds, CopyRead, Tell
from .lease import ABSENT, LAPSED, OTHER_TYPE, RENEW, STOP_KEY, STORE, STREAM_END, Lease, seen
from .readings import Condition, Copy, Reading, away, found
from .unheard import Unheard

RETRY_S: Final = 0.5
"""After a connection that failed or broke."""
MAX_WAITING: Final = 200
"""Announcements that wait for Redis; the stop in force is published at each connect anyway."""

LINK_ERRORS: Final = (OSError, redis.RedisError)


class NotMaster(redis.RedisError):
    """The server is a replica: what is written there reaches no subscriber, or is lost."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is to be published, on ``risk.killswitch`` but for drills."""

    payload: bytes
    """JSON."""
    trip_id: str = ""
    """The trip whose engage it is, for the answer."""
    durable: bool = False
    """Whether it goes into the durable stream too; then its event comes from there."""
    channel: str = CHANNEL
    """Where; what is on another channel than the stop's is an event when it comes back."""


class Announced(msgspec.Struct, frozen=True):
    """Redis took an announcement."""

    trip_id: str
    """As given."""
    receivers: int
    """Without our own."""
    streamed: bool
    """Whether the durable stream has it."""


class NotStreamed(msgspec.Struct, frozen=True):
    """A durable announcement did not get into the stream, as far as is known."""

    announcement: Announcement
    """It; published as soon as that can be."""


class LeaseLapsed(msgspec.Struct, frozen=True):
    """The permit has lapsed, so the state has to be read again before the next one."""


class RedisLink:
    """Outlives runs of the Killswitch; a greenlet of theirs runs it.

    Args:
        url: of the server.
        lease: which permits may be issued.
        own_copies: how many receivers on a channel are ourselves.
        before_publish: called with each message that is published but not to be stored when it
            comes back, and the monotonic time.
        timeout_s: for each step.
    """

    def __init__(
        self,
        url: str,
        lease: Lease,
        *,
        own_copies: Callable[[str], int],
        before_publish: Callable[[bytes, float], None],
        timeout_s: float = 2.0,
    ) -> None:
        self._pool = connection_pool(url, timeout_s)
        self._lease = lease
        self._own_copies = own_copies
        self._before_publish = before_publish
        self._connection: Any = None  # redis-py's, whose methods have no types
        self._filled = Signal()
        self._waiting: deque[Announcement] = deque(maxlen=MAX_WAITING)
        self._wanted: Stop | None = None
        self._document = b""
        self._found = b""
        self._accepted = b""
        self._renew_at = 0.0
        self._turned_at: float | None = None
        self._is_held = False
        self._revoked = False
        self._ending = False
        self.unheard = Unheard(self._wake)
        """What permits wait for."""
        self._log: Any = structlog.get_logger(actor="Killswitch", copy="redis")
        self.held = Stop()
        """What the key is known to hold."""
        self.error: str | None = "not connected yet"
        """Why it cannot be reached."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._connection is not None

    def want(self, stop: Stop) -> None:
        """Have the key hold this, and the permit follow from it."""
        if stop != self._wanted:
            self._wanted, self._document = stop, write_document(stop)
        self._renew_at = 0.0
        self._filled.set()

    def revoke(self) -> None:
        """Delete the permit, regardless of who issued it: what is in force is unknown."""
        self._revoked, self._renew_at = True, 0.0
        self._filled.set()

    def accept(self, token: object) -> None:
        """What the key was found to hold is united: it may be replaced."""
        if isinstance(token, bytes):
            self._accepted = token
            self._filled.set()

    def publish(self, announcement: Announcement) -> None:
        """Publish as soon as may be."""
        self._waiting.append(announcement)
        self._filled.set()

    def run(self, tell: Tell) -> None:
        """Serve until `end`; for a greenlet that may be killed at any time."""
        self._ending = False
        self.error = "not connected yet"  # so that each run says what it finds
        while not self._ending:
            try:
                self._connect(tell)
                self._serve(tell)
            except LINK_ERRORS as error:
                self._fail(tell, reason_of(error))
            finally:
                self.close()
            if not self._ending:
                gevent.sleep(RETRY_S)

    def _serve(self, tell: Tell) -> None:
        while not self._ending:
            self._turn(tell)
            self._filled.wait(max(0.0, self._renew_at - time.monotonic()))
        self._store_and_publish(tell)
        self._ask([("DEL", KEY)])

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def end(self) -> None:
        """Send what is due, delete the permit, and return from `run`."""
        self._ending = True
        self._filled.set()

    # -- one connection ----------------------------------------------------------------------

    def _connect(self, tell: Tell) -> None:
        connection: Any = self._pool.make_connection()
        try:
            connection.connect()
            self._connection = connection
            self._check_role()
            [value] = self._ask([("GET", STOP_KEY)])
            self.unheard.begin(lapsed=False)
        except BaseException:
            self._connection = None
            connection.disconnect()
            raise
        self._note(tell, _seen(value))
        self._renew_at = 0.0
        self.error = None

    def _check_role(self) -> None:
        [role] = self._ask([("ROLE",)])
        if isinstance(role, list) and role[0] != b"master":
            raise NotMaster(f"the server is no master but a {role[0].decode()}")

    def _turn(self, tell: Tell) -> None:
        """Send what is due, in one packet."""
        self._filled.clear()
        self._store_and_publish(tell)
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + RENEW_S
            self._check_role()
            is_heard = self.unheard.is_over(self._stream_end)
            self._check_lapse(tell)  # nothing waits between here and the command that renews
            self._renew(tell, self._lease.permit() if is_heard else None)
            self._turned_at = time.monotonic()

    def _wake(self) -> None:
        self._renew_at = 0.0
        self._filled.set()

    def _stream_end(self) -> tuple[int, int]:
        [end] = self._ask([("EVAL", STREAM_END, 1, STREAM)])
        return (0, 0) if isinstance(end, Exception) else entry_id_of(end.decode())

    def _store_and_publish(self, tell: Tell) -> None:
        stop, document, announcements = self._wanted, self._document, tuple(self._waiting)
        self._is_held = self._is_held and not (stop and stop.stops_all)
        stores = stop is not None and self._found != seen(document)
        commands: list[tuple[Any, ...]] = []
        if stop is not None and stores:
            ends = b"1" if stop.stops_all else b"0"
            keys = ("EVAL", STORE, 2, STOP_KEY, KEY)
            commands.append((*keys, self._accepted, document, ends))
        commands += [command for one in announcements for command in self._commands(one)]
        replies = self._ask(commands) if commands else []
        if stop is not None and stores:
            self._stored(tell, replies.pop(0), stop, document)
        elif stop is not None and self.held != stop:  # found as it was left, at a new connection
            self._holds(tell, stop, document)
        self._announced(tell, announcements, replies)

    def _commands(self, one: Announcement) -> list[tuple[Any, ...]]:
        publish = ("PUBLISH", one.channel, one.payload)
        if one.durable:
            return [publish, ("XADD", STREAM, "*", "channel", CHANNEL, "payload", one.payload)]
        if one.channel == CHANNEL:
            self._before_publish(one.payload, time.monotonic())
        return [publish]

    def _stored(self, tell: Tell, reply: Any, stop: Stop, document: bytes) -> None:
        if isinstance(reply, Exception):
            raise reply
        if reply:
            if reply != self._found:
                self._note(tell, reply)
            return
        self._holds(tell, stop, document)

    def _holds(self, tell: Tell, stop: Stop, document: bytes) -> None:
        self._found = self._accepted = seen(document)
        self.held = stop
        tell(CopyHolds(Copy.REDIS, stop))

    def _announced(
        self, tell: Tell, announcements: tuple[Announcement, ...], replies: list[Any]
    ) -> None:
        for one in announcements:
            receivers, streamed = replies.pop(0), replies.pop(0) if one.durable else None
            if isinstance(receivers, Exception):
                raise receivers
            if self._waiting and self._waiting[0] is one:  # else a newer one took its place
                self._waiting.popleft()
            others = max(0, int(receivers) - self._own_copies(one.channel))
            if isinstance(streamed, Exception):
                tell(NotStreamed(one))
            tell(Announced(one.trip_id, others, isinstance(streamed, bytes)))

    def _renew(self, tell: Tell, permit: bytes | None) -> None:
        current = self._lease.stop is not None and self._lease.stop == self.held == self._wanted
        if permit is None or not current:
            revoke = [("DEL", KEY)] if permit is None and self._revoked else []
            value, *_ = self._ask([("GET", STOP_KEY), *revoke])
            self._revoked, found_now = False, _seen(value)
        else:
            keys = ("EVAL", RENEW, 2, STOP_KEY, KEY)
            prolongs = b"1" if self._is_held else b"0"
            [found_now] = self._ask([(*keys, seen(self._document), permit, TTL_MS, prolongs)])
            if isinstance(found_now, Exception):
                raise found_now
            self._is_held = not found_now
            if found_now == LAPSED:
                self._lapse(tell)
            if found_now in (b"", LAPSED):
                return
        if permit is None:
            self._is_held = False
        if found_now != self._found:
            self._note(tell, found_now)

    def _check_lapse(self, tell: Tell) -> None:
        """After 3 s without a turn another daemon may have been here, or a stop missed us."""
        if self._turned_at is not None and time.monotonic() - self._turned_at >= TTL_MS / 1000:
            self._lapse(tell)

    def _lapse(self, tell: Tell) -> None:
        """Issue nothing until the row has been asked; the key is asked by each renewal."""
        self._turned_at, self._is_held = None, False
        self.unheard.begin(lapsed=True)
        self._lease.lapse()
        tell(LeaseLapsed())

    def _note(self, tell: Tell, found_now: bytes) -> None:
        self._found, self.held = found_now, Stop()
        tell(CopyRead(Copy.REDIS, _reading(found_now), found_now))

    def _ask(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """The replies to some commands; what the server refuses is among them.

        Raises:
            OSError, redis.RedisError: the connection broke, or is given up.
        """
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [_reply(connection) for _ in commands]
        except BaseException:
            self.close()
            raise

    def _fail(self, tell: Tell, why: str) -> None:
        if self.error is None or self.error != why:
            self._log.warning("Redis not reached for the stop, retried", reason=why)
            tell(CopyRead(Copy.REDIS, away(why)))
        self.error = why
        for one in [one for one in self._waiting if one.durable]:
            tell(NotStreamed(one))
        kept = [replace(one, durable=False) for one in self._waiting if one.channel == CHANNEL]
        self._waiting = deque(kept, MAX_WAITING)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _seen(value: Any) -> bytes:
    if isinstance(value, Exception):
        if "WRONGTYPE" in str(value):
            return OTHER_TYPE
        raise value
    return ABSENT if value is None else seen(value)


def _reading(found_now: bytes) -> Reading:
    if found_now == ABSENT:
        return Reading()
    if found_now == OTHER_TYPE:
        return Reading(Condition.FOUND, damage=(b"another type of key",))
    return found(found_now[1:])
