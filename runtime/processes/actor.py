"""A child process as an actor: it starts with the actor and ends with it, group and all.

::

    STARTING ── up for 1 s ──▶ RUNNING ── stop ──▶ STOPPING ──▶ STOPPED
        └───────── ends by itself ──┴──▶ EXITED (code 0 ends the actor, all else fails it)

BACKOFF and FATAL are the supervisor's, which restarts the actor as its child spec says.

Holds the process and its pipes; both die with the actor. What the process printed last, how it
ended and what it uses is in a `ProcessRecord`, which belongs to the child spec and outlives it.
Of a daemon that is killed (-9) the kernel kills the process too (Linux), and the guard its group.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, assert_never

import gevent
import msgspec
from gevent import subprocess
from gevent.event import Event

from ..actor import Actor
from ..child import ChildState
from ..errors import OrchestratorError
from .groups import GroupWatch
from .output import LineSplitter, OutputLine, read_line
from .record import ProcessRecord, ProcessUsage, UsageMeter

UP_AFTER_S = 1.0
"""A process that has been up for so long is RUNNING (supervisord's ``startsecs``)."""
LAUNCH_LIMIT_S = 5.0
"""A stop waits for a start that is under way: ended in the middle it would leave an orphan."""
REAP_S = 2.0
"""A killed process is gone at once, unless it hangs in the kernel."""
LAST_WORDS_S = 0.5
"""How long its pipes are read on after its end: children of its own may hold them open."""
YIELD_S = 0.0001
"""Not 0: after a sleep of 0 the loop runs 50 callbacks before it looks at timers and sockets."""
SAMPLE_S = 5.0
"""How often it is measured; memory that runs away takes longer than that."""
READ_BYTES = 64 * 1024
"""The size of a pipe's buffer on Linux."""

_ENTRY = Path(__file__).with_name("_entry.py")


class ProcessEnded(OrchestratorError):
    """A child process ended by itself."""

    def __init__(
        self, name: str, exit_code: int | None, exit_signal: str | None, last_line: str = ""
    ) -> None:
        super().__init__(name, exit_code, exit_signal, last_line)
        self.name = name
        self.exit_code = exit_code
        """``None`` if a signal ended it."""
        self.exit_signal = exit_signal
        """Such as ``SIGSEGV``; ``None`` if it exited."""
        self.last_line = last_line
        """What it printed last on stderr, as a rule the reason."""

    def __str__(self) -> str:
        code = f"exited with code {self.exit_code}"
        how = code if self.exit_signal is None else f"was ended by {self.exit_signal}"
        return f"process {self.name} {how}" + (f": {self.last_line}" if self.last_line else "")


class ProcessTooBig(OrchestratorError):
    """A child process used more memory than it may; it has been stopped, to be restarted."""

    def __init__(self, name: str, used_bytes: int, max_bytes: int) -> None:
        super().__init__(name, used_bytes, max_bytes)
        self.name = name
        self.used_bytes = used_bytes
        self.max_bytes = max_bytes

    def __str__(self) -> str:
        used, most = self.used_bytes / 2**20, self.max_bytes / 2**20
        return f"process {self.name} used {used:.0f} MiB of memory, more than its {most:.0f}"


class ProcessNotStarted(OrchestratorError):
    """A child process could not be started."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"process {self.name} could not be started: {self.reason}"


class ProcessCommand(msgspec.Struct, frozen=True):
    """What to run and how."""

    arguments: tuple[str, ...]
    """The program and its arguments; the program is looked for on ``PATH``."""
    environment: Mapping[str, str]
    """The whole environment of the process."""
    folder: str | None = None
    """Its working directory; ours by default."""
    stop_timeout_s: float = 5.0
    """From SIGTERM to SIGKILL; the child spec's ``shutdown_s`` must be longer."""
    max_memory_bytes: int | None = None
    """Resident memory, its children's included, beyond which it is stopped as failed."""


class GetProcess(msgspec.Struct, frozen=True):
    """Asks for a `ProcessStatus`."""


class GetOutput(msgspec.Struct, frozen=True):
    """Asks for the last lines, a tuple of `OutputLine`, those of earlier runs too."""

    limit: int = 200
    """How many at most."""


class ProcessStatus(msgspec.Struct, frozen=True):
    """How a process is doing."""

    state: ChildState
    """See the module."""
    pid: int | None
    """``None`` before the start and after the end."""
    uptime_s: float
    """0 when it does not run."""
    exit_code: int | None
    """Once it has exited."""
    exit_signal: str | None
    """Once a signal has ended it."""
    usage: ProcessUsage
    """What it uses."""


Message = GetProcess | GetOutput


class ProcessActor(Actor):
    """Runs one command.

    Args:
        command: what to run.
        record: what is known of the child; should outlive the actor.
        guard: ends its process group when we are gone.
    """

    def __init__(
        self,
        command: ProcessCommand,
        record: ProcessRecord | None = None,
        guard: GroupWatch | None = None,
    ) -> None:
        super().__init__()
        self._command = command
        self._record = record if record is not None else ProcessRecord()
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._state = ChildState.STARTING
        self._started_at = 0.0
        self._exit: tuple[int | None, str | None] = (None, None)
        self._last_words = ""
        self._meter = UsageMeter(0)
        self._runner: gevent.Greenlet | None = None
        self._asked_to_stop = False
        self._too_big: ProcessTooBig | None = None
        self._launched = Event()  # clear while a process is being started
        self._launched.set()

    # -- hooks -------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the process in a linked greenlet, whose failure is the actor's, not the start's."""
        self._runner = self.spawn(self._run, name="process")
        self.after(UP_AFTER_S, self._note_up)
        self.every(SAMPLE_S, self._measure)

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case GetProcess():
                return self._status()
            case GetOutput():
                return self._record.output.last(message.limit)
            case _:
                assert_never(message)

    def on_stop(self) -> None:
        """SIGTERM to the group, then SIGKILL; takes ``stop_timeout_s`` and a little at most."""
        self._launched.wait(LAUNCH_LIMIT_S)
        if self._process is None or self._state is ChildState.EXITED:
            return
        self._asked_to_stop = True
        self._state = ChildState.STOPPING
        try:
            self._signal_group(signal.SIGTERM)
            if self._wait(self._command.stop_timeout_s) is None:
                self.log.warning("process did not end in time, killing it", pid=self._process.pid)
        finally:  # also when the supervisor kills it
            self._kill_group()
        if self._runner is not None:
            self._runner.join(LAST_WORDS_S)
        self._record.end()
        self._state = ChildState.STOPPED

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """Leave nothing behind."""
        self._launched.wait(LAUNCH_LIMIT_S)
        if self._state is not ChildState.EXITED:
            self._kill_group()
        self._record.end()

    # -- the process -------------------------------------------------------------------------

    def _run(self) -> None:
        """Run the process to its end, in a linked greenlet."""
        try:
            process = self._launch()
        except ProcessNotStarted as error:
            self._fail_by(error)
            return
        readers = [
            self.spawn(self._read, "stdout", process.stdout, name="stdout"),
            self.spawn(self._read, "stderr", process.stderr, name="stderr"),
        ]
        code = process.wait()
        self._exit = (None, _signal_name(-code)) if code < 0 else (code, None)
        gevent.joinall(readers, timeout=LAST_WORDS_S)
        if self._asked_to_stop:
            return
        self._state = ChildState.EXITED
        self._kill_group()  # what it has left behind
        self._record.end()
        self._record.note_exit(*self._exit)
        if code != 0 or self._too_big is not None:
            exit_code, exit_signal = self._exit
            name, last_words = self.address.name, self._last_words
            ended = ProcessEnded(name, exit_code, exit_signal, last_words)
            self._fail_by(self._too_big or ended)
            return
        self.log.info("process has ended")
        self.stop()

    def _fail_by(self, error: OrchestratorError) -> None:
        """Raise in the actor itself, as its very reason, and not as a stack from gevent's hub."""

        def fail() -> None:
            raise error

        self.after(0.0, fail)

    def _launch(self) -> "subprocess.Popen[bytes]":
        """Start the process.

        Raises:
            ProcessNotStarted: the folder, say, is not there.
        """
        self._launched.clear()
        entry = [sys.executable, "-I", "-S", str(_ENTRY), str(os.getpid())]
        try:
            process = subprocess.Popen(
                [*entry, *self._command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self._command.folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for the daemon; and the group can be killed
            )
            self._process = process
            if self._guard is not None:
                self._guard.watch(process.pid)
        except (OSError, ValueError) as error:
            raise ProcessNotStarted(self.address.name, str(error)) from error
        finally:
            self._launched.set()
        self._started_at = time.monotonic()
        self._record.begin(process.pid)
        self._meter = UsageMeter(process.pid)
        self.log.info("process started", pid=process.pid)
        return process

    def _environment(self) -> dict[str, str]:
        ours = self._guard.child_environment(self.address.name) if self._guard is not None else {}
        return {**self._command.environment, **ours}

    def _note_up(self) -> None:
        if self._process is None:  # still being started, on a machine with much to do
            self.after(UP_AFTER_S, self._note_up)
        elif self._state is ChildState.STARTING:
            self._state = ChildState.RUNNING

    def _status(self) -> ProcessStatus:
        running = self._process is not None and self._process.poll() is None
        return ProcessStatus(
            state=self._state,
            pid=self._process.pid if self._process is not None and running else None,
            uptime_s=round(time.monotonic() - self._started_at, 3) if running else 0.0,
            exit_code=self._exit[0],
            exit_signal=self._exit[1],
            usage=self._record.usage,
        )

    # -- what it uses ------------------------------------------------------------------------

    def _measure(self) -> None:
        if self._record.pid is None or self._too_big is not None:
            return
        usage = self._record.usage = self._meter.sample()
        limit = self._command.max_memory_bytes
        if limit is not None and usage.memory_bytes > limit:
            self._too_big = ProcessTooBig(self.address.name, usage.memory_bytes, limit)
            self.log.error(
                "process exceeds its memory limit, stopping it", reason=str(self._too_big)
            )
            self.spawn(self._end_too_big, name="too-big")

    def _end_too_big(self) -> None:
        self._signal_group(signal.SIGTERM)
        if self._wait(self._command.stop_timeout_s) is None:
            self._kill_group()

    # -- its group ---------------------------------------------------------------------------

    def _wait(self, limit_s: float) -> int | None:
        """The return code; ``None`` if it still runs after ``limit_s``."""
        if self._process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            return int(self._process.wait(timeout=limit_s))
        return None

    def _kill_group(self) -> None:
        self._signal_group(signal.SIGKILL)
        if self._process is None:
            return
        if self._wait(REAP_S) is None:
            self.log.error("killed process is still running", pid=self._process.pid)
        elif self._guard is not None:
            self._end_stragglers(self._guard)
            self._guard.forget(self._process.pid)

    def _end_stragglers(self, guard: GroupWatch) -> None:
        for pid in guard.stragglers(self.address.name):
            self.log.warning("killing a process that left its agent's group", pid=pid)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for zombies
                os.killpg(self._process.pid, number)

    # -- its output --------------------------------------------------------------------------

    def _read(self, stream: str, pipe: Any) -> None:
        splitter = LineSplitter()
        while data := pipe.read(READ_BYTES):
            for text in splitter.feed(data):
                self._note(stream, text)
            gevent.sleep(YIELD_S)  # a pipe that is never empty would never let others run
        for text in splitter.finish():
            self._note(stream, text)

    def _note(self, stream: str, text: str) -> None:
        if stream == "stderr" and text.strip():
            self._last_words = text.strip()[:200]
        unlogged = self._record.output.unlogged
        if self._record.output.add(OutputLine(time.time(), stream, text)):
            line = read_line(text)
            more = {"fields": line.fields} if line.fields else {}
            log = getattr(self.log, line.level)
            log("output", agent=self.address.name, stream=stream, line=line.text, **more)
        elif unlogged % 10_000 == 0:
            self.log.warning("output too fast, lines not logged", lines_left_out=unlogged + 1)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
