"""Between the daemon and PostgreSQL: swallows the replies to some commits of rows."""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import psycopg
from gevent import socket
from gevent.server import StreamServer


class CommitProxy:
    """Listens in ``folder`` (or on loopback), leads to ``url``.

    Args:
        url: PostgreSQL's, by Unix socket or TCP.
        folder: For a socket of its own; the name must be short.
        chance: Decides which commits.
        share: Of the commits that follow a COPY.
    """

    def __init__(self, url: str, folder: Path, chance: random.Random, share: float) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(url)
        host, port = str(parts["host"]), int(str(parts.get("port", 5432)))
        self._unix = host.startswith("/")
        self._target: Any = f"{host}/.s.PGSQL.{port}" if self._unix else (host, port)
        self._chance, self._share = chance, share
        self.armed = False
        self.commits = self.swallowed = 0
        self.holds = False
        """Whether a server that dies leaves its connections open, in silence."""
        listener: Any = ("127.0.0.1", 0)
        if self._unix:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / ".s.PGSQL.5432"))
            listener.listen()
        self._server = StreamServer(listener, self._serve)
        self._server.start()
        place = str(folder) if self._unix else "127.0.0.1"
        port = 5432 if self._unix else self._server.server_port
        user, database = parts.get("user", ""), parts.get("dbname", "")
        self.url = f"postgresql://{user}@/{database}?host={place}&port={port}"

    def _serve(self, client: Any, _address: object) -> None:
        server = socket.socket(socket.AF_UNIX if self._unix else socket.AF_INET)
        try:
            server.connect(self._target)
            back = gevent.spawn(self._pass_back, server, client)
            self._pass_on(client, server, back)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def _pass_on(self, client: Any, server: Any, back: gevent.Greenlet) -> None:
        storing = False
        while data := client.recv(65536):
            storing = storing or b"COPY " in data
            if storing and b"COMMIT" in data and self.armed:
                storing = False
                self.commits += 1
                if self._chance.random() < self._share:
                    self.swallowed += 1
                    back.kill()
                    if self._chance.random() < 0.5:
                        server.sendall(data)
                        server.recv(65536)  # it is committed; nobody learns of it
                    return
            self._send(server, data)

    def _send(self, server: Any, data: bytes) -> None:
        try:
            server.sendall(data)
        except OSError:
            if not self.holds:
                raise

    def _pass_back(self, server: Any, client: Any) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        if not self.holds:  # a server that dies is not one that is silent
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._server.stop()
