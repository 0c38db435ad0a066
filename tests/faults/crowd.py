"""Many subscribers in one process: some are cut off and come back, some do not read for a while.

``python -m faults.crowd URL FILE OPTIONS``, options as JSON (see ``Options``): until the id that is
written to its standard input was seen by all. Then it writes to FILE what each of them got.
"""

import base64
import heapq
import json
import random
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CATCH_UP_S = 90.0
SIGN_OF_LIFE_S = 20.0
REOPEN_S = 0.2
PING = b"\x89\x80\x00\x00\x00\x00"
EVENT = b'{"type":"redis_event","id":'


@dataclass
class Options:
    """What this crowd does."""

    clients: int
    since: int
    """The id that all have seen before."""
    seed: int
    cuts: int = 0
    """Clients that are cut off, one after the other, within ``cuts_in_s``."""
    cuts_in_s: float = 10.0
    away_s: float = 1.0
    """How long one that was cut off stays away, at most."""
    sse: int = 0
    """Clients that take Server-Sent Events."""
    quiet: int = 0
    """Clients that do not read, from the start on."""
    quiet_s: float = 10.0
    """For so long."""


@dataclass
class Seen:
    """What one subscriber got; written to the file."""

    quiet: bool
    count: int = 0
    last: int = 0
    twice: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    reopened: int = 0
    errors: list[str] = field(default_factory=list)


class Subscriber:
    """One connection after the other, each from the last event on."""

    def __init__(self, crowd: "Crowd", *, sse: bool, quiet: bool) -> None:
        self.seen = Seen(quiet, last=crowd.options.since)
        self.socket: socket.socket | None = None
        self._crowd = crowd
        self._sse = sse
        self._reading = not quiet
        self._buffer = b""
        self._begun = False

    def open(self) -> None:
        """Connect again behind the last event."""
        if self.socket is not None:
            return
        sock = socket.socket()
        if not self._reading:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.connect(self._crowd.address)
        head = f"?since={self.seen.last} HTTP/1.1\r\nHost: localhost\r\n"
        if self._sse:
            sock.sendall(f"GET /events/stream{head}\r\n".encode())
        else:
            key = base64.b64encode(b"0" * 16).decode()
            upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            sock.sendall(f"GET /ws{head}{upgrade}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        sock.setblocking(False)
        self.socket, self._buffer, self._begun = sock, b"", False
        if self._reading:
            self._crowd.selector.register(sock, selectors.EVENT_READ, self)

    def cut(self, *, hard: bool) -> None:
        """Lose the connection, with a farewell or without."""
        if self.socket is None:
            return
        if self._reading:
            self._crowd.selector.unregister(self.socket)
        if hard:
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        self.socket = None

    def read_again(self) -> None:
        """Take what has been waiting."""
        if not self._reading:
            self._reading = True
            if self.socket is not None:
                self._crowd.selector.register(self.socket, selectors.EVENT_READ, self)

    def show_life(self) -> None:
        """As clients do that answer pings."""
        if self.socket is not None and self._begun and not self._sse:
            try:
                self.socket.send(PING)
            except OSError:
                return

    def read(self) -> None:
        """What is there."""
        assert self.socket is not None
        try:
            data = self.socket.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.cut(hard=False)
            self.seen.reopened += 1
            self._crowd.later(REOPEN_S, self.open)
            return
        self._buffer += data
        if not self._begun and not self._begin():
            return
        self._buffer = self._sse_messages() if self._sse else self._frames()

    def _begin(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
            self.seen.errors.append(head[:100].decode("latin-1"))
        self._begun, self._buffer = True, rest
        return True

    def _frames(self) -> bytes:
        """Take all whole frames; what is left."""
        data, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 2:
            length, header = data[at + 1], 2
            if length == 126:
                length, header = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, header = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            start = at + header
            if start + length > end or end - at < header:
                break
            if data[at] == 0x81:
                self._take(data[start : start + length])
            at = start + length
        return data[at:]

    def _sse_messages(self) -> bytes:
        *whole, rest = self._buffer.split(b"\n\n")
        for message in whole:
            _, found, text = message.partition(b"data: ")
            if found:
                self._take(text)
        return rest

    def _take(self, text: bytes) -> None:
        seen = self.seen
        if text.startswith(EVENT):
            event_id = int(text[len(EVENT) : text.index(b",", len(EVENT))])
            if event_id <= seen.last:
                seen.twice += 1
                return
            seen.last = event_id
            seen.count += 1
            return
        frame: dict[str, Any] = json.loads(text)
        match frame["type"]:
            case "gap":
                seen.gaps.append((frame["from"], frame["to"]))
                seen.last = max(seen.last, frame["to"])
            case "error":
                seen.errors.append(frame["error"])


class Crowd:
    """All of them, on one loop."""

    def __init__(self, url: str, options: Options) -> None:
        parts = urlsplit(url)
        self.address = (str(parts.hostname), int(parts.port or 80))
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.until: int | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timers_made = 0
        self.subscribers = [
            Subscriber(
                self,
                sse=number < options.sse,
                quiet=number >= options.clients - options.quiet,
            )
            for number in range(options.clients)
        ]

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it then."""
        self._timers_made += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._timers_made, call))

    def run(self) -> None:
        """Until all have seen what there is to be seen."""
        for subscriber in self.subscribers:
            subscriber.open()
        sys.stdout.write("open\n")
        sys.stdout.flush()
        self._plan()
        deadline = float("inf")
        while not self._is_done() and time.monotonic() < deadline:
            if self.until is not None and deadline == float("inf"):
                deadline = time.monotonic() + CATCH_UP_S
            for key, _ in self.selector.select(self._wait_s()):
                key.data.read()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def _plan(self) -> None:
        chance, options = random.Random(self.options.seed), self.options
        reading = self.subscribers[: options.clients - options.quiet]
        for _ in range(options.cuts):
            one, at = chance.choice(reading), chance.uniform(0, options.cuts_in_s)
            hard, away_s = chance.random() < 0.5, chance.uniform(0, options.away_s)
            self.later(at, lambda one=one, hard=hard: one.cut(hard=hard))  # type: ignore[misc]
            self.later(at + away_s, one.open)
        for one in self.subscribers[options.clients - options.quiet :]:
            self.later(options.quiet_s, one.read_again)
        self._show_life()

    def _show_life(self) -> None:
        for subscriber in self.subscribers:
            subscriber.show_life()
        self.later(SIGN_OF_LIFE_S, self._show_life)

    def _wait_s(self) -> float:
        return min(0.05, max(0.0, self._timers[0][0] - time.monotonic()))

    def _is_done(self) -> bool:
        until = self.until
        return until is not None and all(one.seen.last >= until for one in self.subscribers)

    def wait_for_the_end(self) -> None:
        """Read the last id from standard input, in a thread of its own."""
        self.until = int(sys.stdin.readline().strip() or "0")


def main() -> None:
    """Be a crowd until told to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    url, file, options = sys.argv[1:]
    crowd = Crowd(url, Options(**json.loads(options)))
    threading.Thread(target=crowd.wait_for_the_end, daemon=True).start()
    crowd.run()
    seen = [asdict(one.seen) for one in crowd.subscribers]
    Path(file).write_text(json.dumps({"seen": seen}))


if __name__ == "__main__":
    main()
