"""The private parts of gevent's WSGI server and gevent-websocket's handler that we build on.

All of them are named here. setup.cfg bounds both libraries from above, and
``tests/http/edge/test_wsgi.py`` fails when one of these parts changes.
"""

from contextlib import suppress
from typing import Any, Final

from gevent.pywsgi import Input, OldMessage, WSGIServer, _InvalidClientInput
from geventwebsocket.handler import WebSocketHandler

from ...runtime import OrchestratorError, deadline

__all__ = ["DISCARD_BYTES", "Body", "OldMessage", "WSGIServer", "WebSocketHandler"]

DISCARD_BYTES: Final = 256 * 1024
"""Of what no handler has read so much is read, lest closing resets the connection."""

_DISCARD_S: Final = 2.0


class _Idle(OrchestratorError):
    """Nothing came in time."""


class Body(Input):  # type: ignore[misc] # gevent is untyped here
    """A request's body."""

    __slots__ = ()

    @classmethod
    def of(cls, made: Any) -> "Body":
        """The same body as ``made``, an ``Input``."""
        return cls(
            made.rfile, made.content_length, socket=made.socket, chunked_input=made.chunked_input
        )

    def _discard(self) -> None:
        """Read what was left unread, up to 256 KiB and for 2 s; the server calls it.

        Raises:
            _InvalidClientInput: There is more; the server then closes the connection.
        """
        if self._chunked_input_error:
            return
        unread = self.chunked_input and self.chunk_length != 0
        if not unread and self.position >= (self.content_length or 0):
            return
        self.socket = None  # type: ignore[misc] # no "100 Continue" any more
        left = DISCARD_BYTES
        with suppress(_Idle), deadline(_DISCARD_S, _Idle()):
            while left > 0:
                try:
                    piece = self.read(min(left, 16_384))
                except ValueError:  # a chunk without a size
                    break
                if not piece:
                    return
                left -= len(piece)
        raise _InvalidClientInput("the body was not read")
