"""The lease: which permit may be issued now, and the scripts that write and delete it.

A script's first argument is the key's document as it was last read, one of `seen`'s forms: what
another program has written since is found in the same moment, and nothing is overwritten blindly.
Redis never parses a document, so nothing of it can be lost on the way.
"""

import time
from collections.abc import Callable
from typing import Final

from ..protocol.permit import TTL_MS, Permit, write_permit
from ..protocol.timestamps import timestamp
from ..protocol.trips import Stop

STOP_KEY: Final = "orchestrator:killswitch"
ABSENT: Final = b"-"
OTHER_TYPE: Final = b"!"

_SEEN: Final = """
local found = redis.pcall('GET', KEYS[1])
local seen = '-'
if type(found) == 'table' then seen = '!' elseif found then seen = '=' .. found end
"""

STORE: Final = f"""{_SEEN}
if ARGV[3] == '1' then redis.call('DEL', KEYS[2]) end
if seen ~= ARGV[1] then return seen end
redis.call('SET', KEYS[1], ARGV[2])
return ''
"""
"""KEYS: document, permit. ARGV: as seen, new document, whether the permit is deleted."""

LAPSED: Final = b"?"
"""What `RENEW` says where the permit that it should prolong is not there any more."""
RENEW: Final = f"""{_SEEN}
if seen ~= ARGV[1] then return seen end
if ARGV[4] == '1' and not redis.call('GET', KEYS[2]) then return '?' end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return ''
"""
"""KEYS: document, permit. ARGV: as seen, permit, milliseconds, ``1`` to prolong a permit only. The
server decides that: a daemon that was frozen before it sent the command does not know it."""


STREAM_END: Final = """
local facts = redis.pcall('XINFO', 'STREAM', KEYS[1])
for at = 1, #facts, 2 do
    if facts[at] == 'last-generated-id' then return facts[at + 1] end
end
return '0-0'
"""
"""KEYS: the stream. Its last id, without the entries that ``XINFO`` itself would send along."""


def seen(document: bytes) -> bytes:
    """How the scripts say that the key holds ``document``."""
    return b"=" + document


class Lease:
    """Whether agents may act, as far as the daemon is concerned. Outlives the actor's runs.

    Args:
        instance: which daemon.
        now_s: Unix seconds.
    """

    def __init__(self, instance: str, now_s: Callable[[], float] = time.time) -> None:
        self._instance = instance
        self._now_s = now_s
        self._stop: Stop | None = None
        self._lapsed = False

    @property
    def stop(self) -> Stop | None:
        """The state under which permits are issued; ``None``: none are."""
        return self._stop

    def allow(self, stop: Stop) -> None:
        """Issue permits under ``stop``, which is known and latched; not after a lapse."""
        self._stop = None if stop.stops_all or self._lapsed else stop

    def forbid(self) -> None:
        """Issue none: the state is not known, or not latched."""
        self._stop = None

    def lapse(self) -> None:
        """Issue none, and allow none until `ask_again`: what is in force may be unknown."""
        self._stop, self._lapsed = None, True

    def ask_again(self) -> None:
        """The copies are being asked; what they say decides what is allowed."""
        self._lapsed = False

    def permit(self) -> bytes | None:
        """The permit to write now."""
        if self._stop is None:
            return None
        return write_permit(
            Permit(
                self._stop.generation,
                self._instance,
                timestamp(self._now_s()),
                TTL_MS,
                tuple(trip.target for trip in self._stop.trips),
                self._stop.release_count,
                dict(self._stop.resumed),
            )
        )
