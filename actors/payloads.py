"""Which payloads PostgreSQL can keep as JSONB, found before an event gets its id.

One pass by ``msgspec`` proves JSON's grammar (also of fields it skips, lone surrogates included);
what it does not look at is checked beside it: UTF-8, an escaped NUL, depth, the range of numbers.
Common payloads take the short way through cheap screens; only what a screen holds back is
looked at closely. Everything is bounded by the size limit, which comes first.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""The contract's limit."""

MAX_DEPTH: Final = 512
"""The contract's limit, far below what PostgreSQL's stack takes."""

# PostgreSQL's numeric: NUMERIC_WEIGHT_MAX (32,767 groups of four digits) and NUMERIC_DSCALE_MAX
# (src/backend/utils/adt/numeric.c).
_MAX_INTEGER_DIGITS: Final = 131_072
_MAX_FRACTION_DIGITS: Final = 16_383
_MAX_EXPONENT: Final = 1_000_000_000

# The shortest run of digits that may break a limit without any exponent.
_SUSPICIOUS_LENGTH: Final = _MAX_FRACTION_DIGITS

_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789E", b"000000000e")
_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG_NUMBER: Final = re.compile(
    rb"-?([0-9]+)(?:\.([0-9]+))?[eE]([-+]?[0-9]+)|-?([0-9]{16000,})(?:\.([0-9]+))?"
    rb"|-?([0-9]+)\.([0-9]{16000,})"
)
_DEPTH_BLOCK_BYTES: Final = 512


class _Envelope(msgspec.Struct):
    source: object = None
    agent_id: object = None


class Envelope(NamedTuple):
    """What of a payload is decoded."""

    source: str | None
    """``source``, else ``agent_id``; ``None`` where neither is a non-empty string."""
    reason: str | None
    """Why PostgreSQL could not keep it, or ``None`` if it can."""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_one_value = msgspec.json.Decoder(tuple[msgspec.Raw]).decode


def examine(payload: bytes) -> Envelope:
    """Decode the envelope of ``payload`` and check all of it; never raises."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Envelope(None, f"larger than {MAX_PAYLOAD_BYTES} bytes")
    try:
        source = _source(payload)
    except UnicodeDecodeError:
        return Envelope(None, "not UTF-8")
    except RecursionError:
        return Envelope(None, f"nested deeper than {MAX_DEPTH}")
    except msgspec.DecodeError as error:
        return Envelope(None, f"not JSON: {error}")
    reason = _unstorable(payload)
    return Envelope(source if reason is None else None, reason)


def _source(payload: bytes) -> str | None:
    try:
        envelope = _decode_envelope(payload)
    except msgspec.ValidationError:  # JSON so far, but no object: the rest is still unread
        _decode_one_value(b"[" + payload + b"]")
        return None
    source = envelope.source
    if type(source) is str and source:
        return source
    agent_id = envelope.agent_id
    return agent_id if type(agent_id) is str and agent_id else None


def _unstorable(payload: bytes) -> str | None:
    """What the JSON decoder does not look at; ``payload`` is known to be JSON by grammar."""
    if not payload.isascii() and not _is_utf8(payload):
        return "not UTF-8"
    if b"\\u0000" in payload and _NUL_ESCAPE.search(payload):
        return "contains \\u0000"
    if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH and _too_deep(payload):
        return f"nested deeper than {MAX_DEPTH}"
    digits = payload.translate(_DIGITS_TO_ZERO, b"+")
    if (
        b"e0000" in digits or b"e-0000" in digits or len(payload) > _SUSPICIOUS_LENGTH
    ) and _number_out_of_range(payload):
        return "a number out of range"
    return None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_deep(payload: bytes) -> bool:
    """Count brackets outside strings, block by block; only a block that may pass looks closer."""
    brackets = _STRINGS.sub(b"", payload).translate(None, _NO_BRACKETS)
    depth = 0
    for start in range(0, len(brackets), _DEPTH_BLOCK_BYTES):
        block = brackets[start : start + _DEPTH_BLOCK_BYTES]
        opened = block.count(b"[") + block.count(b"{")
        if depth + opened > MAX_DEPTH and depth + _peak(block) > MAX_DEPTH:
            return True
        depth += 2 * opened - len(block)
    return False


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _peak(block: bytes) -> int:
    depth = peak = 0
    for bracket in block:
        depth += 1 if bracket in b"[{" else -1
        peak = max(peak, depth)
    return peak


def _number_out_of_range(payload: bytes) -> bool:
    return any(
        _exceeds_numeric(
            match[1] or match[4] or match[6] or b"",
            match[2] or match[5] or match[7] or b"",
            match[3] or b"0",
        )
        for match in _long_numbers(payload)
    )


def _long_numbers(payload: bytes) -> Iterable[re.Match[bytes]]:
    return _LONG_NUMBER.finditer(_STRINGS.sub(b'""', payload))


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
