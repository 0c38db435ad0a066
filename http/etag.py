"""Entity tags: a caller that has the current answer gets 304 instead of the body.

A tag is a hash of the answer itself, made from what was just read, so it can never be older than
what it stands for; no invalidation is needed. It spares the sending, not the reading. Tags are
weak (RFC 9110, section 8.8.1): ``timestamp``, the time of answering, is left out.
"""

import hashlib
from typing import Any, Final

import msgspec

from ..runtime import give_way
from .errors import Headers
from .requests import Environ
from .routes import Answer

# Kept by the caller, revalidated before each use.
REVALIDATE: Final = ("Cache-Control", "private, no-cache")

# Takes a millisecond or two; a page can hold tens of megabytes.
_TURN_BYTES: Final = 1024 * 1024


def tag_of(*body: bytes | memoryview) -> str:
    """The strong tag of exactly these bytes; yields to other greenlets between megabytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in body:
        for start in range(0, len(part), _TURN_BYTES):
            if start:
                give_way()
            digest.update(part[start : start + _TURN_BYTES])
    return f'"{digest.hexdigest()}"'


def tagged(environ: Environ, value: Any) -> Answer:
    """``value`` (a Struct with the ``timestamp`` of the answer) as JSON; or 304."""
    body = msgspec.json.encode(value)
    timestamp = b'"timestamp":"%b"' % value.timestamp.encode()
    # The first one is the answer's own: what stands before it is never data.
    start = body.index(timestamp)
    view = memoryview(body)
    tag = tag_of(view[:start], view[start + len(timestamp) :])
    return unless_known(environ, Answer(body), f"W/{tag}", (REVALIDATE,))


def unless_known(environ: Environ, answer: Answer, etag: str, headers: Headers) -> Answer:
    """``answer`` with its tag; without a body (304) if the caller has it already."""
    every = (*answer.headers, ("ETag", etag), *headers)
    if matches(str(environ.get("HTTP_IF_NONE_MATCH", "")), etag):
        return Answer(b"", 304, answer.content_type, every)
    return Answer(answer.body, answer.status, answer.content_type, every)


def matches(given: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names this tag; compared weakly (RFC 9110, section 13.1.2)."""
    known = etag.removeprefix("W/")
    candidates = (one.strip().removeprefix("W/") for one in given.split(","))
    return any(one in {"*", known} for one in candidates)
