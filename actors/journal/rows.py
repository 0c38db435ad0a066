r"""Rows in the journal's form: COPY's text format without the id (pure).

A line is ``type TAB source TAB ts TAB payload LF``, with ``\N`` for no source: what
``sql.copy_text`` describes, less the id, so that a block for COPY is made by putting ids in front.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ...sql.events.copy_text import NULL, copy_field
from ..events import Event
from .record_format import IdRange

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
# In no UTF-8, so in nothing that is stored; stands for a backslash meanwhile.
_NO_TEXT = b"\xff"
_UNESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


def row_prefix(event_type: str, source: str | None, ts: str) -> bytes:
    """The line of an event up to its payload."""
    who = NULL if source is None else copy_field(source.encode())
    return b"%b\t%b\t%b\t" % (copy_field(event_type.encode()), who, ts.encode())


def join_rows(prefixes: Sequence[bytes], payloads: Sequence[bytes]) -> bytes:
    """The lines of a batch; payloads are escaped where they must be, which is rare."""
    together = b"\n".join(payloads)
    special = together.count(b"\n") >= len(payloads)
    if special or any(byte in together for byte in (b"\\", b"\t", b"\r")):
        payloads = [copy_field(payload) for payload in payloads]
    parts = [part for row in zip(prefixes, payloads, strict=True) for part in row]
    parts[2::2] = [b"\n" + prefix for prefix in prefixes[1:]]
    parts.append(b"\n")
    return b"".join(parts)


def split_rows(body: bytes) -> list[bytes]:
    """The lines of ``body``, without their newlines."""
    lines = body.split(b"\n")
    lines.pop()
    return lines


def halves(lines: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Two bodies of half of ``lines`` each, to find the row that PostgreSQL refuses."""
    middle = len(lines) // 2
    first, second = (b"\n".join([*half, b""]) for half in (lines[:middle], lines[middle:]))
    return first, second


def ids_of(ranges: Iterable[IdRange]) -> Iterator[int]:
    """Each id of ``ranges``."""
    return chain.from_iterable([range(first, last + 1) for first, last in ranges])


def with_ids(body: bytes, ranges: Iterable[IdRange]) -> bytes:
    """The rows of ``body`` as COPY takes them."""
    numbered = zip(ids_of(ranges), split_rows(body), strict=True)
    lines = [b"%d\t%b" % row for row in numbered]
    lines.append(b"")
    return b"\n".join(lines)


def parse_row(event_id: int, line: bytes) -> Event:
    """The event of a line without id."""
    event_type, source, ts, payload = line.split(b"\t")
    return Event(
        event_id,
        _unescape(event_type).decode(),
        _unescape(payload),
        ts.decode(),
        None if source == NULL else _unescape(source).decode(),
    )


def parse_rows(body: bytes, ranges: Iterable[IdRange]) -> tuple[Event, ...]:
    """The events of a batch."""
    return tuple(map(parse_row, ids_of(ranges), split_rows(body)))


def _unescape(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    if _NO_TEXT not in field:  # a megabyte of escapes: 10 ms instead of 300
        return (
            field.replace(rb"\\", _NO_TEXT)
            .replace(rb"\n", b"\n")
            .replace(rb"\t", b"\t")
            .replace(rb"\r", b"\r")
            .replace(_NO_TEXT, b"\\")
        )
    return _ESCAPED.sub(lambda found: _UNESCAPED.get(found[1], found[1]), field)
