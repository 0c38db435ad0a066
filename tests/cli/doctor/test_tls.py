from pathlib import Path

import pytest
from faults.certificates import Authority, Pair
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.tls import check_tls
from orchestrator.settings import load

from ..conftest import Orc

PLAIN = {"REDIS_URL": "embedded", "PG_URL": "embedded"}


def results(**environ: str) -> list[CheckResult]:
    return list(check_tls(load(None, PLAIN | environ)))


def own(pair: Pair) -> dict[str, str]:
    return {
        "ORCHESTRATOR_HTTP__TLS__CERT": str(pair.cert),
        "ORCHESTRATOR_HTTP__TLS__KEY": str(pair.key),
    }


def test_on_one_machine_there_is_nothing_to_say() -> None:
    servers = {"REDIS_URL": "redis://localhost:6379", "PG_URL": "postgresql://127.0.0.1/d"}

    assert results() == results(**servers) == []
    assert results(REDIS_URL="unix:///run/redis.sock", PG_URL="postgresql:///d") == []


def test_an_open_port_without_tls_is_warned_of() -> None:
    found = results(ORCHESTRATOR_HTTP__HOST="10.0.0.1", ORCHESTRATOR_HTTP__INSECURE="true")

    assert [(one.name, one.level) for one in found] == [("tls", Level.WARNING)]


def test_a_good_certificate_says_for_whom_and_until_when(tmp_path: Path) -> None:
    (found,) = results(**own(Authority(tmp_path).issue("DNS:desk.example")))

    assert found.level is Level.OK
    assert found.said.startswith("desk.example, until 2")


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [(3, Level.WARNING, "expires in 3.0 days"), (-1, Level.CRITICAL, "has expired")],
)
def test_certificates_end_and_it_is_said_in_time(
    tmp_path: Path, days: int, level: Level, said: str
) -> None:
    (found,) = results(**own(Authority(tmp_path).issue(days=days)))

    assert (found.level, said in found.said) == (level, True)


def test_what_stops_the_start_is_critical(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue()
    pair.key.chmod(0o644)

    (found,) = results(**own(pair))

    assert found.level is Level.CRITICAL
    assert "chmod o-rw" in found.said


@pytest.mark.parametrize(
    ("url", "level", "said"),
    [
        ("redis://desk.example", Level.WARNING, "none to desk.example"),
        ("rediss://desk.example", Level.OK, "verified"),
        ("rediss://desk.example?ssl_cert_reqs=none", Level.WARNING, "any certificate"),
        ("rediss://desk.example?ssl_check_hostname=false", Level.WARNING, "any host"),
    ],
)
def test_tls_to_redis_is_judged_by_its_url(url: str, level: Level, said: str) -> None:
    (found,) = results(REDIS_URL=url)

    assert (found.level, said in found.said) == (level, True)


@pytest.mark.parametrize(
    ("query", "level", "said"),
    [
        ("", Level.WARNING, "sslmode=prefer to desk.example: a man in the middle"),
        ("?sslmode=disable", Level.WARNING, "a man in the middle"),
        ("?sslmode=require", Level.WARNING, "not verified"),
        ("?sslmode=verify-ca", Level.WARNING, "not that it is this host"),
        ("?sslmode=verify-full", Level.OK, "verified"),
        ("?sslmode=require&pgbouncer=true", Level.WARNING, "not verified"),
    ],
)
def test_tls_to_postgresql_is_judged_by_its_url(query: str, level: Level, said: str) -> None:
    (found,) = results(PG_URL=f"postgresql://u:p@desk.example/d{query}")

    assert (found.level, said in found.said) == (level, True)
    assert ":p@" not in found.said + found.advice


def test_config_check_refuses_what_the_start_would(tmp_path: Path, orc: Orc) -> None:
    pair = Authority(tmp_path).issue(days=-1)
    expired = orc("config", "check", **own(pair))
    doubtful = orc("config", "check", PG_URL="postgresql://desk.example/d")

    assert (expired.code, "has expired" in expired.err) == (2, True)
    assert (doubtful.code, "sslmode=verify-full" in doubtful.err) == (0, True)
