"""A PostgreSQL primary and its streaming replica, of the embedded server's binaries."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from orchestrator.runtime.embedded import EmbeddedPostgres
from quiet_clock import quiet_s


class _Primary(EmbeddedPostgres):
    """Lets its own account replicate, too."""

    def _write_access_rules(self) -> None:
        super()._write_access_rules()
        with (self.home / "hba.conf").open("a") as rules:
            rules.write("local replication all peer map=daemon\n")
        with (self.home / "ident.conf").open("a") as names:
            names.write(f'daemon "{self._account_name()}" all\n')


class _Replica(_Primary):
    """Made of a base backup of `primary`, which it follows."""

    def __init__(self, folder: Path, primary: _Primary) -> None:
        super().__init__(folder)
        self._primary = primary

    def _make_data(self) -> None:
        self._data.mkdir(mode=0o700)
        if self._account is not None:
            shutil.chown(self._data, self._account.uid, self._account.gid)
        program = self._binaries.initdb.with_name("pg_basebackup")
        follow = ("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast")
        self._run(program, "-d", self._primary.url, "-D", self._data, *follow)


class PostgresPair:
    """A primary and a replica that waits to be promoted, both running.

    Attributes:
        url: names both, as ``PG_URL`` does.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o711)
        self.primary = _Primary(folder / "first")
        self.primary.start()
        self.replica = _Replica(folder / "second", self.primary)
        self.replica.start()
        hosts = ",".join(_host_of(one) for one in (self.primary, self.replica))
        self.url = (
            f"postgresql://orchestrator@/orchestrator?host={quote(hosts, safe='')}"
            "&port=5432&target_session_attrs=read-write"
        )

    def wait_for_replica(self) -> None:
        """From now on a commit waits until the replica has it, too."""
        _execute(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        _execute(self.primary, "SELECT pg_reload_conf()")
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        end = quiet_s() + 20.0
        while _execute(self.primary, query) != 1:
            assert quiet_s() < end, "the replica does not follow"
            time.sleep(0.02)

    def promote(self) -> None:
        """The replica takes writes from now on."""
        assert _execute(self.replica, "SELECT pg_promote()") is True


@contextmanager
def postgres_pair(folder: Path) -> Iterator[PostgresPair]:
    """A pair in a new folder; both are gone afterwards, frozen or not."""
    pair = PostgresPair(folder)
    try:
        yield pair
    finally:
        for server in (pair.replica, pair.primary):
            _kill(server)


def _kill(server: EmbeddedPostgres) -> None:
    if (pid := server.pid()) is None:
        return
    first = psutil.Process(pid)
    for process in [first, *first.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # the others end with the first
            process.kill()


def _host_of(server: EmbeddedPostgres) -> str:
    with psycopg.connect(server.url) as connection:
        return str(connection.info.host)


def _execute(server: EmbeddedPostgres, statement: str) -> object:
    """The first value of what it returns, if it returns something."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
