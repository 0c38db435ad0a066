"""Which payloads PostgreSQL can keep as JSONB, found before an event gets its id.

One pass by ``msgspec`` proves JSON's grammar (also of fields it skips, lone surrogates included);
what it does not look at is checked separately: UTF-8, an escaped NUL, depth, the range of numbers.
Common payloads take the short way through cheap screens; only what a screen holds back is
looked at closely. Everything is bounded by the size limit, which comes first.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Final, Self

import msgspec

from ..protocol.json_object import clean_text
from .fields import WHOLE_BYTES, FieldReader

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""The contract's limit."""

MAX_NAME_BYTES: Final = 512
"""The contract's limit of a channel, a source, an agent's id."""
MAX_REASON_CHARS: Final = 500
"""Of why something was rejected, as far as PostgreSQL's words are kept."""
MAX_DEPTH: Final = 512
"""The contract's limit, far below what PostgreSQL's stack takes."""

LARGE_BYTES: Final = 16 * 1024
"""From here on a payload is examined in turns (`examine_in_turns`)."""

# PostgreSQL's numeric: NUMERIC_WEIGHT_MAX (32,767 groups of four digits) and NUMERIC_DSCALE_MAX
# (src/backend/utils/adt/numeric.c).
_MAX_INTEGER_DIGITS: Final = 131_072
_MAX_FRACTION_DIGITS: Final = 16_383
_MAX_EXPONENT: Final = 1_000_000_000

# The shortest run of digits that may break a limit with an exponent of up to three digits.
_SUSPICIOUS_LENGTH: Final = _MAX_FRACTION_DIGITS - 1_000

_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_RUN: Final = b"0" * _SUSPICIOUS_LENGTH
_NUMBER: Final = re.compile(rb"([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?")
_NUMBERS_TO_ZERO: Final = bytes(48 if byte in b"-+.0123456789eE" else 32 for byte in range(256))
_DEPTH_BLOCK_BYTES: Final = 512
# Looked at in one go where it must be looked at closely: a millisecond or two of work.
_SLICE_BYTES: Final = 16 * 1024


class Cut(bytes):
    """The beginning of something over the limit, of which the rest was never kept.

    Equal to nothing but itself: the rest is unknown.
    """

    size: int
    """Of the whole."""

    def __new__(cls, kept: bytes | bytearray, size: int) -> Self:
        """Make one of ``kept``, the beginning of ``size`` bytes."""
        made = super().__new__(cls, kept)
        made.size = size
        return made

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def size_of(payload: bytes) -> int:
    """How many bytes ``payload`` had as it was published."""
    return payload.size if isinstance(payload, Cut) else len(payload)


class Marks(msgspec.Struct, gc=False):
    """The fields of a producer's JSON that say something of the message itself.

    They are whatever JSON allows: they are unchecked.
    """

    source: object = None
    """Who published it."""
    agent_id: object = None
    """The same, in other words."""
    seq: object = None
    """Rises by one per source and channel."""
    boot: object = None
    """A new value restarts ``seq``."""
    sequence: object = None
    """CloudEvents' name of ``seq``."""
    durable: object = None
    """True: the same bytes are in the durable stream."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What of a payload is decoded."""

    source: str | None
    """``source``, else ``agent_id``; ``None`` where neither is a non-empty string."""
    reason: str | None
    """Why PostgreSQL could not keep it, or ``None`` if it can."""
    marks: Marks | None = None
    """Its ``seq`` and so on, if it has any of them."""


_read_marks = FieldReader(Marks, whole_bytes=WHOLE_BYTES)
_decode_one_value = msgspec.json.Decoder(tuple[msgspec.Raw]).decode


def examine(payload: bytes) -> Envelope:
    """Decode the envelope of ``payload`` and check all of it; never raises.

    A megabyte made to be slow (numbers such as 1e00001) takes 80 ms: see ``examine_in_turns``.
    """
    said = _decoded(payload)
    if said.reason is not None:
        return said
    reason = _unstorable(payload) or next(filter(None, _close_look(payload)), None)
    return said if reason is None else Envelope(None, reason)


def examine_in_turns(payload: bytes, give_way: Callable[[], None]) -> Envelope:
    """As ``examine``, but calls ``give_way`` after every few milliseconds of work."""
    said = _decoded(payload)
    if said.reason is not None:
        return said
    give_way()
    reason = _unstorable(payload)
    for found in _close_look(payload) if reason is None else ():
        give_way()
        if found is not None:
            reason = found
            break
    return said if reason is None else Envelope(None, reason)


def _decoded(payload: bytes) -> Envelope:
    if size_of(payload) > MAX_PAYLOAD_BYTES:
        return Envelope(None, f"larger than {MAX_PAYLOAD_BYTES} bytes")
    try:
        return _said(payload)
    except RecursionError:
        return Envelope(None, f"nested deeper than {MAX_DEPTH}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # msgspec's own words differ
        return Envelope(None, f"not JSON: {error}" if _is_utf8(payload) else "not UTF-8")


def _said(payload: bytes) -> Envelope:
    try:
        marks = _read_marks(payload)
    except msgspec.ValidationError:  # JSON so far, but no object: the rest is still unread
        _decode_one_value(b"[" + payload + b"]")
        return Envelope(None, None)
    source = marks.source
    if type(source) is not str or not source:
        agent_id = marks.agent_id
        source = agent_id if type(agent_id) is str and agent_id else None
    if source is not None and (is_long_name(source) or is_long_name(marks.agent_id)):
        return Envelope(None, f"a source or agent id of more than {MAX_NAME_BYTES} bytes")
    if marks.seq is None and marks.durable is None and marks.sequence is None:
        return Envelope(source, None)
    return Envelope(source, None, marks)


def _unstorable(payload: bytes) -> str | None:
    """What one pass in C tells of what the JSON decoder does not look at."""
    if not payload.isascii() and not _is_utf8(payload):
        return "not UTF-8"
    # With pairs of backslashes out of the way, what is left of them escapes.
    if b"\\u0000" in payload and b"\\u0000" in payload.replace(rb"\\", b"__"):
        return "contains \\u0000"
    return None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _close_look(payload: bytes) -> Iterator[str | None]:
    """What is wrong outside of strings, slice by slice, as far as screens do not rule it out.

    ``payload`` is known to be JSON by grammar.
    """
    may_be_deep = payload.count(b"[") + payload.count(b"{") > MAX_DEPTH
    may_be_large = _may_hold_large_number(payload)
    if not may_be_deep and not may_be_large:
        return
    yield None
    depth = 0
    for text in _outside_strings(payload):
        if may_be_deep:
            depth, passed = _depth_after(text, depth)
            if passed:
                yield f"nested deeper than {MAX_DEPTH}"
        yield "a number out of range" if may_be_large and _number_out_of_range(text) else None


def _may_hold_large_number(payload: bytes) -> bool:
    # A sign is left out: "e-0000" is as suspicious. No two numbers are joined by that.
    zeros = payload.translate(_DIGITS_TO_ZERO, b"+-")
    return b"e0000" in zeros or (len(payload) > _SUSPICIOUS_LENGTH and _LONG_RUN in zeros)


def _outside_strings(payload: bytes) -> Iterator[bytes]:
    """Give what is not in strings, in pieces that cut neither a number nor an escape in two."""
    numbers = payload.translate(_NUMBERS_TO_ZERO)
    start, inside = 0, 0
    while start < len(payload):
        end = numbers.find(b" ", start + _SLICE_BYTES)
        end = len(payload) if end == -1 else end
        text = payload[start:end]
        if (len(text) - len(text.rstrip(b"\\"))) % 2:
            end += 1
            text = payload[start:end]
        if b"\\" in text:
            text = text.replace(rb"\\", b"__").replace(rb"\"", b"__")
        parts = text.split(b'"')
        yield b" ".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
        start = end


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _depth_after(text: bytes, depth: int) -> tuple[int, bool]:
    """Count brackets, block by block; only a block that may pass the limit is looked at closer."""
    brackets = text.translate(None, _NO_BRACKETS)
    for start in range(0, len(brackets), _DEPTH_BLOCK_BYTES):
        block = brackets[start : start + _DEPTH_BLOCK_BYTES]
        opened = block.count(b"[") + block.count(b"{")
        if depth + opened > MAX_DEPTH and depth + _peak(block) > MAX_DEPTH:
            return depth, True
        depth += 2 * opened - len(block)
    return depth, False


def _peak(block: bytes) -> int:
    depth = peak = 0
    for bracket in block:
        depth += 1 if bracket in b"[{" else -1
        peak = max(peak, depth)
    return peak


def _number_out_of_range(text: bytes) -> bool:
    return _may_hold_large_number(text) and any(
        _exceeds_numeric(number[1], number[2] or b"", number[3] or b"0")
        for number in _NUMBER.finditer(text)
    )


def _exceeds_numeric(integer: bytes, fraction: bytes, exponent_text: bytes) -> bool:
    if len(exponent_text) > len(str(_MAX_EXPONENT)):
        digits = exponent_text.lstrip(b"+-").lstrip(b"0")
        if len(digits) >= len(str(_MAX_EXPONENT)):
            return True
    exponent = int(exponent_text)
    if len(fraction) - exponent > _MAX_FRACTION_DIGITS:
        return True
    significant = (integer + fraction).lstrip(b"0")
    if not significant:
        return False
    leading = len(significant) - len(fraction)
    return leading + exponent > _MAX_INTEGER_DIGITS


RAW_BYTES = 4096
"""How much of a rejected payload is kept (contract, part 1)."""


class Rejection(msgspec.Struct, frozen=True):
    """The payload of a ``bus.rejected``."""

    channel: str
    """Where it was published."""
    reason: str
    """Why it cannot be stored."""
    size: int
    """Of the whole payload, in bytes."""
    raw: str
    """Its first 4 KiB, base64."""


def reject(channel: str, payload: bytes, reason: str) -> bytes:
    """The payload of the ``bus.rejected`` for ``payload``.

    It can always be stored, lest a rejection is rejected: its texts are cut, NUL and what is not
    UTF-8 is replaced.
    """
    raw = b64encode(payload[:RAW_BYTES]).decode()
    name, why = clean_text(channel, MAX_NAME_BYTES), clean_text(reason, MAX_REASON_CHARS)
    return msgspec.json.encode(Rejection(name, why, size_of(payload), raw))


def is_long_name(name: object) -> bool:
    """Whether it is a text of more than `MAX_NAME_BYTES`."""
    if type(name) is not str or len(name) <= MAX_NAME_BYTES // 4:
        return False
    return len(name.encode()) > MAX_NAME_BYTES
