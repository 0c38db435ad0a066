"""The guard's own way to Redis: passwords, TLS and Unix sockets, as redis-py takes them by URL."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import psutil
import pytest
import redis
from faults.certificates import Authority
from faults.tls_proxy import TlsProxy
from orchestrator.runtime._guard_entry import Redis
from orchestrator.runtime.embedded import EmbeddedValkey
from structlog.testing import capture_logs

from .test_guard import Post, until

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]

PASSWORD = "p@ss/wörd:%20"  # noqa: S105 a test's


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
    with closing(Redis(url)) as ours:
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
        pytest.raises(ValueError, match=r"NOAUTH|WRONGPASS") as caught,
        closing(Redis(f"unix://{given}{locked}")) as refused,
    ):
        refused.call("PING")

    assert "wrong" not in str(caught.value)


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
        with pytest.raises(OSError, match=r"SSL|closed|reset"), closing(Redis(url)) as refused:
            refused.call("PING")


New = Callable[[str], Post]


@pytest.fixture
def new_post(tmp_path: Path) -> Iterator[New]:
    made: list[Post] = []

    def make(url: str) -> Post:
        made.append(Post(tmp_path, url))
        return made[-1]

    yield make
    for post in made:
        post.leave()


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
        post.link.orders = msgspec.structs.replace(post.orders, redis_url=url)
        post.man()
        until(lambda: any("cannot reach Redis" in entry["event"] for entry in logged))

    said = str(logged)
    assert "certificate verify failed" in said
    assert PASSWORD not in said
    assert proxy.passed == 0
    assert quote(PASSWORD) not in " ".join(psutil.Process(post.status().pid).cmdline())
