"""A TCP proxy that passes all through until it is told to cut, delay or swallow."""

from collections.abc import Callable
from typing import Any, Self

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

Filter = Callable[[bytes], bytes | None]
"""Gets what goes one way; returns what is passed on, or None to swallow it."""


class Proxy:
    """Listens on a free loopback port and leads to `host:port`. Use as a context manager.

    Attributes:
        port: Where it listens; it stays the same over `refuse` and `accept`.
        accepted: Connections taken so far.
        delay_s: Each piece waits for so long, in each direction.
        to_server, to_client: Filters; None passes all through.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._pairs: set[tuple[Any, Any]] = set()
        self._flowing = Event()
        self._flowing.set()
        self._server = self._listen(0)
        self.port = int(self._server.server_port)
        self.accepted = 0
        self.delay_s = 0.0
        self.to_server: Filter | None = None
        self.to_client: Filter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def cut(self) -> None:
        """Reset all connections that stand; new ones are accepted."""
        for pair in list(self._pairs):
            self._reset(pair)

    def refuse(self) -> None:
        """Reset all connections and accept none, as a server that is not there."""
        if self._server.started:
            self._server.stop(timeout=0)
        self.cut()

    def accept(self) -> None:
        """Take connections again after `refuse`."""
        self._server = self._listen(self.port)

    def freeze(self) -> None:
        """Pass nothing on, in silence, also of new connections: a half-open network."""
        self._flowing.clear()

    def thaw(self) -> None:
        """End `freeze`; what was held back goes on its way."""
        self._flowing.set()

    def _listen(self, port: int) -> StreamServer:
        server = StreamServer(("127.0.0.1", port), self._serve)
        server.start()
        return server

    def _serve(self, client: Any, _address: object) -> None:
        self.accepted += 1
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        self._pairs.add(pair)
        ways = [
            gevent.spawn(self._pump, client, server, lambda: self.to_server),
            gevent.spawn(self._pump, server, client, lambda: self.to_client),
        ]
        gevent.joinall(ways, count=1)
        gevent.killall(ways)
        self._reset(pair)

    def _pump(self, source: Any, sink: Any, current: Callable[[], Filter | None]) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                if self.delay_s:
                    gevent.sleep(self.delay_s)
                transform = current()
                passed = data if transform is None else transform(data)
                if passed:
                    sink.sendall(passed)
        except OSError:
            return

    def _reset(self, pair: tuple[Any, Any]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
