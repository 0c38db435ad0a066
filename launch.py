"""Runs a daemon as a process: settings, servers, signals, the banner, and the exit code.

Whatever stands in the way of a start is said in one line that tells what to do; then nothing is
left running.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event as Signal

from .daemon import Daemon
from .http.server import ListeningSocket
from .runtime import OrchestratorError
from .runtime.datadir import DataDir
from .runtime.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from .runtime.log import configure_logging
from .settings import EMBEDDED, Settings, SettingsError, find_file, load, masked, shipped_file

EXIT_FAILED: Final = 1
"""The daemon did not start, or ended because something failed."""

EXIT_USAGE: Final = 2
"""The settings are wrong."""


def main(config_path: Path | None = None, *, demo: bool = False) -> int:
    """Run the daemon in the foreground until it is told to stop; returns the exit code.

    Args:
        config_path: The settings; by default ``supervisor.toml`` here, if there is one.
        demo: Use the settings that come with the package: embedded servers, sample agents.
    """
    try:
        settings = load(shipped_file() if demo else config_path or find_file())
    except SettingsError as error:
        say(str(error))
        return EXIT_USAGE
    try:
        return run(settings)
    except (OrchestratorError, OSError) as error:
        say(f"not started: {error}")
        return EXIT_FAILED


def run(settings: Settings) -> int:
    """Open everything in order, serve, close everything in reverse; returns the exit code.

    Raises:
        OrchestratorError: The start failed; what was started has been stopped.
        OSError: The disk or the network refused; likewise.
    """
    with ExitStack() as stack:
        data = stack.enter_context(DataDir.open(settings.data.dir))
        listening = stack.enter_context(closing(ListeningSocket(settings.http)))
        stack.enter_context(closing(configure_logging(settings.log)))
        stop = stack.enter_context(stop_signals())
        servers = [
            stack.enter_context(running(server)) for server in embedded_servers(settings, data.path)
        ]
        daemon = Daemon(settings, data, listening, servers)
        stack.enter_context(daemon.running())
        stack.enter_context(announced(data.path / "servers.json", daemon, listening))
        print_banner(daemon, listening)
        gevent.wait([stop, daemon.ended], count=1)
        say(f"ended: {daemon.failure}" if daemon.failure else "stopping: draining, please wait")
    return EXIT_FAILED if daemon.failure else 0


def embedded_servers(settings: Settings, folder: Path) -> list[EmbeddedServer]:
    """Those that the settings ask for, not started yet."""
    servers: list[EmbeddedServer] = []
    if settings.postgres.url.get_secret_value() == EMBEDDED:
        servers.append(EmbeddedPostgres(folder / "postgres", on_progress=say))
    if settings.redis.url == EMBEDDED:
        servers.append(EmbeddedValkey(folder / "valkey", on_progress=say))
    return servers


@contextmanager
def running(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server that runs as long as the block."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def stop_signals() -> Iterator[Signal]:
    """An event that SIGINT or SIGTERM sets."""
    stop = Signal()
    watchers = [
        gevent.signal_handler(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield stop
    finally:
        for watcher in watchers:
            watcher.cancel()


@contextmanager
def announced(path: Path, daemon: Daemon, listening: ListeningSocket) -> Iterator[None]:
    """A file that tells programs of this account where everything is; gone after a clean stop."""
    told: dict[str, Any] = {
        "http": listening.url,
        "redis": daemon.redis_url,
        "postgres": daemon.pg_url,
        "pid": os.getpid(),
    }
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(told, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def print_banner(daemon: Daemon, listening: ListeningSocket) -> None:
    """What somebody wants to know who has just started it."""
    say("")
    say(f"  dashboard        {listening.url}/")
    say(f"  agents, REDIS_URL {masked(daemon.redis_url)}")
    say(f"  data directory   {daemon.data.path}")
    say("  stop             Ctrl-C (drains, then ends everything)")
    say("")


def say(text: str) -> None:
    """Tell the person at the terminal; stdout is the log's."""
    sys.stderr.write(
        f"orchestrator: {text}\n" if text.strip() and text == text.lstrip() else f"{text}\n"
    )
    sys.stderr.flush()
