"""Requests that ask for as much work as a caller can, made from the routes' own declarations.

A new route, parameter or field of a body is asked by itself: nothing here names one.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from orchestrator.http.routes import Route

from ..hostile import COSTLY, HOSTILE, costly_json

MIB = 1024 * 1024
LINE_BYTES = 7_500
"""Of a target: some less than a request line may have."""


class Asked(NamedTuple):
    """One request."""

    name: str
    """What it is, for the message of a failure."""
    method: str
    target: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        """As it goes on the wire; the connection ends with the answer."""
        fixed = [("Host", "localhost")]
        if self.body is not None:
            fixed += [("Content-Type", "application/json"), ("Content-Length", str(len(self.body)))]
        if ("Connection", "Upgrade") not in self.headers:
            fixed.append(("Connection", "close"))
        lines = [f"{name}: {value}" for name, value in (*fixed, *self.headers)]
        head = "\r\n".join((f"{self.method} {self.target} HTTP/1.1", *lines, "", ""))
        return head.encode("latin-1") + (self.body or b"")


def requests_of(route: Route) -> Iterator[Asked]:
    """All hostile requests of one route."""
    yield from _paths(route)
    yield from _queries(route)
    yield from _headers(route)
    if route.method == "POST":
        yield from _bodies(route)


def upgrades_of(route: Route) -> Iterator[Asked]:
    """Its queries, asked for as WebSockets."""
    for asked in _queries(route):
        yield asked._replace(headers=(*asked.headers, *_UPGRADE))


_UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def _asked(route: Route, what: str, target: str, **more: Any) -> Asked:
    # What has no end is asked for its head; the feed's own tests open it.
    method = "HEAD" if route.endless else route.method
    if method == "POST" and "body" not in more:
        more["body"] = json.dumps(route.example or {}).encode()
    return Asked(f"{route.method} {route.path}: {what[:80]!r}", method, target, **more)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")[:LINE_BYTES]


def _path(route: Route, value: str) -> str:
    parts = route.path.split("/")
    return "/".join(value if part.startswith("{") else part for part in parts)


def _paths(route: Route) -> Iterator[Asked]:
    if "{" not in route.path:
        yield _asked(route, "as it is", route.path)
        return
    for text in (*HOSTILE, *COSTLY):
        yield _asked(route, f"path {text}", _path(route, _quoted(text)))


def _queries(route: Route) -> Iterator[Asked]:
    path = _path(route, "1")
    yield _asked(route, "thousands", f"{path}?{'a&' * 3_000}")
    names = (
        [field.encode_name for field in msgspec.structs.fields(route.query)] if route.query else []
    )
    for text in HOSTILE if names else ():
        every = "&".join(f"{name}={_quoted(text)}" for name in names)
        yield _asked(route, f"all {text}", f"{path}?{every}")
    for name in names:
        for text in COSTLY:
            one = f"{name}={_quoted(text)}"[:LINE_BYTES]
            yield _asked(route, one, f"{path}?{one}")
            repeated = "&".join([one] * min(50, LINE_BYTES // len(one)))
            yield _asked(route, f"repeated {one}", f"{path}?{repeated}")


def _headers(route: Route) -> Iterator[Asked]:
    path = _path(route, "1")
    for name, value in _HEADERS:
        yield _asked(route, f"{name}: {value}", path, headers=((name, value),))
    many = tuple((f"X-{number}", "y") for number in range(95))
    yield _asked(route, "95 headers", path, headers=many)


_HEADERS = (
    ("If-None-Match", ",".join(['W/"x"'] * 2_000)),
    ("X-Request-ID", "x" * 15_000),
    ("traceparent", "00-" + "0" * 15_000),
    ("Origin", "http://" + "a." * 7_000),
    ("X-Forwarded-For", ",".join(["1.1.1.1"] * 1_900)),
    ("Authorization", "Bearer " + "x" * 15_000),
    ("Cookie", "a=b; " * 3_000),
    ("Last-Event-ID", "9" * 15_000),
    ("Accept-Encoding", "gzip;q=0," * 1_600),
    ("Access-Control-Request-Headers", "x," * 7_000),
    ("Sec-WebSocket-Protocol", "bearer," * 2_000),
)


def _bodies(route: Route) -> Iterator[Asked]:
    path = _path(route, "no-such")
    documents = costly_bodies()
    for what, document in documents if route.body else documents[:3]:
        yield _asked(route, f"body {what}", path, body=document)
    for field in msgspec.structs.fields(route.body) if route.body else ():
        others = {name: one for name, one in (route.example or {}).items() if name != field.name}
        head = json.dumps(others)[:-1] + (", " if others else "") + f'"{field.encode_name}": '
        for what, document in documents:
            body = head.encode() + document + b"}"
            assert len(body) <= MIB
            yield _asked(route, f"{field.name} is {what}", path, body=body)


@cache
def costly_bodies() -> tuple[tuple[str, bytes], ...]:
    """Documents of nearly a megabyte by name, made once."""
    return tuple(costly_json(MIB - 4_096))
