"""The guard as a supervised child: starts it, beats for it, and hears what it has done.

A `GuardLink` outlives incarnations of the actor: it knows which process groups the guard looks
after and whether trading is halted, and tells each new guard. Of the actor die the process and
the pipes. What the guard itself does is in ``_guard_entry.py``.
"""

import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import msgspec
from gevent import subprocess
from pydantic import BaseModel, ConfigDict, Field

from ._guard_entry import marked
from .actor import Actor
from .errors import OrchestratorError

BEAT_S: Final = 0.25
"""Six beats have to be missed before silence counts."""
END_LIMIT_S: Final = 1.0
"""From ``end`` to SIGKILL."""
MARK_VARIABLE: Final = "ORCHESTRATOR_CHILD_OF"
"""In the environment of children: by it the guard finds those that left their process group."""
PIPE_BYTES: Final = 64 * 1024
"""Room for all lines that a guard may be behind with."""
PLAIN_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
"""Nothing of the daemon's environment changes what the guard does, but for `KEPT_VARIABLES`."""
KEPT_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Whom the daemon trusts to be Redis, the guard trusts too."""

_ENTRY: Final = Path(__file__).with_name("_guard_entry.py")


class GuardSettings(BaseModel):
    """Section ``[guard]``: the process that acts when the daemon cannot."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on_silence: Literal["stop", "hold"] = "stop"
    """When the daemon falls silent or is killed: ``stop`` trading, which an operator has to
    release; or ``hold`` it, by deleting the permit, until the daemon is back."""
    silence_s: float = Field(default=1.5, ge=0.5, le=60)
    """How long the daemon may be silent."""
    hang_exit_s: float = Field(default=10.0, ge=2, le=600)
    """How long its loop may hang before it is ended, to be started anew (a hang in Python is over
    sooner, see ``ActorHung``)."""


class GuardOrders(msgspec.Struct, frozen=True):
    """What the guard has to know; its first line."""

    redis_url: str
    """Where the stop is published; password and TLS as in redis-py's URLs."""
    permit_key: str
    """The key that is deleted."""
    channel: str
    """Where the stop is published."""
    latch: str
    """The file that the guard latches its trips in; read by the daemon."""
    trip_file: str
    """The file whose existence engages the stop."""
    on_silence: str
    """See `GuardSettings`."""
    silence_s: float
    """See `GuardSettings`."""
    hang_exit_s: float
    """See `GuardSettings`."""
    daemon_pid: int = msgspec.field(default_factory=os.getpid)
    """Who is guarded."""
    mark: str = msgspec.field(
        default_factory=lambda: f"{MARK_VARIABLE}={os.getpid()}-{secrets.token_hex(8)}"
    )
    """``VARIABLE=value`` in the environment of the daemon's children."""


class GuardTrip(msgspec.Struct, frozen=True):
    """A stop that the guard has engaged; the fields are the contract's."""

    trip_id: str
    """Its id."""
    reason: str
    """Why."""
    triggered_by: str
    """``file``, ``signal`` or ``guard``."""
    at: str
    """When."""


class GetGuard(msgspec.Struct, frozen=True):
    """Asks for a `GuardStatus`."""


class GuardStatus(msgspec.Struct, frozen=True):
    """How the guard is."""

    pid: int | None
    """Its process; ``None`` if it does not run."""
    ready: bool
    """Whether it has read its orders."""


class GuardEnded(OrchestratorError):
    """The guard process has ended without being told to; it is started again."""

    def __init__(self, returncode: int) -> None:
        super().__init__(returncode)
        self.returncode = returncode

    def __str__(self) -> str:
        code = self.returncode
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return f"the guard process has ended by {how}"


class GuardLink:
    """What outlives incarnations of the guard.

    Args:
        orders: the guard's orders.
        on_trip: told of each stop that the guard has engaged; must not wait.
    """

    def __init__(self, orders: GuardOrders, on_trip: Callable[[GuardTrip], None]) -> None:
        self.orders = orders
        self.on_trip = on_trip
        self.groups: set[int] = set()
        self._halted = False
        self._pipe: int | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a guard to talk to."""
        return self._pipe is not None

    def child_environment(self, child: str) -> Mapping[str, str]:
        """What a child process needs in its environment to be found."""
        name, _, value = self._child_mark(child).partition("=")
        return {name: value}

    def stragglers(self, child: str) -> list[int]:
        """Processes below ``child`` that left its process group (Linux)."""
        return marked(self._child_mark(child))

    def _child_mark(self, child: str) -> str:
        return f"{self.orders.mark}/{child}/"

    def watch(self, group: int) -> None:
        """Have the guard end that process group when the daemon is gone."""
        self.groups.add(group)
        self.say(f"group {group}")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self.groups.discard(group)
        self.say(f"forget {group}")

    def abandon(self) -> None:
        """End all groups now, and the guard, for a process that is about to end itself."""
        for group in self.groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self.say("end")

    def set_halted(self, halted: bool) -> None:  # noqa: FBT001 a state
        """Whether a stop is in force: then silence needs no further one."""
        self._halted = halted
        self.say(f"halted {halted:d}")

    def say(self, line: str) -> bool:
        """Send a line; never waits. ``False``: there is no guard, or it does not read."""
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except OSError:  # full or broken; lines are far shorter than what a pipe takes whole
            return False
        return True

    def connect(self, pipe: int) -> None:
        """Talk to a new guard; for the actor."""
        self._pipe = pipe
        os.set_blocking(pipe, False)
        os.write(pipe, msgspec.json.encode(self.orders) + b"\n")
        self.set_halted(self._halted)
        for group in self.groups:
            self.say(f"group {group}")

    def disconnect(self) -> None:
        """Close the pipe; for the actor."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)


class GuardActor(Actor):
    """Runs the guard.

    Must run in the main thread, where alone a wake-up descriptor for signals can be set.

    Args:
        link: what outlives this incarnation.
    """

    def __init__(self, link: GuardLink) -> None:
        super().__init__()
        self._link = link
        self._process: subprocess.Popen[bytes] | None = None
        self._signals: int | None = None
        self._ready = False

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the process; it is ready some 50 ms later, and reads then what waits for it."""
        self._launch()
        self.every(BEAT_S, self._beat)
        self.spawn(self._read_reports, name="reports")

    def on_receive(self, message: GetGuard) -> GuardStatus:
        """Dispatch."""
        match message:
            case GetGuard():
                process = self._process
                alive = process is not None and process.poll() is None
                return GuardStatus(process.pid if alive and process else None, self._ready)

    def on_stop(self) -> None:
        """Tell the guard that this is the end, and no silence; takes 1 s at most."""
        self._link.say("end")
        self._close(END_LIMIT_S)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """End the process before the pipe, or it would take this for the daemon's end."""
        self._close(0.0)

    # -- the process -------------------------------------------------------------------------

    def _launch(self) -> None:
        signals_out, signals_in = os.pipe()
        os.set_blocking(signals_in, False)
        orders_out, orders_in = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_ENTRY), str(signals_out)],
                stdin=orders_out,
                stdout=subprocess.PIPE,
                pass_fds=(signals_out,),  # and nothing else of ours: no lock, no socket
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the daemon
                bufsize=0,
            )
        except OSError:
            os.close(signals_in)
            os.close(orders_in)
            raise
        finally:
            os.close(signals_out)
            os.close(orders_out)
        self._link.connect(orders_in)
        self._signals = signals_in
        signal.set_wakeup_fd(signals_in, warn_on_full_buffer=False)
        self.log.info("guard started", pid=self._process.pid)

    def _beat(self) -> None:
        if self._process is not None and (code := self._process.poll()) is not None:
            raise GuardEnded(code)
        self._link.say("beat")

    def _close(self, limit_s: float) -> None:
        process, self._process = self._process, None
        if self._signals is not None:
            if signal.set_wakeup_fd(-1) not in (self._signals, -1):
                self.log.warning("somebody else took the wake-up descriptor")
            os.close(self._signals)
            self._signals = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(limit_s)
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_LIMIT_S)
        self._link.disconnect()

    # -- what it tells -----------------------------------------------------------------------

    def _read_reports(self) -> None:
        assert self._process is not None  # noqa: S101 started before
        buffer = b""
        with self._process.stdout as pipe:
            while data := pipe.read(PIPE_BYTES):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._hear(msgspec.json.decode(line))

    def _hear(self, report: dict[str, Any]) -> None:
        match report.pop("event"):
            case "ready":
                self._ready = True
            case "engaged":
                trip = msgspec.convert(report["trip"], GuardTrip)
                self.log.critical("the guard has engaged the stop", **report["trip"])
                self._link.on_trip(trip)
            case "no_redis":
                self.log.warning(report["text"])
            case "published":
                self.log.info("the guard has published the stop", **report)
            case event:
                self.log.error("guard", what=event, **report)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return PLAIN_ENVIRONMENT | kept
