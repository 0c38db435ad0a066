"""The market regime as it is kept: the last report, with when it came and from whom. Pure."""

import msgspec

from ...sql.state import StateRow
from ..events import Event


class Regime(msgspec.Struct, frozen=True):
    """The last regime that was reported."""

    payload: msgspec.Raw
    """As published, with ``last_update`` and ``source`` added."""
    last_update: str | None
    """When it came."""
    source: str | None
    """From whom."""


class _StoredRegime(msgspec.Struct):
    last_update: str | None = None
    source: str | None = None


def regime_value(event: Event) -> bytes:
    """The payload with ``last_update`` and ``source``; what is no object is put into one."""
    try:
        fields = msgspec.json.decode(event.payload, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        fields = {"value": msgspec.Raw(event.payload)}
    fields["last_update"] = msgspec.Raw(msgspec.json.encode(event.ts))
    fields["source"] = msgspec.Raw(msgspec.json.encode(event.source))
    return msgspec.json.encode(fields)


def read_regime(row: StateRow) -> Regime:
    """A kept value, also one that another program wrote."""
    try:
        stored = msgspec.json.decode(row.value, type=_StoredRegime)
    except (msgspec.DecodeError, RecursionError):  # others may have written anything
        stored = _StoredRegime()
    return Regime(row.value, stored.last_update or row.updated_at, stored.source)
