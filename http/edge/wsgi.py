"""The private parts of gevent's WSGI server and gevent-websocket's handler that we build on.

All of them are named here. setup.cfg bounds both libraries from above, and
``tests/http/edge/test_wsgi.py`` fails when one of these parts changes.
"""

import re
from contextlib import suppress
from typing import Any, Final

from gevent.pywsgi import Input, OldMessage, WSGIServer, _InvalidClientInput
from geventwebsocket.handler import WebSocketHandler

from ...runtime import OrchestratorError, deadline
from ..errors import BodyTooLarge
from ..requests import Environ
from .request_head import Malformed, read_fields

__all__ = ["DISCARD_BYTES", "Body", "OldMessage", "WSGIServer", "WebSocketHandler", "has_body"]

DISCARD_BYTES: Final = 256 * 1024
"""Read after a head that is refused, lest closing resets the connection."""

# Closing with unread data resets the connection: a client, or a proxy that still forwards the body,
# loses the answer that says why. Bodies of up to this many times the limit are read to their end.
_DISCARD_TIMES: Final = 2
_DISCARD_S: Final = 5.0

# Of the line before a chunk, extensions included, and of all trailers together.
_CHUNK_LINE_BYTES: Final = 8 * 1024
_TRAILER_FIELDS: Final = 100
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~]*)?\r\n")


class _Idle(OrchestratorError):
    """Nothing came in time."""


class Body(Input):  # type: ignore[misc] # gevent is untyped here
    """A request's body; of chunks, each line is read as strictly as a head's."""

    __slots__ = ("max_bytes",)

    @classmethod
    def of(cls, made: Any, max_bytes: int) -> "Body":
        """The same body as ``made``, an ``Input``; no chunk has more than ``max_bytes``."""
        body = cls(
            made.rfile, made.content_length, socket=made.socket, chunked_input=made.chunked_input
        )
        body.max_bytes = max_bytes
        return body

    def _Input__read_chunk_length(self, rfile: Any) -> int:  # noqa: N802 gevent's private name
        """The size of the next chunk; 0 after the last one and its trailer.

        Raises:
            _InvalidClientInput: The line, or the trailer, is invalid.
            BodyTooLarge: The chunk is; nothing of it is read.
        """
        self._chunked_input_error = True  # type: ignore[misc] # a slot of gevent's; until it is none
        found = _CHUNK.fullmatch(rfile.readline(_CHUNK_LINE_BYTES))
        if found is None:
            raise _InvalidClientInput("invalid line of a chunk")
        size = int(found[1], 16)
        if size > self.max_bytes:
            raise BodyTooLarge(f"The body may have {self.max_bytes} bytes.")
        if not size:
            try:
                read_fields(rfile.readline, max_fields=_TRAILER_FIELDS, max_bytes=_CHUNK_LINE_BYTES)
            except Malformed as error:
                raise _InvalidClientInput(str(error)) from None
        self._chunked_input_error = False  # type: ignore[misc]
        return size

    def _discard(self) -> None:
        """Read what was left unread, up to twice the limit and for 5 s; the server calls it.

        Raises:
            _InvalidClientInput: There is more; the server then closes the connection.
        """
        if self._chunked_input_error:
            return
        unread = self.chunked_input and self.chunk_length != 0
        if not unread and self.position >= (self.content_length or 0):
            return
        self.socket = None  # type: ignore[misc] # no "100 Continue" any more
        left = _DISCARD_TIMES * self.max_bytes
        with suppress(_Idle), deadline(_DISCARD_S, _Idle()):
            while left > 0:
                try:
                    piece = self.read(min(left, 16_384))
                except BodyTooLarge:
                    break
                if not piece:
                    return
                left -= len(piece)
        raise _InvalidClientInput("the body was not read")


def has_body(environ: Environ) -> bool:
    """Whether a request has a body, or says that it has."""
    body = environ.get("wsgi.input")
    return bool(getattr(body, "chunked_input", False) or getattr(body, "content_length", 0))
