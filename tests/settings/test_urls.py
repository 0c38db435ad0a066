from pathlib import Path

import pytest
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
