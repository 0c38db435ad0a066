"""Strict parsing of request heads: what two programs could read in two ways is refused.

A proxy that parses a request differently than we do enables request smuggling. So there is one way
to write each element (RFC 9112), and everything else ends the connection. Pure.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

MAX_LINE_BYTES: Final = 8 * 1024
"""Of the request line; browsers and proxies have the same limit."""

BLANKS: Final = " \t\r\n"
"""Around a field's value in its line. Python's own idea of blanks (NEL, NBSP) is not HTTP's."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rf"({_WORD}) ([!-~\x80-\xff]+) (HTTP/1\.[01])\r\n")
_FIELD: Final = re.compile(rf"({_WORD}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
# Repeated, these would be ambiguous; they are no lists either.
_ONCE: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "content-type",
        "authorization",
        "origin",
        "upgrade",
        "expect",
        "sec-websocket-key",
        "sec-websocket-version",
    }
)
# Without user information; a port has digits, and nothing follows an address in brackets but one.
_HOST: Final = re.compile(
    r"(?:\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?"
)
# Of these a proxy may strip what we do not, or the other way round.
_ASCII: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "origin", "connection", "upgrade"}
)


class Malformed(ValueError):
    """The request is ambiguous or invalid; the text is for the log."""

    status = 400


class TooMuch(Malformed):
    """The head is over the limit."""

    status = 431


class TooLate(Malformed):
    """The head did not arrive in time."""

    status = 408


class RequestLine(NamedTuple):
    """The first line."""

    method: str
    """As sent; methods are case-sensitive."""
    target: str
    """A path with a query, as sent."""
    version: str
    """``HTTP/1.0`` or ``HTTP/1.1``."""


def request_line(line: str) -> RequestLine:
    """Parse the first line.

    Raises:
        Malformed: It is invalid, or of another protocol (HTTP/0.9 has no third word).
    """
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Malformed("no request line of HTTP/1.0 or HTTP/1.1")
    if not found[2].startswith("/") and not (found[2] == "*" and found[1] == "OPTIONS"):
        raise Malformed("the target is not a path")
    return RequestLine(found[1], found[2], found[3])


def read_fields(readline: Callable[[int], bytes], *, max_fields: int, max_bytes: int) -> list[str]:
    """Read the header lines up to the empty one, each as it was sent.

    Raises:
        TooMuch: There are too many, or they are too long.
        Malformed: One is invalid, is folded, or ends in a bare LF; or the rest is missing.
    """
    lines: list[str] = []
    size = 0
    while (line := readline(max_bytes - size + 1)) != b"\r\n":
        size += len(line)
        if size > max_bytes or len(lines) >= max_fields:
            raise TooMuch(f"more than {max_fields} header lines or {max_bytes} bytes")
        text = line.decode("latin-1")
        if _FIELD.fullmatch(text) is None:
            raise Malformed("invalid header line")
        lines.append(text)
    return lines


def check_fields(lines: Iterable[str], line: RequestLine) -> None:
    """Check the headers that frame the message.

    Raises:
        Malformed: The end of the body or the host is ambiguous.
    """
    once: dict[str, str] = {}
    for text in lines:
        name, _, value = text.partition(":")
        name = name.lower()
        if name in _ASCII and not value.isascii():
            raise Malformed(f"{name} is not ASCII")
        if name in _ONCE:
            if name in once:
                raise Malformed(f"{name} given twice")
            once[name] = value.strip(BLANKS)
    _check_body(once, line)
    if "host" not in once and line.version == "HTTP/1.1":
        raise Malformed("no Host")
    if _HOST.fullmatch(once.get("host", "")) is None:
        raise Malformed("invalid Host")
    if once.get("expect", "100-continue").lower() != "100-continue":
        raise Malformed("unknown expectation")


def _check_body(once: dict[str, str], line: RequestLine) -> None:
    length, coding = once.get("content-length"), once.get("transfer-encoding")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise Malformed("Content-Length is not a number")
    if coding is None:
        return
    if length is not None:
        raise Malformed("Content-Length and Transfer-Encoding")
    if coding.lower() != "chunked" or line.version != "HTTP/1.1":
        raise Malformed("a Transfer-Encoding other than chunked")
