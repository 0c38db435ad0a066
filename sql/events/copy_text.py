r"""Rows as PostgreSQL's `COPY … FROM STDIN` takes them: text format, a line per row.

A line is `id TAB type TAB source TAB ts TAB payload LF`, with `\N` for no source. (PostgreSQL's
documentation of COPY, "Text Format".)
"""

from typing import Final

NULL = rb"\N"

# What is longer and nothing but printable ASCII, tabs, newlines and returns goes another way.
_LONG_BYTES: Final = 1024
_PLAIN: Final = bytes([*b"\t\n\r", *range(32, 127)])
_SPECIAL: Final = (b"\\", b"\t", b"\n", b"\r")


def copy_field(value: bytes) -> bytes:
    r"""The bytes of one field: backslash, tab, newline and carriage return escaped."""
    if len(value) >= _LONG_BYTES and _is_plain_and_special(value):
        # Of such text it escapes the same four: a megabyte of them takes 2 ms instead of 10.
        return value.decode("ascii").encode("unicode_escape")
    # replace() without a hit costs a memchr and hands back the same object.
    return (
        value.replace(b"\\", b"\\\\")
        .replace(b"\n", b"\\n")
        .replace(b"\t", b"\\t")
        .replace(b"\r", b"\\r")
    )


def _is_plain_and_special(value: bytes) -> bool:
    return any(one in value for one in _SPECIAL) and not value.translate(None, _PLAIN)


def copy_row(event_id: int, event_type: str, source: str | None, ts: str, payload: bytes) -> bytes:
    """The line of one event.

    Args:
        event_id: its id.
        event_type: the channel, as stored.
        source: who published it, or None.
        ts: when it was read, ISO 8601 with `Z`.
        payload: the JSON as published, UTF-8.
    """
    who = NULL if source is None else copy_field(source.encode())
    kind = copy_field(event_type.encode())
    return b"%d\t%b\t%b\t%b\t%b\n" % (event_id, kind, who, ts.encode(), copy_field(payload))
