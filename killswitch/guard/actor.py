"""The guard as a supervised child: starts it, beats for it, hears its reports, replaces it."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from gevent import subprocess

from ...protocol.document import read_trip
from ...runtime import Actor, OrchestratorError
from .link import GuardLink, GuardStatus
from .silence import Quiet

BEAT_S: Final = 0.25
"""How often the daemon's loop shows that it works."""
SILENT_S: Final = 2.0
"""A guard that answers no beat for so long is replaced."""
START_S: Final = 10.0
"""A new one may take so long, on a machine with much to do."""
END_LIMIT_S: Final = 1.0
"""From ``end`` to SIGKILL."""
PIPE_BYTES: Final = 64 * 1024
"""Room for all lines that a guard may be behind with."""
PLAIN_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
"""Nothing of the daemon's environment changes what the guard does, but for `KEPT_VARIABLES`."""
KEPT_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Which authorities the daemon trusts, the guard trusts too."""

FOLDER: Final = Path(__file__).parent


class GetGuard(msgspec.Struct, frozen=True):
    """Asks for a `GuardStatus`."""


class GuardEnded(OrchestratorError):
    """The guard process has ended without having been asked to; it is started again."""

    def __init__(self, returncode: int) -> None:
        super().__init__(returncode)
        self.returncode = returncode

    def __str__(self) -> str:
        code = self.returncode
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return f"the guard process has ended by {how}"


class GuardSilent(OrchestratorError):
    """The guard process does not answer; it is replaced."""

    def __init__(self, silent_s: float) -> None:
        super().__init__(silent_s)
        self.silent_s = silent_s

    def __str__(self) -> str:
        return f"the guard process has not answered for {self.silent_s:.1f} s and is replaced"


class GuardActor(Actor):
    """Runs the guard.

    Must run in the main thread, where alone a wake-up descriptor for signals can be set.

    Args:
        link: what outlives this run.
    """

    def __init__(self, link: GuardLink) -> None:
        super().__init__()
        self._link = link
        self._process: subprocess.Popen[bytes] | None = None
        self._signals: int | None = None
        self._quiet = Quiet(time.monotonic())

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the process; it is ready some 100 ms later, and reads then what is pending."""
        self._link.begin()
        self._launch()
        self.every(BEAT_S, self._beat)
        self.spawn(self._read_reports, name="reports")

    def on_receive(self, message: GetGuard) -> GuardStatus:
        """Dispatch."""
        match message:
            case GetGuard():
                return self._link.status

    def on_stop(self) -> None:
        """Announce the end, so that it is no silence; takes 1 s at most."""
        self._link.end()
        self._close(END_LIMIT_S)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """End the process before the pipe, or it would take this for the daemon's end."""
        self._note(replaced=self._link.status.replaced + 1)
        self._close(0.0)

    # -- the process -------------------------------------------------------------------------

    def _launch(self) -> None:
        signals_out, signals_in = os.pipe()
        os.set_blocking(signals_in, False)
        orders_out, orders_in = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(FOLDER), str(signals_out)],
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
        self._quiet = Quiet(time.monotonic())
        self._note(pid=self._process.pid)
        self.log.info("guard started", pid=self._process.pid)

    def _beat(self) -> None:
        if self._process is not None and (code := self._process.poll()) is not None:
            raise GuardEnded(code)
        silent_s = self._quiet.look(time.monotonic())
        if silent_s > (SILENT_S if self._link.status.ready else START_S):
            raise GuardSilent(silent_s)
        self._link.say("beat")

    def _close(self, limit_s: float) -> None:
        process, self._process = self._process, None
        if self._signals is not None:
            if signal.set_wakeup_fd(-1) not in (self._signals, -1):
                self.log.warning("another part of the process took the wake-up descriptor")
            os.close(self._signals)
            self._signals = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(limit_s)
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_LIMIT_S)
        self._link.disconnect()
        self._note(pid=None, ready=False)

    # -- its reports -------------------------------------------------------------------------

    def _read_reports(self) -> None:
        assert self._process is not None  # noqa: S101 started before
        buffer = b""
        with self._process.stdout as pipe:
            while data := pipe.read(PIPE_BYTES):
                self._quiet.heard(time.monotonic())
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._hear(msgspec.json.decode(line))

    def _hear(self, report: dict[str, Any]) -> None:
        match report.pop("event"):
            case "beat":
                pass
            case "ready":
                self._note(ready=True)
            case "engaged":
                self._hear_trip(report["trip"])
            case "bus":
                self._hear_trouble("bus", "the guard cannot reach Redis", report["trouble"])
            case "disk":
                self._hear_trouble("disk", "the guard cannot write its slots", report["trouble"])
            case "ignored":
                self._note(ignored=report["text"])
                self.log.warning(report["text"])
            case "published":
                self.log.info("the guard has published the stop", **report)
            case event:
                self.log.error("guard", what=event, **report)

    def _hear_trip(self, fields: dict[str, Any]) -> None:
        trip = read_trip(fields)
        if trip is None:
            self.log.error("the guard reports a trip without an id")
            return
        self.log.critical(
            "the guard has engaged the stop",
            trip_id=trip.id,
            reason=trip.reason,
            triggered_by=trip.triggered_by,
        )
        self._link.tripped(trip)

    def _hear_trouble(self, what: str, text: str, trouble: str) -> None:
        self._note(**{what: trouble})
        if trouble:
            self.log.warning(text, reason=trouble)

    def _note(self, **changes: Any) -> None:
        self._link.status = msgspec.structs.replace(self._link.status, **changes)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return PLAIN_ENVIRONMENT | kept
