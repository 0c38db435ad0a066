"""TLS to Redis and PostgreSQL: whoever cannot prove to be the server gets no password."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import redis
from faults.certificates import Authority, Pair
from faults.tls_proxy import TlsProxy
from orchestrator.actors.redis_listener.reconnect import connection_pool, dial
from orchestrator.cli.doctor.check_results import Level
from orchestrator.cli.doctor.postgres import check_postgres
from orchestrator.cli.doctor.redis import check_redis
from orchestrator.killswitch.guard.connection import Connection
from orchestrator.protocol.bus_url import read_bus_url
from orchestrator.sql.connection import connect
from orchestrator.sql.errors import Unavailable
from psycopg.conninfo import conninfo_to_dict

from .conftest import Serve

PASSWORD = "canary-5e21"  # noqa: S105 a test's

# Who answers → what is said to do about it, for Redis and for PostgreSQL (whose library does not
# tell one failed verification from another).
REFUSED = {
    "wrong authority": ("ssl_ca_certs=FILE", "an authority that sslrootcert"),
    "wrong name": ("as its certificate does", "as its certificate does"),
    "expired": ("renewed", "has expired"),
    "plain": ("redis://", "enable TLS there"),
}
refused = pytest.mark.parametrize("kind", REFUSED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def pairs(authority: Authority, folder: Path) -> dict[str, Pair | None]:
    return {
        "good": authority.issue(),
        "wrong authority": Authority(folder, "other").issue(),
        "wrong name": authority.issue("DNS:other.example"),
        "expired": authority.issue(days=-1),
        "plain": None,
    }


def before_redis(url: str, pair: Pair | None) -> TlsProxy:
    parts = urlsplit(url)
    return TlsProxy((str(parts.hostname), int(parts.port or 6379)), pair)


def before_postgres(url: str, pair: Pair | None) -> TlsProxy:
    given = conninfo_to_dict(url)
    path = f"{given['host']}/.s.PGSQL.{given['port']}"
    return TlsProxy(path, pair, postgres=True)


def redis_through(proxy: TlsProxy, authority: Authority) -> str:
    # The default user, who takes any password here.
    query = urlencode({"ssl_ca_certs": authority.cert, "username": "default", "password": PASSWORD})
    return f"rediss://localhost:{proxy.port}/0?{query}"


def postgres_through(proxy: TlsProxy, url: str, authority: Authority) -> str:
    given = conninfo_to_dict(url)
    where = f"{given['user']}:{PASSWORD}@localhost:{proxy.port}/{given['dbname']}"
    query = urlencode({"sslmode": "verify-full", "sslrootcert": authority.cert})
    return f"postgresql://{where}?{query}"


def assert_nothing_told(proxy: TlsProxy) -> None:
    assert proxy.passed == 0
    assert PASSWORD.encode() not in proxy.heard


@refused
def test_redis_that_is_not_proven_is_refused(
    kind: str, redis_url: str, authority: Authority, pairs: dict[str, Pair | None]
) -> None:
    with before_redis(redis_url, pairs[kind]) as proxy:
        url = redis_through(proxy, authority)
        with pytest.raises(redis.ConnectionError, match="SSL"):
            dial(connection_pool(url, 5.0).make_connection())
        (found,) = check_redis(url)

        assert found.level is Level.CRITICAL
        assert REFUSED[kind][0] in found.said
        assert_nothing_told(proxy)


@refused
def test_the_guard_refuses_it_as_well(
    kind: str, redis_url: str, authority: Authority, pairs: dict[str, Pair | None]
) -> None:
    with before_redis(redis_url, pairs[kind]) as proxy:
        with pytest.raises(OSError, match=r"SSL|certificate"):
            Connection(read_bus_url(redis_through(proxy, authority)))

        assert_nothing_told(proxy)


@refused
def test_postgresql_that_is_not_proven_is_refused(
    kind: str, pg_url: str, authority: Authority, pairs: dict[str, Pair | None]
) -> None:
    with before_postgres(pg_url, pairs[kind]) as proxy:
        url = postgres_through(proxy, pg_url, authority)
        with pytest.raises(Unavailable) as caught:
            connect(url)
        (found,) = check_postgres(url)

        assert REFUSED[kind][1] in str(caught.value)
        assert (found.level, REFUSED[kind][1] in found.said) == (Level.CRITICAL, True)
        assert PASSWORD not in str(caught.value)
        assert_nothing_told(proxy)


def test_an_authority_that_is_not_there_is_said_so(
    pg_url: str, folder: Path, pairs: dict[str, Pair | None]
) -> None:
    with before_postgres(pg_url, pairs["good"]) as proxy:
        query = urlencode({"sslmode": "verify-full", "sslrootcert": folder / "none.pem"})
        with pytest.raises(Unavailable, match="sslrootcert=system"):
            connect(f"postgresql://u:{PASSWORD}@localhost:{proxy.port}/d?{query}")

        assert_nothing_told(proxy)


def test_a_daemon_reaches_both_under_tls(
    serve: Serve,
    redis_url: str,
    pg_url: str,
    authority: Authority,
    pairs: dict[str, Pair | None],
) -> None:
    with (
        before_redis(redis_url, pairs["good"]) as bus,
        before_postgres(pg_url, pairs["good"]) as store,
    ):
        served = serve(
            redis={"url": redis_through(bus, authority)},
            postgres={"url": postgres_through(store, pg_url, authority)},
        )
        with served.socket("/?types=strategy.*") as client, served.redis as agent:
            agent.publish("strategy.over-tls", "{}")
            assert "strategy.over-tls" in str(client.recv(timeout=10))
        served.wait_committed(served.stored())

        assert bus.passed >= 3
        assert store.passed >= 2
