"""Ways to stop on this machine when HTTP does not answer: control socket, trip file, Redis.

They use the settings of the daemon. None waits longer than a few seconds.
"""

import getpass
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ...killswitch.guard.connection import Connection, Refused
from ...killswitch.guard.stored_stop import store
from ...killswitch.intake import Origin, called
from ...killswitch.regular_files import sync_folder, write_all
from ...protocol.announcement import CHANNEL, Stamp, announcement
from ...protocol.bus_url import BadBusUrl, read_bus_url
from ...protocol.json_object import write_object
from ...protocol.permit import KEY as PERMIT_KEY
from ...protocol.targets import read_target
from ...protocol.timestamps import timestamp
from ...protocol.trips import Stop, Trip
from ...protocol.ulid import new_ulid
from ...protocol.ways import Way
from ..client.rest import Client
from ..errors import Failure
from ..local_settings import Place

TAKEN_S: Final = 2.0
"""The daemon leaves a file to its guard for 1 s, then engages, latches and renames it."""
LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """What to stop, and why."""

    reason: str
    level: str = "halt"
    scope: str = "all"
    trip_id: str = field(default_factory=new_ulid)
    """One trip, by whatever ways it comes to the daemon in the end."""

    def body(self) -> dict[str, str]:
        """Of ``POST /risk/killswitch``, and the text of a trip file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way has done."""

    way: str
    """``control socket``, ``file`` or ``redis``."""
    done: bool
    """Whether it has left its mark."""
    said: str
    """In words."""
    in_force: bool = False
    """Whether a daemon has it in force by this way; further ways are not needed."""
    answer: Mapping[str, Any] | None = None
    """The daemon's, by the control socket."""
    held: bool = False
    """Whether that answer says that something holds it which outlives the daemon."""
    url: str = ""
    """Of the control socket."""


def local_ways(
    place: Place, order: Order, *, timeout_s: float, redis_url: str | None = None
) -> Iterator[Outcome]:
    """Try one way after another; stops after the first by which a daemon has it in force.

    One that fails, however, does not keep the order from the next.
    """
    ways: dict[str, Callable[[], Outcome]] = {
        "control socket": lambda: by_socket(
            place.settings.http.control_socket, order, timeout_s=timeout_s
        ),
        "file": lambda: by_file(place.data_dir, order),
        "redis": lambda: by_redis(redis_url or place.redis_url(), order),
    }
    for name, way in ways.items():
        try:
            outcome = way()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next way is left
            outcome = Outcome(name, done=False, said=str(error) or type(error).__name__)
        yield outcome
        if outcome.in_force:
            return


def by_socket(path: str, order: Order, *, timeout_s: float) -> Outcome:
    """Post it to the control socket."""
    way, url = "control socket", f"unix://{path}"
    if not path:
        return Outcome(way, done=False, said="none is set")
    try:
        with Client(url, timeout_s=timeout_s) as client:
            answer = client.ask("POST", "/risk/killswitch", order.body())
    except Failure as failure:
        return Outcome(way, done=False, said=failure.cause or failure.message)
    if not answer.body.get("trip_id"):
        return Outcome(way, done=False, said=f"the daemon answered with HTTP {answer.status}")
    held = answer.status < 500  # noqa: PLR2004 - HTTP's
    return Outcome(way, True, f"the daemon answered on {path}", True, answer.body, held, url)


def by_file(folder: Path, order: Order, *, limit_s: float = TAKEN_S) -> Outcome:
    """Leave a trip file in the data directory, and see whether the daemon takes it."""
    path = folder / f"TRIP.{order.trip_id}"
    try:
        _write(path, write_object({**order.body(), "triggered_by": _who()}))
    except OSError as error:
        return Outcome("file", done=False, said=f"{folder}: {error.strerror or error}")
    end = time.monotonic() + limit_s
    while path.exists() and time.monotonic() < end:
        time.sleep(LOOK_S)
    if path.exists():
        said = f"{path} lies there, and no daemon has taken it yet; one that starts will"
        return Outcome("file", done=True, said=said)
    return Outcome("file", done=True, said=f"the daemon has taken {path}", in_force=True)


def by_redis(url: str | None, order: Order) -> Outcome:
    """Unite the trip into the key, delete the permit, publish: what the guard does."""
    if url is None:
        return Outcome("redis", done=False, said="the embedded server does not run")
    trip = called(
        order.reason,
        _who(),
        read_target(order.level, order.scope),
        Origin(Way.REDIS, time.time()),
    )
    trip = replace(trip, id=order.trip_id)
    try:
        receivers = _deliver(url, trip)
    except (OSError, Refused, BadBusUrl) as error:
        return Outcome("redis", done=False, said=str(error) or type(error).__name__)
    said = (
        f"published to {receivers} receivers, permit deleted (trip {trip.id}): "
        "gates shut within 3.5 s"
    )
    return Outcome("redis", done=True, said=said)


def _deliver(url: str, trip: Trip) -> int:
    connection = Connection(read_bus_url(url))
    try:
        try:
            store(connection, trip, Origin(Way.REDIS, time.time()))
        except Refused:  # scripts may be forbidden where the rest is not
            with suppress(Refused):
                connection.call("DEL", PERMIT_KEY)
        stamp = Stamp(timestamp(time.time()), 1, new_ulid())
        payload = announcement(Stop().with_trip(trip), stamp, trip=trip)
        return int(connection.call("PUBLISH", CHANNEL, payload))
    finally:
        connection.close()


def _write(path: Path, data: bytes) -> None:
    """Whole and durable under its name, or not at all."""
    hidden = path.with_name(f".{path.name}")
    descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
    try:
        write_all(descriptor, data, 0)
        os.fsync(descriptor)
        hidden.rename(path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _who() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name
        return f"cli:{os.getuid()}"
