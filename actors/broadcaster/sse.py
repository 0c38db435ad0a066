"""Frames as messages of a Server-Sent Events stream (WHATWG HTML, section 9.2); pure.

A message holds the same JSON as the WebSocket's frame. Its ``id``, which a browser sends back as
``Last-Event-ID``, is the event's, and so the cursor to resume from.
"""

import re
from typing import Final

from .frames import text_of

CONTENT_TYPE: Final = "text/event-stream"

KEEP_ALIVE: Final = b":\n\n"
"""A comment: nobody sees it, but proxies see that the stream lives."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


def message(frame: bytes, event_id: int | None) -> bytes:
    """``frame`` as a message; without ``event_id`` the place to resume from stays the one before.

    Line ends in JSON as it was published stand between its tokens, where one is as good as another.
    """
    text = text_of(frame)
    if b"\n" in text or b"\r" in text:
        text = b"\ndata: ".join(_LINE_END.split(text))
    if event_id is None:
        return b"data: %b\n\n" % text
    return b"id: %d\ndata: %b\n\n" % (event_id, text)


def retry(milliseconds: int) -> bytes:
    """How long a client is to wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds
