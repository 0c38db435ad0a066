"""The guard's own way to Redis: passwords, TLS and Unix sockets, as redis-py takes them by URL."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import psutil
import pytest
import redis
from faults.certificates import Authority
from faults.tls_proxy import TlsProxy
from orchestrator.killswitch.guard.connection import Connection, NotMaster, Refused
from orchestrator.protocol.bus_url import read_bus_url
from orchestrator.runtime.embedded import EmbeddedValkey
from structlog.testing import capture_logs

from .posts import Post, until

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]

PASSWORD = "p@ss/wörd:%20"  # noqa: S105 a test's


def dial(url: str) -> Connection:
    return Connection(read_bus_url(url))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of a Valkey that wants a password and listens nowhere else."""
    folder = tmp_path_factory.mktemp("valkey")
    path = folder / "valkey.sock"
    process = subprocess.Popen(
        [
            EmbeddedValkey(folder)._binary(),
            *("--port", "0", "--unixsocket", path, "--unixsocketperm", "700", "--dir", folder),
            *("--save", "", "--requirepass", PASSWORD),
            *("--user", "guard", "on", f">{PASSWORD}", "~*", "&*", "+@all"),
            *("--logfile", folder / "log"),
        ]
    )
    try:
        until(path.exists)
        yield path
    finally:
        process.terminate()
        process.wait(10)


def by_hand(url: str) -> bytes:
    """The guard's client and redis-py, on the same URL."""
    with redis.Redis.from_url(url) as theirs:
        assert theirs.ping()
    with closing(dial(url)) as ours:
        answer: bytes = ours.call("PING")
    return answer


@pytest.mark.parametrize(
    "url",
    [
        "unix://:{password}@{path}",
        "unix://guard:{password}@{path}",
        "unix://{path}?password={password}",
        "unix://{path}?username=guard&password={password}&db=3",
    ],
)
def test_a_unix_socket_with_a_password(locked: Path, url: str) -> None:
    given = url.format(path=locked, password=quote(PASSWORD, safe=""))

    assert by_hand(given) == b"PONG"


@pytest.mark.parametrize("given", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password_is_an_error_without_it(locked: Path, given: str) -> None:
    with (
        pytest.raises(Refused, match=r"NOAUTH|WRONGPASS") as caught,
        closing(dial(f"unix://{given}{locked}")) as refused,
    ):
        refused.call("PING")

    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "name"), [("", b"orchestrator-guard"), ("?client_name=mine", b"mine")]
)
def test_the_connection_is_named(redis_url: str, query: str, name: bytes) -> None:
    with closing(dial(f"{redis_url}{query}")) as connection:
        assert connection.call("CLIENT", "GETNAME") == name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("guards-ca"))


def target(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 6379)


@pytest.mark.parametrize(
    ("names", "query"),
    [
        ("DNS:localhost", {}),
        ("DNS:other.example", {"ssl_check_hostname": "false"}),
        ("DNS:other.example", {"ssl_check_hostname": "True", "ssl_cert_reqs": "none"}),
    ],
)
def test_tls_as_the_url_asks_for_it(
    redis_url: str, authority: Authority, names: str, query: dict[str, str]
) -> None:
    with TlsProxy(target(redis_url), authority.issue(names)) as proxy:
        given = urlencode({"ssl_ca_certs": str(authority.cert)} | query)

        assert by_hand(f"rediss://localhost:{proxy.port}/0?{given}") == b"PONG"
        assert by_hand(f"rediss://default:any@localhost:{proxy.port}/0?{given}") == b"PONG"


def test_a_certificate_of_its_own_is_shown(redis_url: str, authority: Authority) -> None:
    client = authority.issue("DNS:guard", purpose="clientAuth")
    with TlsProxy(target(redis_url), authority.issue(), clients_of=authority) as proxy:
        ca = {"ssl_ca_certs": str(authority.cert)}
        own = ca | {"ssl_certfile": str(client.cert), "ssl_keyfile": str(client.key)}

        assert by_hand(f"rediss://localhost:{proxy.port}/0?{urlencode(own)}") == b"PONG"
        url = f"rediss://localhost:{proxy.port}/0?{urlencode(ca)}"
        with pytest.raises(OSError, match=r"SSL|closed|reset"), closing(dial(url)) as refused:
            refused.call("PING")


New = Callable[..., Post]


def trips(post: Post) -> None:
    """The whole guard: it publishes the stop and deletes the permit."""
    post.man()
    assert post.permitted
    post.trip_file.write_text("drill")

    assert post.published()["reason"] == "drill"
    until(lambda: not post.permitted)


def test_the_guard_trips_over_a_unix_socket_with_a_password(locked: Path, new_post: New) -> None:
    trips(new_post(f"unix://guard:{quote(PASSWORD, safe='')}@{locked}"))


def test_the_guard_trips_over_tls(redis_url: str, authority: Authority, new_post: New) -> None:
    with TlsProxy(target(redis_url), authority.issue()) as proxy:
        trips(new_post(f"rediss://localhost:{proxy.port}/0?ssl_ca_certs={authority.cert}"))


def test_the_guard_trusts_whom_the_daemon_trusts(
    redis_url: str, authority: Authority, new_post: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    with TlsProxy(target(redis_url), authority.issue()) as proxy:
        trips(new_post(f"rediss://localhost:{proxy.port}/0"))


def test_the_guard_says_why_it_cannot_reach_redis_and_shows_no_password(
    redis_url: str, authority: Authority, tmp_path: Path, new_post: New
) -> None:
    with (
        TlsProxy(target(redis_url), Authority(tmp_path, "other").issue()) as proxy,
        capture_logs() as logged,
    ):
        post = new_post(redis_url)
        query = urlencode({"ssl_ca_certs": authority.cert, "password": PASSWORD})
        url = f"rediss://localhost:{proxy.port}/0?{query}"
        post.link.orders = replace(post.link.orders, redis_url=url)
        post.man()
        until(lambda: any("cannot reach Redis" in str(entry) for entry in logged))

    said = str(logged)
    assert "certificate verify failed" in said
    assert PASSWORD not in said
    assert proxy.passed == 0
    assert quote(PASSWORD) not in " ".join(psutil.Process(post.pid).cmdline())


# -- by hand -------------------------------------------------------------------------------------


def test_redis_is_spoken_by_hand(redis_url: str) -> None:
    with closing(dial(redis_url)) as connection:
        connection.call("SET", "orchestrator:permit", "yes\r\nno")

        assert connection.call("PING") == b"PONG"
        assert connection.call("GET", "orchestrator:permit") == b"yes\r\nno"
        assert connection.call("GET", "missing") is None
        assert connection.call("DEL", "orchestrator:permit") == 1
        assert connection.call("PUBLISH", "risk.killswitch", b"{}") == 0
        nested = "return {1, {'a', false}, ''}"
        assert connection.call("EVAL", nested, "0") == [1, [b"a", None], b""]
        with pytest.raises(Refused, match="ERR"):
            connection.call("NO", "SUCH", "COMMAND")
        assert connection.call("PING") == b"PONG"


def test_a_database_is_selected(redis_url: str) -> None:
    third_url = redis_url.rstrip("/").removesuffix("/0") + "/3"
    with closing(dial(third_url)) as third, closing(dial(redis_url)) as first:
        third.call("SET", "here", "3")

        assert (third.call("EXISTS", "here"), first.call("EXISTS", "here")) == (1, 0)


# -- masters only --------------------------------------------------------------------------------


@pytest.fixture
def replica(tmp_path: Path, redis_url: str) -> Iterator[str]:
    """A Valkey that is a replica of the session's."""
    path = tmp_path / "replica.sock"
    host, port = target(redis_url)
    binary = EmbeddedValkey(tmp_path)._binary()
    process = subprocess.Popen(
        [
            *(binary, "--port", "0", "--unixsocket", path, "--dir", tmp_path, "--save", ""),
            *("--replicaof", host, str(port), "--logfile", tmp_path / "replica.log"),
        ]
    )
    try:
        until(path.exists)
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)


def test_a_replica_is_refused(replica: str) -> None:
    with pytest.raises(NotMaster, match=r"no master \(slave\)"):
        dial(replica)


def test_a_server_that_becomes_a_replica_is_noticed(replica: str, redis_url: str) -> None:
    host, port = target(redis_url)
    with redis.Redis.from_url(replica) as admin:
        admin.replicaof("NO", "ONE")
        with closing(dial(replica)) as connection:
            connection.prove()
            admin.replicaof(host, str(port))

            with pytest.raises(NotMaster):
                connection.prove()


def test_the_guard_publishes_nothing_at_a_replica_and_says_so(
    replica: str, new_post: New, redis_url: str
) -> None:
    post = new_post()
    with redis.Redis.from_url(replica) as there:
        heard = there.pubsub(ignore_subscribe_messages=True)
        heard.subscribe("risk.killswitch")
        until(lambda: heard.get_message() is None)
        post.link.orders = replace(post.link.orders, redis_url=replica)
        post.man()
        post.trip_file.write_text("at a replica")
        until(lambda: post.trips)

        until(lambda: "no master" in post.status().bus)
        assert heard.get_message(timeout=1.0) is None
        there.replicaof("NO", "ONE")
        until(lambda: heard.get_message() is not None)
        heard.close()
    until(lambda: not post.status().bus)
    del redis_url


def test_a_server_that_forbids_the_question_may_be_a_master(redis_url: str) -> None:
    host, port = target(redis_url)
    with redis.Redis.from_url(redis_url) as admin:
        admin.acl_setuser(
            "norole", enabled=True, passwords="+x", keys="*", channels="*",
            commands=["+@all", "-role"],
        )  # fmt: skip
        try:
            with closing(dial(f"redis://norole:x@{host}:{port}/0")) as connection:
                connection.prove()
                assert connection.call("PING") == b"PONG"
        finally:
            admin.acl_deluser("norole")
