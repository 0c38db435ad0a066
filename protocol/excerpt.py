"""Text for eyes of bounded length, made at bounded cost, of whatever size a value is.

Callers size payloads, channels and reasons. ``repr(value)[:500]`` writes all of it out before it is
cut: a batch of some megabytes stalls the loop for that, and a log takes it whole where the cut is
forgotten.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

LIMIT: Final = 500
"""Characters of a message or payload that is named in a log line; who it is from stands first."""


def excerpt(value: object, limit: int = LIMIT) -> str:
    """The beginning of ``repr(value)``, ``limit`` characters at most, the last one ``…`` if cut.

    Looks at no more of containers, texts and bytes than it shows, however deep they are. Structs
    and dataclasses have their class's name before their fields, and so have tuples with names.
    """
    shown, length = [], 0
    pending: list[_Parts] = [_parts(value, limit)]
    while pending and length <= limit:
        part = next(pending[-1], None)
        if part is None:
            pending.pop()
        elif isinstance(part, str):
            shown.append(part)
            length += len(part)
        else:
            pending.append(part)
    return shortened("".join(shown), limit)


def shortened(text: str, limit: int = LIMIT) -> str:
    """The text, ``limit`` characters at most, the last one ``…`` if it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


_Parts = Iterator[Any]
"""Texts, and iterators of the same in their place: no recursion, so no limit of depth."""


def _parts(value: object, limit: int) -> _Parts:
    match value:
        case str() | bytes() | bytearray():
            yield repr(value[: limit + 1])
        case list() | tuple() | set() | frozenset():
            name = "" if type(value) in (list, tuple) else type(value).__name__
            yield f"{name}[" if isinstance(value, list) else f"{name}("
            yield _joined(_parts(one, limit) for one in value)
            yield "]" if isinstance(value, list) else ")"
        case Mapping():
            yield "{"
            yield _joined(_pair(key, one, limit) for key, one in value.items())
            yield "}"
        case _ if names := _fields(value):
            yield f"{type(value).__name__}("
            yield _joined(_field(value, name, limit) for name in names)
            yield ")"
        case _:
            yield _plain(value)


def _fields(value: object) -> tuple[str, ...]:
    if isinstance(value, type):
        return ()
    if dataclasses.is_dataclass(value):
        return tuple(field.name for field in dataclasses.fields(value) if field.repr)
    return getattr(value, "__struct_fields__", ())


def _plain(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"<{type(value).__name__}>"


def _field(value: object, name: str, limit: int) -> _Parts:
    return iter((f"{name}=", _parts(getattr(value, name), limit)))


def _pair(key: object, value: object, limit: int) -> _Parts:
    return iter((_parts(key, limit), ": ", _parts(value, limit)))


def _joined(items: Iterable[_Parts]) -> _Parts:
    for number, item in enumerate(items):
        if number:
            yield ", "
        yield item
