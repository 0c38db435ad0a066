from pathlib import Path
from typing import Any

import pytest
from orchestrator.actors.redis_listener.reconnect import connection_pool
from orchestrator.agents.errors import BadOptions
from orchestrator.agents.publisher import connect
from orchestrator.cli.doctor.redis import connected
from orchestrator.protocol.bus_url import BadBusUrl, read_bus_url
from orchestrator.settings import SettingsError, load
from orchestrator.settings.urls import postgres_problem, redis_problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "redis://h:6379/0",
        "redis://:p%40ss@[::1]:6379/15?socket_timeout=2&health_check_interval=5",
        "redis://127.0.0.1:6379?family=4",
        "rediss://user:p@h:6380/0?ssl_cert_reqs=none",
        "unix:///run/valkey.sock?db=2",
    ],
)
def test_a_url_that_can_be_the_bus_is_taken(url: str) -> None:
    assert redis_problem(url) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", "expected redis://…"),
        ("redis://h:notaport", "expected a port"),
        ("redis://h:99999", "expected a port"),
        ("redis://127.0.0.1:1/abc", "expected the number of a database"),
        ("redis://h/0/1", "expected the number of a database"),
        ("redis://h?db=x", "db: expected the number"),
        ("redis://h?foo=bar", "foo: an option that Redis clients here do not have"),
        ("redis://h?max_connections=5", "max_connections: a limit on connections"),
        ("localhost:6379", "write redis://localhost:6379"),
    ],
)
def test_a_url_that_cannot_be_the_bus_says_what_was_expected(url: str, expected: str) -> None:
    assert expected in (redis_problem(url) or "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///orch",
        "postgres://h/x",
        "postgresql://u:p%40@h:5432/x?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql://a:1,b:2/x?target_session_attrs=read-write",
        "postgresql://a,b/x?connect_timeout=3",
        "postgresql:///x?host=/run/postgresql",
    ],
)
def test_a_url_that_libpq_can_use_is_taken(url: str) -> None:
    assert postgres_problem(url) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://h/x", "expected postgresql://… or embedded"),
        ("postgresql://u@/host2/orchestrator?host?host=x", "(invalid URI query parameter)"),
        ("postgresql://u:p@h:notaport/x", "expected a port"),
        ("postgresql://h:99999/x", "expected a port"),
        ("postgresql://u:a#b/c@h/x", "percent-encode"),
        ("postgresql://[::1/x", "expected postgresql://"),
        ("postgresql://h/x?sslmode=yes", "expected sslmode to be one of disable"),
        ("postgresql://h/x?connect_timeout=soon", "expected connect_timeout to be a number"),
    ],
)
def test_a_url_that_libpq_could_not_use_says_what_was_expected(url: str, expected: str) -> None:
    assert expected in (postgres_problem(url) or "")


@pytest.mark.parametrize(
    ("variable", "key", "url"),
    [
        ("REDIS_URL", "redis.url", "redis://u:seCret@h:notaport"),
        ("REDIS_URL", "redis.url", "redis://u:seCret@h/abc"),
        ("REDIS_URL", "redis.url", "redis://u:se@Cret@h"),
        ("REDIS_URL", "redis.url", "redis://u:se Cret"),
        ("PG_URL", "postgres.url", "postgresql://u:se@Cret@h/x"),
        ("PG_URL", "postgres.url", "postgresql://u:se/@Cret@h/x"),
        ("PG_URL", "postgres.url", "postgresql://u:12?schema=Cret@h/x"),
        ("PG_URL", "postgres.url", "postgresql://h/x?password=se&Cret=1"),
        ("PG_URL", "postgres.url", "postgresql://u:seCret@h:notaport/x"),
        ("PG_URL", "postgres.url", "postgresql://u:seCret%zz@h/x"),
        ("PG_URL", "postgres.url", "postgresql://u:a#seCret/c@h/x"),
        ("PG_URL", "postgres.url", "postgresql://h:x/d?password=seCret"),
    ],
)
def test_the_fault_names_the_variable_and_never_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, key: str, url: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as caught:
        load(None, {variable: url})

    [fault] = str(caught.value).splitlines()
    assert fault.startswith(f"environment {variable}: {key}: ")
    assert "found" not in fault
    assert "Cret" not in fault


# One URL, read alike

BUS_URLS = [
    "redis://localhost:6379",
    "redis://localhost",
    "redis://",
    "redis:///3",
    "redis://h/",
    "redis://h:6380/15",
    "redis://H.Example/1",
    "redis://h.example.",
    "redis://127.0.0.1:6379/?db=3",
    "redis://h/1?db=2",
    "redis://[::1]",
    "redis://[::1]:6379/5",
    "redis://[2001:db8::1]:1/0",
    "redis://u@h",
    "redis://:@h",
    "redis://u:@h",
    "redis://:hunter2@h",
    "redis://u:hunter2@h",
    "redis://u:hunter2%40%3A%2F%23%3F%25@127.0.0.1:6379/0",
    "redis://u:%68unter2@h",
    "redis://u%40x:hunter2@h",
    "redis://h?password=hunter2",
    "redis://h?username=u&password=hunter2&db=4",
    "redis://u:hunter2@h?password=other",
    "redis://h?client_name=desk",
    "redis://h?family=4",
    "redis://h?keepAlive=1&connectTimeout=3",
    "redis://h?socket_timeout=2&health_check_interval=5",
    "rediss://h",
    "rediss://u:hunter2@h:6380?ssl_ca_certs=/etc/ca.pem",
    "rediss://h?ssl_cert_reqs=none",
    "rediss://h?ssl_check_hostname=false",
    "rediss://[::1]:6380/2?ssl_min_version=772",
    "unix:///run/redis.sock",
    "unix:///run/redis.sock?db=1",
    "unix://:hunter2@/run/redis.sock",
    "unix://u:hunter2@/run/a%20b.sock",
    "UNIX:///run/redis.sock",
    "REDIS://h",
]
NO_BUS_URLS = [
    "",
    "redis",
    "localhost:6379",
    "127.0.0.1",
    "redis:/h",
    "http://u:hunter2@h",
    "valkey://h",
    "redis+sentinel://:hunter2@s1:26379,s2:26379/mymaster/0",
    "redis+cluster://h",
    "redis://h1,h2",
    "redis://h:notaport",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:hunter2",
    "redis://h/x",
    "redis://h/0/1",
    "redis://h?db=x",
    "redis://h?max_connections=2",
    "redis://h?client_name=a%20b",
    "redis://h?keyPrefix=x",
    "redis://h?tls=true",
    "redis://h?ssl_cert_reqs=none",
    "redis://h?hunter2=1&password=x",
    "redis://::1",
    "redis://[::1",
    "redis://[x]",
    "redis://u:hun@ter2@h",
    "redis://u:hunter2/x@h",
    "redis://u:hunter2?x@h",
    "redis://u:hunter2#x@h",
    "redis://u:hunter 2@h",
    "redis://u:hunter2%ff@h",
    "unix://run/redis.sock",
    "unix://",
]


def by_all(url: str) -> list[Any]:
    """What the daemon, the kit and the command line make of a URL (the guard takes `BusUrl`)."""
    wanted = ("host", "port", "path", "db", "username", "password", "client_name")
    clients = (
        connection_pool(url, 1.0),
        connect(url).connection_pool,
        connected(url).connection_pool,
    )
    return [
        (pool.connection_class, {name: pool.connection_kwargs.get(name) for name in wanted})
        for pool in clients
    ]


@pytest.mark.parametrize("url", BUS_URLS)
def test_daemon_kit_and_command_line_read_one_url_alike(url: str) -> None:
    assert redis_problem(url) is None

    daemon, kit, command_line = by_all(url)

    assert daemon == kit == command_line
    read = read_bus_url(url)
    assert daemon[1]["db"] == read.db
    assert (daemon[1]["username"] or "", daemon[1]["password"] or "") == (
        read.username or "",
        read.password or "",
    )
    assert "hunter2" not in repr(read)


@pytest.mark.parametrize("url", NO_BUS_URLS)
def test_daemon_kit_and_command_line_refuse_one_url_alike_and_repeat_no_secret(url: str) -> None:
    said = redis_problem(url)
    assert said
    assert "hun" not in said

    for opener in (lambda: connection_pool(url, 1.0), lambda: connect(url), lambda: connected(url)):
        with pytest.raises((BadBusUrl, BadOptions)) as caught:
            opener()
        assert str(caught.value).endswith(said)
