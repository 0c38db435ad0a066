"""The guard: a small process beside the daemon, which acts when the daemon cannot.

``python -I -S _guard_entry.py <fd of the signals' pipe>``; standard library only and in one file,
so that it starts in no time and whatever is wrong with our own code is not wrong with it.

stdin is the daemon's pipe: a line of JSON with its orders, then ``beat`` every 250 ms from the
daemon's loop, ``group <id>`` and ``forget <id>`` for the process groups of its children,
``halted 0|1``, and ``end`` before an orderly end. The other pipe brings a byte for each signal that
the daemon gets, written by C code: also of a daemon whose loop hangs. stdout takes reports to the
daemon, a line of JSON each.

==================================  ========  ==================  ============================
what happens                        permit    the stop            besides
==================================  ========  ==================  ============================
``TRIP`` exists, ``SIGUSR1``        deleted   latched, published
no beat for ``silence_s``           deleted   latched, published
no beat for ``hang_exit_s``                                       SIGABRT, SIGKILL to the daemon
end of file (the daemon is gone)    deleted   latched, published  its children's groups end
``end``                                                           the guard ends
==================================  ========  ==================  ============================

With ``on_silence = "hold"``, and when trading is halted anyway, silence and end of file only
delete the permit. docs/adr/0004-what-the-guard-takes-for-silence.md has the reasons.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import time
import zlib
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TURN_S = 0.1
"""How often it looks round."""
LATE_S = 0.5
"""A look that comes so late: the guard itself was held up (a laptop's sleep, a paused machine)."""
ABORT_S = 2.0
"""From SIGABRT, at which the daemon prints its stacks, to SIGKILL."""
GONE_S = 2.0
"""From the end of file to the end of the process."""
DELIVER_S = 5.0
"""How long it goes on for Redis when the daemon is gone."""
REDIS_LIMIT_S = 1.0
"""For each step on Redis."""
RETRY_S = 0.25
"""After a failure on Redis."""
PING_S = 1.0
"""Keeps the connection proven, so that a stop needs no new one."""
FALSE_WORDS = ("0", "F", "FALSE", "N", "NO")
"""redis-py's."""
REASON_CHARS = 500
"""The contract's limit."""
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's, as in https://github.com/ulid/spec."""


class Silence:
    """Decides what the daemon's silence means. Pure; all times are monotonic seconds.

    Time in which the guard did not run either is nobody's silence; time in which the daemon is
    stopped (SIGSTOP, a debugger) is silence but no hang: whoever stopped it may let it go on.
    """

    def __init__(self, silence_s: float, hang_exit_s: float, now: float) -> None:
        self._silence_s = silence_s
        self._hang_exit_s = hang_exit_s
        self._heard = self._hang_from = self._looked = now
        self._told: set[str] = set()

    def beat(self, now: float) -> bool:
        """The daemon gave a sign of life; says whether a silence has ended."""
        self._heard = self._hang_from = now
        ended = bool(self._told)
        self._told.clear()
        return ended

    def look(self, now: float, *, stopped: bool) -> str:
        """``silent`` or ``hung``, each once a silence, else nothing."""
        late = now - self._looked
        self._looked = now
        if late > LATE_S:
            self._heard += late
            self._hang_from += late
        if stopped:
            self._hang_from = now
        if now - self._hang_from > self._hang_exit_s:
            return self._once("hung")
        return self._once("silent") if now - self._heard > self._silence_s else ""

    def _once(self, verdict: str) -> str:
        if verdict in self._told:
            return ""
        self._told.add(verdict)
        return verdict


class Redis:
    """One connection, speaking RESP by hand (https://redis.io/docs/latest/develop/reference/protocol-spec/).

    Raises:
        OSError: it cannot be had, or breaks.
        ValueError: the server refuses a command.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self._socket = _connected(parts, query)
        self._answers = self._socket.makefile("rb")
        try:
            self._log_in(parts, query)
        except (OSError, ValueError):
            self.close()
            raise

    def _log_in(self, parts: Any, query: dict[str, str]) -> None:
        # The query's values are decoded already.
        user = unquote(parts.username or "") or query.get("username", "")
        password = query.get("password") if parts.password is None else unquote(parts.password)
        if password is not None:
            self.call("AUTH", *([user] if user else []), password)
        number = query.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
        if number and number != "0":
            self.call("SELECT", number)

    def call(self, *words: str | bytes) -> Any:
        """Send a command and wait for its answer."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        sent = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), sent))
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ValueError(rest.decode(errors="replace"))
        return int(rest) if kind == b":" else rest

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()


def _connected(parts: Any, query: dict[str, str]) -> socket.socket:
    if parts.scheme == "unix":
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(REDIS_LIMIT_S)
        local.connect(unquote(parts.path))
        return local
    host = unquote(parts.hostname or "localhost")
    plain = socket.create_connection((host, parts.port or 6379), timeout=REDIS_LIMIT_S)
    if parts.scheme != "rediss":
        return plain
    try:
        return _secured(plain, host, query)
    except (OSError, ValueError):
        plain.close()
        raise


def _secured(plain: socket.socket, host: str, query: dict[str, str]) -> socket.socket:
    """Shake hands as redis-py does with these parameters."""
    import ssl  # noqa: PLC0415 slow to import, and rarely needed

    context = ssl.create_default_context()
    if query.get("ssl_check_hostname", "").upper() in FALSE_WORDS:
        context.check_hostname = False
    if query.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    places = [query.get(f"ssl_ca_{kind}") for kind in ("certs", "path", "data")]
    if any(places):
        context.load_verify_locations(*places)
    if "ssl_certfile" in query:
        password = query.get("ssl_password")
        context.load_cert_chain(query["ssl_certfile"], query.get("ssl_keyfile"), password)
    return context.wrap_socket(plain, server_hostname=host)


class Bus(threading.Thread):  # noqa: TID251 no gevent here
    """Sends commands to Redis in order, each until it is done; nobody waits for it.

    Args:
        url: where Redis is.
        on_done: called in this thread with each command and its answer.
        on_trouble: called in this thread with the reason why Redis cannot be had, once for each.
    """

    def __init__(self, url: str, on_done: Any, on_trouble: Any) -> None:
        super().__init__(name="bus", daemon=True)
        self._url = url
        self._on_done = on_done
        self._on_trouble = on_trouble
        self._trouble = ""
        self._waiting: deque[tuple[str | bytes, ...]] = deque(maxlen=100)
        self._changed = threading.Condition()

    def send(self, *command: str | bytes) -> None:
        """Take a command on."""
        with self._changed:
            self._waiting.append(command)
            self._changed.notify_all()

    def wait_done(self, limit_s: float) -> bool:
        """Wait until all is done; says whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, limit_s)

    def run(self) -> None:
        """Connect and serve, for ever."""
        while True:
            try:
                redis = Redis(self._url)
                try:
                    self._serve(redis)
                finally:
                    redis.close()
            except (OSError, ValueError) as error:
                self._tell(str(error) or type(error).__name__)
            time.sleep(RETRY_S)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)

    def _serve(self, redis: Redis) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting), PING_S)
                command = self._waiting[0] if self._waiting else None
            if command is None:
                redis.call("PING")
                self._trouble = ""
                continue
            answer = redis.call(*command)
            self._on_done(command, answer)
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()


class Guard:
    """Listens to the daemon and acts.

    Args:
        orders: what to do where; the fields of ``GuardOrders`` in ``guard.py``.
        signals_fd: the pipe that brings the numbers of signals.
    """

    def __init__(self, orders: dict[str, Any], signals_fd: int) -> None:
        self._orders = orders
        self._signals_fd = signals_fd
        self._silence = Silence(orders["silence_s"], orders["hang_exit_s"], time.monotonic())
        self._groups: set[int] = set()
        self._halted = False
        self._engaged = 0
        self._seen_file: tuple[int, int] | None = None
        self._boot = os.urandom(8).hex()
        self._kill_at: float | None = None
        self._bus = Bus(orders["redis_url"], self._delivered, self._not_delivered)

    def run(self, begun: bytes) -> None:
        """Turn until the daemon ends; ``begun`` was read together with the orders."""
        self._bus.start()
        report(event="ready")
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._signals_fd, select.POLLIN)
        buffer = begun
        while True:
            ready = {fd for fd, _ in poll.poll(TURN_S * 1000)}
            if self._signals_fd in ready:
                self._read_signals(poll)
            if 0 in ready or buffer:
                data = os.read(0, 65536) if 0 in ready else b""
                *lines, buffer = (buffer + data).split(b"\n")
                if any(self._obey(line.decode()) for line in lines):
                    return
                if 0 in ready and not data:
                    self._daemon_gone()
                    return
            self._look(time.monotonic())

    # -- what it hears -----------------------------------------------------------------------

    def _obey(self, line: str) -> bool:
        """Take a line from the daemon; says whether it was the last."""
        word, _, rest = line.partition(" ")
        if word == "group":
            self._groups.add(int(rest))
        elif word == "forget":
            self._groups.discard(int(rest))
        elif word == "halted":
            self._halted = rest == "1"
        if self._silence.beat(time.monotonic()):
            self._kill_at = None
            report(event="heard", text="the daemon beats again")
        return word == "end"

    def _read_signals(self, poll: Any) -> None:
        numbers = os.read(self._signals_fd, 4096)
        if not numbers:
            poll.unregister(self._signals_fd)
        elif signal.SIGUSR1 in numbers:
            self._engage("SIGUSR1 was sent to the daemon", "signal")

    def _look(self, now: float) -> None:
        self._look_for_file()
        if self._kill_at is not None:
            if now > self._kill_at:
                self._signal_daemon(signal.SIGKILL)
            return
        stopped = _state_of(self._orders["daemon_pid"]) in ("T", "t")
        verdict = self._silence.look(now, stopped=stopped)
        if verdict == "silent":
            self._hold(f"no beat of the daemon for {self._orders['silence_s']:g} s")
        elif verdict == "hung":
            report(event="hung", text="the daemon hangs and is ended")
            say(f"no beat of the daemon for {self._orders['hang_exit_s']:g} s: it is ended")
            self._signal_daemon(signal.SIGABRT)
            self._kill_at = now + ABORT_S

    def _look_for_file(self) -> None:
        path = Path(self._orders["trip_file"])
        try:
            found = path.stat()
        except OSError:
            self._seen_file = None
            return
        identity = (found.st_ino, found.st_mtime_ns)
        if identity == self._seen_file:
            return
        self._seen_file = identity
        text = ""
        with suppress(OSError), path.open("rb") as file:
            text = file.read(4 * REASON_CHARS).decode(errors="replace").strip()
        self._engage(text or f"the file {path.name} was made", "file")

    # -- what it does ------------------------------------------------------------------------

    def _hold(self, reason: str) -> None:
        """Nobody could be stopped now, so nobody may act."""
        say(reason)
        if self._orders["on_silence"] == "stop" and not self._halted:
            self._engage(reason, "guard")
        else:
            self._bus.send("DEL", self._orders["permit_key"])

    def _engage(self, reason: str, by: str) -> None:
        """Delete the permit, publish the stop, latch it, tell the daemon: all of it, at once."""
        at = _now()
        trip = {
            "trip_id": _new_ulid(),
            "reason": reason[:REASON_CHARS],
            "triggered_by": by,
            "at": at,
        }
        self._engaged += 1
        self._halted = True
        payload = {
            "enabled": True,
            "reason": trip["reason"],
            "timestamp": at,
            "triggered_by": by,
            "trip_id": trip["trip_id"],
            "level": "halt",
            "scope": "all",
            "source": "guard",
            "boot": self._boot,
            "seq": self._engaged,
        }
        self._bus.send("DEL", self._orders["permit_key"])
        self._bus.send("PUBLISH", self._orders["channel"], json.dumps(payload))
        try:
            write_latch(Path(self._orders["latch"]), trip)
        except OSError as error:
            report(event="trouble", text=f"the stop is not latched: {error}")
        report(event="engaged", trip=trip)

    def _delivered(self, command: tuple[str | bytes, ...], answer: Any) -> None:
        if command[0] == "PUBLISH":
            report(event="published", receivers=answer)

    def _not_delivered(self, reason: str) -> None:
        report(event="no_redis", text=f"the guard cannot reach Redis: {reason}")

    def _signal_daemon(self, number: signal.Signals) -> None:
        if os.getppid() == self._orders["daemon_pid"]:
            with suppress(ProcessLookupError):
                os.kill(self._orders["daemon_pid"], number)

    def _daemon_gone(self) -> None:
        """The pipe's other end is closed, and nobody said ``end``."""
        limit = time.monotonic() + GONE_S
        while os.getppid() == self._orders["daemon_pid"] and time.monotonic() < limit:
            time.sleep(0.01)
        if os.getppid() == self._orders["daemon_pid"]:
            return  # it lives and has another guard
        self._hold("the daemon has ended without saying so")
        self._end_children()
        if not self._bus.wait_done(DELIVER_S):
            say("Redis could not be told")

    def _end_children(self) -> None:
        """SIGKILL, as from the kernel when the parent dies; the next daemon starts them anew."""
        for group in self._groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for _ in range(5):  # one that was just being made is found at the next look
            for pid in marked(self._orders["mark"]):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(TURN_S)
        if self._groups:
            say(f"ended {len(self._groups)} process groups that the daemon left")


def write_latch(path: Path, trip: dict[str, str]) -> None:
    """Write and fsync a trip: a line with the CRC-32 of the next, and JSON."""
    body = json.dumps(trip).encode()
    temporary = path.with_suffix(".guard-new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, b"%08x\n" % zlib.crc32(body) + body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def report(**fields: Any) -> None:
    """Tell the daemon; one that does not read, or is gone, misses it."""
    with suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def say(text: str) -> None:
    """Tell whoever reads the daemon's stderr."""
    with suppress(OSError):
        os.write(2, f"orchestrator-guard: {text}\n".encode())


def _state_of(pid: int) -> str:
    """The process's state letter; nothing where the kernel does not tell (not Linux)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 ten times a second
            return file.read(1024).rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""


def marked(mark: str) -> list[int]:
    """Processes with ``mark`` in their environment: children that left their group, too.

    Looks at every process, some 10 ms for hundreds; finds nothing where there is no ``/proc``.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def _now() -> str:
    now = datetime.now(UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_ulid() -> str:
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(BASE32[number >> shift & 31] for shift in range(125, -5, -5))


def main() -> None:
    """Read the orders, then guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # only the daemon's end ends it
    os.set_blocking(1, False)
    begun = b""
    while b"\n" not in begun:
        data = os.read(0, 65536)
        if not data:
            return
        begun += data
    line, _, rest = begun.partition(b"\n")
    Guard(json.loads(line), int(sys.argv[1])).run(rest)


if __name__ == "__main__":
    main()
