"""One client in a process of its own: a poller, a WebSocket, or one that only measures answers.

``python -m faults.onlooker poll|follow|probe URL FILE``: until its standard input is closed (and,
following a cursor, until it has seen the id that was written there). Then it writes JSON to FILE:
the ids in the order seen, what arrived how late (ms), and the longest silence (s).
"""

import http.client
import json
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import websockets.exceptions
from websockets.sync.client import connect

CATCH_UP_S = 120.0
PAUSE_S = 0.02
FAILURES = (
    OSError,
    ValueError,
    http.client.HTTPException,
    websockets.exceptions.WebSocketException,
)


class Onlooker:
    """What it has seen so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ids: list[int] = []
        self.replaced: list[int] = []
        self.times_ms: list[float] = []
        self.health_ms: list[float] = []
        """Of those, the answers that hold next to nothing."""
        self.errors = 0
        self.failures: list[str] = []
        self.longest_silence_s = 0.0
        self._heard_at = 0.0
        self.until: int | None = None
        """The id after which it has seen enough; None: not known yet."""
        self.deadline = float("inf")

    @property
    def done(self) -> bool:
        """Whether all was seen that is to be seen."""
        if self.until is None:
            return False
        return (self.ids[-1] if self.ids else 0) >= self.until or time.monotonic() > self.deadline

    @property
    def last(self) -> int:
        """The newest id seen."""
        return self.ids[-1] if self.ids else 0

    def note(self, event_id: int, ts: str) -> None:
        """One event was seen."""
        now = time.monotonic()
        if self._heard_at:
            self.longest_silence_s = max(self.longest_silence_s, now - self._heard_at)
        self._heard_at = now
        self.ids.append(event_id)
        late = datetime.now(UTC) - datetime.fromisoformat(ts)
        self.times_ms.append(late.total_seconds() * 1000)

    def poll(self) -> None:
        """Follow the cursor by GET."""
        while not self.done:
            try:
                page = self._get(f"/bus/events?after={self.last}&order=asc&limit=200")
            except FAILURES:
                self.errors += 1
                time.sleep(PAUSE_S)
                continue
            for event in page["events"]:
                self.note(event["id"], event["ts"])
            if not page["has_more"]:
                time.sleep(PAUSE_S)

    def follow(self) -> None:
        """Follow by WebSocket; after each cut what was missed is fetched from the cursor on."""
        while not self.done:
            try:
                with connect(
                    self.url.replace("http", "ws") + "/ws", max_size=None, open_timeout=5
                ) as socket:
                    greeting = json.loads(socket.recv(timeout=5))
                    self._fill(greeting["cursor"])
                    self._hear(socket)
            except FAILURES:
                self.errors += 1
                time.sleep(PAUSE_S)

    def _fill(self, cursor: int) -> None:
        """Fetch all up to what the connection will bring by itself."""
        while self.last < cursor and not self.done:
            page = self._get(f"/bus/events?after={self.last}&order=asc&limit=200")
            if not page["events"]:
                return
            for event in page["events"]:
                self.note(event["id"], event["ts"])

    def _hear(self, socket: Any) -> None:
        while not self.done:
            try:
                frame = json.loads(socket.recv(timeout=0.5))
            except TimeoutError:
                continue
            if frame["type"] == "gap":
                return  # too slow: again, from the cursor
            if frame["type"] != "redis_event":
                continue
            if frame.get("replaces"):
                self.replaced.append(frame["id"])
            elif frame["id"] > self.last:
                self.note(frame["id"], frame["timestamp"])

    def probe(self) -> None:
        """Measure answers, of memory and of health in turn."""
        while self.until is None:
            for path in ("/health", "/bus/events?limit=50"):
                began = time.monotonic()
                try:
                    self._read(path)  # not decoded: Python refuses numbers that JSON allows
                except FAILURES as error:
                    self.failures.append(f"{path}: {error}")
                else:
                    self.times_ms.append((time.monotonic() - began) * 1000)
                    if path == "/health":
                        self.health_ms.append(self.times_ms[-1])
                time.sleep(PAUSE_S)

    def _get(self, path: str) -> Any:
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            body: bytes = response.read()
        return body

    def wait_for_the_end(self) -> None:
        """Read the last id from standard input, in a thread of its own."""
        line = sys.stdin.readline().strip()
        self.deadline = time.monotonic() + CATCH_UP_S
        self.until = int(line or "0")


def main() -> None:
    """Look on until told to stop."""
    kind, url, file = sys.argv[1:]
    onlooker = Onlooker(url)
    threading.Thread(target=onlooker.wait_for_the_end, daemon=True).start()
    getattr(onlooker, kind)()
    names = (
        "ids",
        "replaced",
        "times_ms",
        "health_ms",
        "errors",
        "failures",
        "longest_silence_s",
    )
    Path(file).write_text(json.dumps({name: getattr(onlooker, name) for name in names}))


if __name__ == "__main__":
    main()
