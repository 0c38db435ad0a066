"""Single fields of a stranger's JSON, whatever they hold, read at a bounded cost. Pure.

To make objects of a megabyte of nested lists or long fractions takes half a second; to pass over
it takes two milliseconds. So lists and objects are passed over.
"""

from typing import Any, Final, Generic, TypeVar

import msgspec

WHOLE_BYTES: Final = 4 * 1024
"""For what is read by the thousand: up to here a payload is read whatever its fields hold, which
takes three milliseconds at worst."""
MAX_NUMBER_BYTES: Final = 64
"""A longer number is passed over, too."""

T = TypeVar("T", bound=msgspec.Struct)


class FieldReader(Generic[T]):
    """Reads the fields of a payload that a Struct names.

    Args:
        wanted: Its fields are of any type (``object``) and have defaults; others are passed over.
        whole_bytes: Of payloads up to this size lists and objects are made, too.
    """

    def __init__(self, wanted: type[T], *, whole_bytes: int = 0) -> None:
        self._names = [(field.name, field.encode_name) for field in msgspec.structs.fields(wanted)]
        unread = [(name, msgspec.Raw, msgspec.field(default=_ABSENT)) for name, _ in self._names]
        passed_over = msgspec.defstruct(
            f"Unread{wanted.__name__}", unread, rename=dict(self._names)
        )
        self._wanted = wanted
        self._whole_bytes = whole_bytes
        self._read = msgspec.json.Decoder(wanted).decode
        self._pass_over: Any = msgspec.json.Decoder(passed_over).decode

    def __call__(self, payload: bytes) -> T:
        """The fields; lists, objects and very long numbers as `msgspec.Raw`, which is neither.

        Raises:
            msgspec.ValidationError: It is no object; what follows may not be JSON.
            msgspec.DecodeError: It is not JSON.
            RecursionError: It is nested too deep.
        """
        if len(payload) <= self._whole_bytes:
            return self._read(payload)
        return self._wanted(**{name: value for name, _, value in self._given(payload)})

    def mapping(self, payload: bytes) -> dict[str, Any]:
        """The fields that are there by their names in JSON; none if it is no JSON object."""
        try:
            return self.read_mapping(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}

    def read_mapping(self, payload: bytes) -> dict[str, Any]:
        """The same; nothing is made of lists and objects, however small the payload.

        Raises:
            Exception: as a call does.
        """
        given = self._given(payload)
        return {name: value for _, name, value in given if value is not None}

    def _given(self, payload: bytes) -> list[tuple[str, str, Any]]:
        found = self._pass_over(payload)
        raws = [(name, given, getattr(found, name)) for name, given in self._names]
        return [(name, given, _simple(raw)) for name, given, raw in raws if raw is not _ABSENT]


_ABSENT: Final = msgspec.Raw(b"null")


def _simple(raw: msgspec.Raw) -> object:
    """A string, a number, a word; anything else as it is."""
    text = bytes(raw)
    if text[:1] in b"[{" or (text[:1] != b'"' and len(text) > MAX_NUMBER_BYTES):
        return raw
    return msgspec.json.decode(text)
