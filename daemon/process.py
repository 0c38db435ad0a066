"""Runs a daemon as a process: settings, servers, signals, the banner, and the exit code.

A failed start is reported in one line with what to do about it, and leaves nothing running.
"""

import faulthandler
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import gevent
import structlog
from prometheus_client import Counter

from ..http.edge.listener import ListeningSocket
from ..http.settings import HttpSettings
from ..protocol.rehearsal import FILE_VARIABLES, test_variables, wants_test
from ..runtime import OrchestratorError
from ..runtime.datadir import DataDir
from ..runtime.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from ..runtime.linked import running
from ..runtime.notify import Notifier
from ..runtime.signals import Signals, running_signals, stop_signals
from ..runtime.telemetry.log import configure_logging
from ..runtime.telemetry.log_writer import LogWriter
from ..runtime.telemetry.standard_streams import StandardStreams
from ..settings import EMBEDDED, Settings, SettingsError, find_file, load, masked, shipped_file
from .tree import Daemon

EXIT_FAILED: Final = 1
"""The daemon did not start, or ended because something failed."""

EXIT_USAGE: Final = 2
"""The settings are wrong."""

FORCE_AFTER_S: Final = 1.0
"""How long an orderly stop may still take after a second signal."""

FORCED_STOP_S: Final = 0.4
"""How long servers may take to stop then; what they acknowledged is on disk."""

log = structlog.get_logger(actor="daemon")


def main(config_path: Path | None = None, *, demo: bool = False) -> int:
    """Run the daemon in the foreground until it is stopped; returns the exit code.

    Args:
        config_path: The settings; by default ``supervisor.toml`` here, if there is one.
        demo: Use the settings that come with the package: embedded servers, sample agents.
    """
    with StandardStreams().installed() as streams:
        return _main(config_path, streams, demo=demo)


def _main(config_path: Path | None, streams: StandardStreams, *, demo: bool) -> int:
    with ExitStack() as stack:
        if wants_test(os.environ):
            folder = stack.enter_context(TemporaryDirectory(prefix="orchestrator-test-"))
            os.environ |= test_variables(Path(folder))
            for name in FILE_VARIABLES:
                os.environ.pop(name, None)
            say(f"test mode: embedded servers in {folder}, gone at the end")
        try:
            settings = load(shipped_file() if demo else config_path or find_file())
        except SettingsError as error:
            say(str(error))
            return EXIT_USAGE
        try:
            return run(settings, streams)
        except (OrchestratorError, OSError) as error:
            say(f"start failed: {error}")
            return EXIT_FAILED


def run(settings: Settings, streams: StandardStreams) -> int:
    """Open everything in order, serve, close everything in reverse; returns the exit code.

    Args:
        settings: All of them.
        streams: stdout and stderr, installed.

    Raises:
        OrchestratorError: The start failed; what was started has been stopped.
        OSError: The disk or the network refused; likewise.
    """
    print_stacks_of_crashes()
    notifier = Notifier(os.environ)
    with ExitStack() as stack:
        signals = stack.enter_context(stop_signals())
        data = stack.enter_context(DataDir.open(settings.data.dir))
        listening = stack.enter_context(closing(ListeningSocket(settings.http)))
        writer = stack.enter_context(closing(configure_logging(settings.log)))
        if data.mended:
            say(f"the group of {data.path} could write to it, and no longer can")
        servers = embedded_servers(settings, data.path)
        forced = ForcedShutdown(signals, data.path, servers, (writer.close, streams.finish))
        stack.callback(log_last_word, forced)
        stack.enter_context(running("daemon-forced-shutdown", forced.wait))
        for server in servers:
            stack.enter_context(serving(server))
        daemon = forced.daemon = Daemon(
            settings, data, listening, servers, lambda: load(settings.file)
        )
        count_lost_output(daemon, streams, writer)
        stack.enter_context(daemon.running())
        stack.enter_context(announced(data.path / "servers.json", daemon, listening))
        stack.enter_context(
            running_signals(reload=daemon.reloads.signalled, emergency=daemon.stop.signalled)
        )
        print_banner(daemon, listening)
        for warning in settings.warnings:
            say(f"warning: {warning}")
        for name, reason in daemon.unavailable().items():
            say(f"{name} is unavailable ({reason}): starting without it, retrying")
        notifier.ready(f"serving on {listening.url}")
        with notifier.watched(daemon.responds):
            gevent.wait([signals.stop, daemon.ended], count=1)
        notifier.stopping(daemon.failure or "draining")
        say("stopping: draining, please wait")
    if daemon.failure:
        say(f"ended: {daemon.failure}")  # the last line says why
    return EXIT_FAILED if daemon.failure else 0


def count_lost_output(daemon: Daemon, streams: StandardStreams, writer: LogWriter) -> None:
    """Add what could not be written to the metrics; output may fail, the daemon goes on."""
    daemon.metrics.watch(
        Counter,
        "output_lost",
        "Lines that could not be written.",
        lambda: [(("log",), float(writer.dropped)), *streams.lost()],
        ("output",),
    )


def log_last_word(forced: "ForcedShutdown") -> None:
    """Log why the daemon ended, unless it was stopped."""
    if forced.daemon is not None and forced.daemon.failure:
        log.error("ended", reason=forced.daemon.failure)


def print_stacks_of_crashes() -> None:
    """Have C print all threads' stacks at SIGSEGV and the like, and when the guard ends a hang."""
    with suppress(OSError, ValueError, AttributeError):  # no real stderr
        faulthandler.enable()


class ForcedShutdown:
    """Forces the shutdown `FORCE_AFTER_S` after a second SIGTERM or Ctrl-C.

    Nothing is lost: events are in the journal, and servers have on disk what they acknowledged.
    It takes at most two seconds.
    """

    def __init__(
        self,
        signals: Signals,
        folder: Path,
        servers: Sequence[EmbeddedServer],
        finish_output: Sequence[Callable[[float], None]],
    ) -> None:
        self._signals = signals
        self._folder = folder
        self._servers = servers
        self._finish_output = finish_output
        self.daemon: Daemon | None = None
        """Once there is one."""

    def wait(self) -> None:
        """Wait for the second signal and end the process. Run it in a greenlet of its own."""
        self._signals.force.wait()
        say("second signal: forcing shutdown")
        gevent.sleep(FORCE_AFTER_S)
        log.warning("shutdown forced; the next start resumes from the journal")
        if self.daemon is not None:
            self.daemon.abandon()
        stops = [gevent.spawn(server.stop, FORCED_STOP_S) for server in self._servers]
        gevent.joinall(stops, timeout=2 * FORCED_STOP_S)
        (self._folder / "servers.json").unlink(missing_ok=True)
        for finish in self._finish_output:
            finish(0.1)
        os._exit(0)  # as asked for: a service manager has nothing to repair


def embedded_servers(settings: Settings, folder: Path) -> list[EmbeddedServer]:
    """The embedded servers in the settings, not started yet."""
    servers: list[EmbeddedServer] = []
    if settings.postgres.url.get_secret_value() == EMBEDDED:
        servers.append(EmbeddedPostgres(folder / "postgres", on_progress=say))
    if settings.redis.url == EMBEDDED:
        servers.append(EmbeddedValkey(folder / "valkey", on_progress=say))
    return servers


@contextmanager
def serving(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """Run a server for the duration of the block."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def announced(path: Path, daemon: Daemon, listening: ListeningSocket) -> Iterator[None]:
    """Write the URLs of this daemon for programs of this account; removed by a clean stop.

    URLs with passwords are left out: those who need them read the settings.
    """
    places: dict[str, Any] = {"http": listening.url, "pid": os.getpid()}
    servers = {"redis": daemon.agents_redis_url, "postgres": daemon.pg_url}
    places |= {name: url for name, url in servers.items() if url == masked(url)}
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(places, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


_DEFAULT_URL: Final = f"http://{HttpSettings().host}:{HttpSettings().port}"
"""Where commands look by default."""


def print_banner(daemon: Daemon, listening: ListeningSocket) -> None:
    """Print where everything is."""
    say("")
    say(f"  dashboard        {listening.url}/")
    say(f"  agents, REDIS_URL {masked(daemon.agents_redis_url)}")
    say(f"  data directory   {daemon.data.path}")
    if listening.url != _DEFAULT_URL:
        say(f"  for commands     export ORCHESTRATOR_URL={listening.url}")
    say("  stop             Ctrl-C (drains, then ends everything)")
    say("")


def say(text: str) -> None:
    """Print for the person at the terminal; stdout is the log's."""
    sys.stderr.write(
        f"orchestrator: {text}\n" if text.strip() and text == text.lstrip() else f"{text}\n"
    )
    sys.stderr.flush()
