"""A whole system to break: servers of its own, a daemon, a publisher, and clients that look on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from e2e.conftest import DaemonProcess
from orchestrator.runtime.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from ports import free_port
from quiet_clock import quiet_s

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"


@dataclass
class Outcome:
    """One line of the table."""

    name: str
    runs: int = 1
    faults: int = 0
    received: int = 0
    stored: int = 0
    rejected: int = 0
    dropped: int = 0
    lost: int = 0
    twice: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    """What else was measured."""
    missed: list[str] = field(default_factory=list)
    """Goals that were not reached, in words."""

    def expect(self, what: str, value: float, at_most: float) -> None:
        """Note a figure and its goal."""
        self.figures[what] = round(value, 3)
        if value > at_most:
            self.missed.append(f"{what}: {value:.3g} > {at_most:g}")

    def expect_soon(self, what: str, value: float, at_most: float) -> None:
        """The same for times, which others on the machine stretch: ``CHAOS_SLACK`` times more."""
        self.expect(what, value, at_most * float(os.environ.get("CHAOS_SLACK", "1")))

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, nothing is there twice and all goals were reached."""
        return not (self.lost or self.twice or self.missed)


def wait_until(condition: Callable[[], object], limit_s: float = 60.0, what: str = "") -> None:
    """Ask every 20 ms; fail at the limit."""
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s: {what}"
        time.sleep(0.02)


class Rig:
    """Servers, a daemon and who looks on; made by ``rig()``."""

    def __init__(self, folder: Path, data: Path | None = None, pg_url: str | None = None) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        # A port of its own: while it is dead another test's server might take the usual one.
        self.valkey = EmbeddedValkey(folder / "valkey", port=free_port())
        self.pg_url = self.postgres.start()
        self.redis_url = self.valkey.start()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.published = 0
        self._publishers: list[subprocess.Popen[bytes]] = []
        self._onlookers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        (folder / "daemon").mkdir()
        self.daemon = DaemonProcess(folder / "daemon", self.settings(pg_url or self.pg_url))
        if data is not None:
            self.daemon.data = data

    def settings(self, pg_url: str, more: str = "") -> str:
        """The daemon's."""
        return (
            f'[redis]\nurl = "{self.redis_url}"\n[postgres]\nurl = "{pg_url}"\n'
            f"[http]\nport = {urlsplit(self.url).port}\nrate_limit_max = 1000000\n{more}"
        )

    # -- load ----------------------------------------------------------------------------------

    def publish(self, count: int, rate: int) -> None:
        """Begin to publish so many numbered messages in a process of its own."""
        call = f"publish({self.redis_url!r}, {count}, {rate}, {self.published})"
        code = f"from bench.publisher import publish; {call}"
        self.published += count
        self._publishers.append(subprocess.Popen([sys.executable, "-c", code], cwd=ROOT))

    def wait_published(self, limit_s: float = 600.0) -> None:
        """All that was begun has been sent."""
        for publisher in self._publishers:
            assert publisher.wait(limit_s) == 0
        self._publishers.clear()

    def look_on(self, *kinds: str) -> None:
        """Start clients: ``poll``, ``follow``, ``probe``."""
        for kind in kinds:
            file = self.folder / f"{kind}.json"
            process = subprocess.Popen(
                [sys.executable, "-m", "faults.onlooker", kind, self.url, str(file)],
                cwd=TESTS,
                env=os.environ | {"PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
                stdin=subprocess.PIPE,
            )
            self._onlookers[kind] = (process, file)
        if "follow" in kinds:
            wait_until(lambda: self.daemon.get("/health")["websocket_clients"] > 0)

    def seen(self, last_id: int) -> dict[str, dict[str, Any]]:
        """Let the clients catch up to ``last_id``; what each has seen."""
        for process, _ in self._onlookers.values():
            assert process.stdin is not None
            process.stdin.write(f"{last_id}\n".encode())
            process.stdin.close()
        found = {}
        for kind, (process, file) in self._onlookers.items():
            process.wait(180)
            found[kind] = json.loads(file.read_text())
        self._onlookers.clear()
        return found

    # -- what there is -------------------------------------------------------------------------

    def books(self) -> dict[str, dict[str, int]]:
        """By source; they must balance."""
        answer = self.daemon.get("/runtime/books")
        end = time.monotonic() + 20.0
        while "balanced" not in answer and time.monotonic() < end:  # 503: it is busy
            time.sleep(0.2)
            answer = self.daemon.get("/runtime/books")
        assert answer["balanced"], answer
        return {row["source"]: row for row in answer["books"]}

    def rows(self, query: str) -> list[Any]:
        """What PostgreSQL says."""
        with psycopg.connect(self.pg_url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def newest_id(self) -> int:
        """The highest id stored, 0 without any."""
        return int(self.rows("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def numbers(self) -> list[int]:
        """The numbers of all market data stored, in order of id."""
        where = "type LIKE 'data.market.%' AND payload ? 'n'"
        return [
            row[0]
            for row in self.rows(
                f"SELECT (payload->>'n')::bigint FROM events WHERE {where} ORDER BY id"
            )
        ]

    def wait_taken(self, count: int, limit_s: float = 60.0) -> None:
        """So many data messages arrived, canaries not counted; what never does counts as lost."""
        end = time.monotonic() + limit_s
        while self._taken() < count and time.monotonic() < end:
            time.sleep(0.02)

    def _taken(self) -> int:
        row = self.books()["data"]
        return row["received"] - row["copies"] - row["echoes"] - row["aside"]

    def drained(self) -> bool:
        """Whether nothing waits to be stored."""
        return all(row["journal"] == 0 for row in self.books().values())

    def memory_mb(self) -> float:
        """Of the daemon's process."""
        assert self.daemon.process is not None
        return psutil.Process(self.daemon.process.pid).memory_info().rss / 1e6

    # -- faults --------------------------------------------------------------------------------

    def processes_of(self, server: EmbeddedServer) -> list[psutil.Process]:
        """A server's, the first one first."""
        pid = server.pid()
        if pid is None:
            return []
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]

    def signal(self, server: EmbeddedServer, number: int) -> None:
        """Send a signal to all processes of a server."""
        for process in self.processes_of(server):
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def kill_postgres(self) -> None:
        """As ``kill -9`` does."""
        self.signal(self.postgres, signal.SIGKILL)
        wait_until(lambda: not self.postgres.alive())

    def close(self) -> None:
        """End everything."""
        for process in [*self._publishers, *(pair[0] for pair in self._onlookers.values())]:
            process.kill()
            process.wait()
        if self.daemon.process is not None and self.daemon.process.poll() is None:
            self.daemon.stop()
        self.signal(self.postgres, signal.SIGCONT)
        self.postgres.stop()
        self.valkey.stop()


class Meter:
    """Asks for a figure every 100 ms in a thread of its own."""

    def __init__(self, figure: Callable[[], float]) -> None:
        self.values: list[float] = []
        self._figure = figure
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            try:
                self.values.append(self._figure())
            except (psutil.Error, OSError):
                continue

    def stop(self) -> list[float]:
        """All figures."""
        self._over.set()
        self._thread.join(5)
        return self.values


@contextmanager
def rig(data: Path | None = None) -> Iterator[Rig]:
    """A rig in a folder of its own, which goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-faults-"))
    folder.chmod(0o711)
    made = Rig(folder, data)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values: list[float], part: float) -> float:
    """0 without any."""
    ordered = sorted(values) or [0.0]
    return ordered[int(part * (len(ordered) - 1))]


RISING = ("carried", "received", "stored", "rejected", "dropped", "copies", "echoes", "aside")
Books = dict[str, dict[str, int]]


def compare_books(outcome: Outcome, of: Rig) -> Books:
    """To the unit: the books balance, whoever is asked says the same, and so does the table.

    They go on while they are read (once a second the daemon sends itself a sign of life): what is
    read in between must lie between.
    """
    before = of.books()
    others = {"/metrics": _books_of_metrics(of), "orchestrator books": _books_of_command(of)}
    rows = of.rows("SELECT count(*) FROM events")[0][0]
    starts = of.rows("SELECT count(*) FROM events WHERE type = 'runtime.started'")[0][0]
    wait_until(of.drained, 60, "the books are read at rest")
    after = of.books()
    for who, books in others.items():
        if any(_strays(before[source], books[source], after[source]) for source in before):
            outcome.missed.append(f"{who} says otherwise: {before}, {books}, {after}")
    if starts == 1 and not _stored_in(before) <= rows <= _stored_in(after):
        outcome.missed.append(f"{rows} rows are there: {before}, {after}")
    return after


def _strays(low: dict[str, int], said: dict[str, int], high: dict[str, int]) -> bool:
    outside = any(not low[name] <= said[name] <= high[name] for name in RISING)
    return outside or said["difference"] != 0


def _stored_in(books: Books) -> int:
    return sum(row["stored"] + row["rejected"] for row in books.values())


def _books_of_metrics(of: Rig) -> Books:
    with urllib.request.urlopen(of.url + "/metrics", timeout=10) as response:
        page = response.read().decode()
    found: Books = {}
    pattern = r'^orchestrator_books\{entry="(\w+)",source="(\w+)"\} (\S+)$'
    for entry, source, value in re.findall(pattern, page, re.MULTILINE):
        found.setdefault(source, {})[entry] = int(float(value))
    return found


def _books_of_command(of: Rig) -> Books:
    command = [sys.executable, "-m", "orchestrator", "books", "--url", of.url, "-o", "json"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=30)
    return {row["source"]: row for row in json.loads(said.stdout)["items"]}


def compare(outcome: Outcome, of: Rig, *, published: int | None = None) -> None:
    """Every number exactly once and in order; the books say the same."""
    numbers = of.numbers()
    books = compare_books(outcome, of)
    outcome.stored += len(numbers)
    outcome.twice += len(numbers) - len(set(numbers))
    if published is not None:
        outcome.received += published
        outcome.lost += published - len(set(numbers))
        outcome.expect("out of order", sum(a > b for a, b in pairwise(numbers)), 0)
    outcome.rejected += sum(row["rejected"] for row in books.values())
    outcome.dropped += sum(row["dropped"] for row in books.values())


def expect_answers(outcome: Outcome, probe: dict[str, Any], p99_ms: float) -> None:
    """REST went on answering: each time, and most often soon."""
    outcome.missed += [f"REST did not answer: {text}" for text in probe["failures"][:3]]
    outcome.expect("REST never answered", int(not probe["times_ms"]), 0)
    outcome.expect_soon("REST p99 ms", percentile(probe["times_ms"], 0.99), p99_ms)


def compare_onlookers(outcome: Outcome, of: Rig) -> dict[str, dict[str, Any]]:
    """The poller and the WebSocket client saw each stored event exactly once, in order."""
    stored = [row[0] for row in of.rows("SELECT id FROM events ORDER BY id")]
    seen = of.seen(stored[-1])
    last = stored[-1]
    for kind in ("poll", "follow"):
        if kind in seen:
            ids = [number for number in seen[kind]["ids"] if number <= last]
            first = ids[0] if ids else 0
            wanted = [number for number in stored if number >= first]
            outcome.expect(f"{kind}: missed", len(set(wanted) - set(ids)), 0)
            outcome.expect(f"{kind}: never stored", len(set(ids) - set(wanted)), 0)
            outcome.expect(f"{kind}: seen twice", len(ids) - len(set(ids)), 0)
            outcome.expect(f"{kind}: out of order", sum(a >= b for a, b in pairwise(ids)), 0)
    return seen
