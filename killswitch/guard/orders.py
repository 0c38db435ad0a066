"""What the guard has to know: the first line that it reads."""

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The guard's orders."""

    redis_url: str = field(repr=False)
    """Where the stop is published."""
    folder: str
    """The data directory: slots, trip files."""
    on_silence: str
    """``stop`` or ``hold``, see `GuardSettings`."""
    silence_s: float
    """See `GuardSettings`."""
    hang_exit_s: float
    """See `GuardSettings`."""
    daemon_pid: int
    """The process to guard."""
    mark: str
    """``VARIABLE=value`` in the environment of the daemon's children."""
    run: str
    """This run of the daemon; the id of the trip that its end makes, see `runs`."""

    def line(self) -> bytes:
        """As the guard reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read_orders(line: bytes) -> Orders:
    """What `Orders.line` wrote."""
    return Orders(**json.loads(line))
