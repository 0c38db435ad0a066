"""What an event is caused by: the names that producers give to events and to chains of them.

An event's own name is its ``id``, else ``<boot>/<source>/<channel>/<seq>`` of its numbering: the
same for everyone who reads it. The first event of a chain gives the chain its name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .json_object import MAX_NUMBER, count_in, text_in


class Numbered(NamedTuple):
    """A name that is made of a producer's numbering."""

    boot: str
    """One run of the producer."""
    place: str
    """``<source>/<channel>``."""
    seq: int
    """Of the event, there."""


def event_name(fields: Mapping[str, Any], source: str | None, channel: str) -> str | None:
    """What others call the event; ``None`` if it has neither ``id`` nor numbering."""
    if (own := text_in(fields, "id")) is not None:
        return own
    boot, seq = text_in(fields, "boot"), count_in(fields, "seq")
    return None if boot is None or seq is None else f"{boot}/{source}/{channel}/{seq}"


def numbered(name: str) -> Numbered | None:
    """The parts of a name that may have been made of a numbering."""
    boot, _, rest = name.partition("/")
    place, _, seq = rest.rpartition("/")
    is_number = seq.isascii() and seq.isdigit() and int(seq[:17]) <= MAX_NUMBER
    return Numbered(boot, place, int(seq)) if boot and place and is_number else None


def is_of_chain(fields: Mapping[str, Any], source: str | None, channel: str, *, chain: str) -> bool:
    """Whether the event belongs to a chain: it says so, or the chain has its name."""
    return chain in (fields.get("correlation_id"), event_name(fields, source, channel))
